"""An invalid or a missing setting ends every process that would serve with an error message, before
it serves."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.core.checks import run_checks
from django.core.management import CommandError, call_command

from config import guarantees as ours
from eventstore import guarantees
from eventstore.operations import doctor
from orders.management.commands import demo

from .test_deployed import in_production

# Each typed variable, and an invalid value.
WRONG = {
    "DEBUG": "perhaps",
    "HTTPS": "ture",
    "API_SIDES": "commands,questions",
    "CORS_ALLOWED_ORIGINS": "https://pages.example/shop",
    "WEB_SILENT_SECONDS": "0",
    "DATABASE_URL": "mysql://root@127.0.0.1/shop",
    "QUERY_DATABASE_URL": "127.0.0.1/shop",
    "DATABASE_PREPARE_THRESHOLD": "two",
    "DATABASE_IDLE_IN_TRANSACTION_TIMEOUT": "10 seconds",
    "DATABASE_LOCK_TIMEOUT": "-1",
    "DATABASE_JIT": "never",
    "THROTTLE_USER": "many",
    "THROTTLE_LOGIN": "20 per minute",
    "THROTTLE_ACCOUNT": "often",
    "WEB_CONNECTIONS": "all",
    "WEB_DRAIN_SECONDS": "a while",
    "QUERY_MOST_WAITING": "-1",
    "QUERY_MOST_WAITING_PER_USER": "few",
    "PAGE_BYTES": "1MB",
    "REMEMBERED_BYTES": "-1",
    "NUM_PROXIES": "-1",
    "TOKEN_DAYS": "0",
    "ORDER_PROCESS": "orchestraton",
    "PAYMENT_GATEWAY": "strype",
    "CARRIER": "pigeons",
    "ALLOW_DEMO": "sometimes",
    "STRIPE_BASE_URL": "api.stripe.com",
    "STRIPE_TIMEOUT_SECONDS": "nan",
    "OUTBOX_RETENTION": "inf",
    "QUERY_LONGEST_WAIT": "long",
    "MAX_MESSAGE_BYTES": "1MB",
    "IDEMPOTENCY_KEY_REQUIRED": "2",
    "ANSWERS_KEPT_DAYS": "-1",
    "KAFKA_SECURITY_PROTOCOL": "TLS",
    "KAFKA_TRANSACTIONS": "sometimes",
    "KAFKA_MAX_MESSAGE_BYTES": "1MB",
    "KAFKA_PARTITIONS": "0",
    "KAFKA_REPLICATION": "two",
    "CDC_SLOT": "Orders-Outbox",
    "CDC_CONNECT_URL": "localhost:8083",
    "RABBITMQ_URL": "http://127.0.0.1:15672",
    "REGISTRY_ADDRESS": "shop.example/api/registry",
    "SCHEMA_REGISTRY_URL": "registry.example:8081",
    "RABBITMQ_EXCHANGE_TYPE": "fan-out",
    "RABBITMQ_MAX_MESSAGE_BYTES": "16M",
    "AWS_BROKERS": "sqs",
    "AWS_ENDPOINT": "127.0.0.1:4566",
    "SNS_FIFO": "first",
    "CLOUDEVENTS_MODE": "batched",
    "INBOX_KEPT_DAYS": "a month",
    "WEBHOOK_TIMEOUT_SECONDS": "0",
    "WEBHOOK_CALLS": "0",
    "WEBHOOK_CALLS_PER_ENDPOINT": "0",
    "WEBHOOK_BODY_BYTES": "256K",
    "WEBHOOK_QUEUE_BYTES": "16M",
    "WEBHOOK_RETRY_HOURS": "for ever",
    "WEBHOOK_DISABLE_AFTER_DAYS": "-1",
    "WEBHOOK_KEPT_DAYS": "a week",
    "WEBHOOK_OVERLAP_HOURS": "a day",
    "WEBHOOK_ENDPOINTS_PER_OWNER": "-1",
    "WEBHOOK_ALLOW_HTTP": "locally",
    "WEBHOOK_PORTS": "443,https",
    "WEBHOOK_ALLOWED_NETWORKS": "127.0.0.1/8",
    "WEBHOOK_CA_FILE": "/nowhere/ca.pem",
    "EMAIL_URL": "mail.shop.example",
    "LIVE_POLL_SECONDS": "0",
    "LIVE_RECHECK_SECONDS": "0",
    "LIVE_SOCKETS": "1e3",
    "LIVE_SOCKETS_PER_USER": "twenty",
    "EVENTSTORE_WAKE_WORKERS": "nudge",
    "EVENTSTORE_FAST_PATH": "fast",
    "ALLOW_UNSAFE_DATABASE": "maybe",
    "REDIS_URL": "localhost:6379",
    "CELERY_BROKER_URL": "http://127.0.0.1:5672",
    "POLL_SECONDS": "0",
    "LOG_LEVEL": "verbose",
}
# Variables that may be any text, or a list of texts.
FREE = {
    "SECRET_KEY",
    "SECRET_KEY_FALLBACKS",
    "ALLOWED_HOSTS",
    "CSRF_TRUSTED_ORIGINS",
    "ENVIRONMENT",
    "CELERY_QUEUE",
    "STRIPE_SECRET_KEY",
    "STRIPE_WEBHOOK_SECRETS",
    "CARRIER_WEBHOOK_SECRETS",
    "KAFKA_BOOTSTRAP_SERVERS",
    "KAFKA_SASL_MECHANISM",
    "KAFKA_SASL_USERNAME",
    "KAFKA_SASL_PASSWORD",
    "KAFKA_CA",
    "KAFKA_CERTIFICATE",
    "KAFKA_KEY",
    "KAFKA_KEY_PASSWORD",
    "RABBITMQ_CA",
    "RABBITMQ_EXCHANGE",
    "AWS_REGION",
    "EVENTBRIDGE_BUS",
    "WEBHOOK_KEYS",
    "EMAIL_FROM",
    "EVENT_SOURCE",
    "SCHEMA_ADDRESS",
    "SCHEMA_REGISTRY_TOKEN",
    "SCHEMA_REGISTRY_CA",
}
PROCESSES = {
    "manage.py": ("manage.py", "check"),
    "work": ("manage.py", "work"),
    "web": (
        "-m",
        "gunicorn",
        "config.wsgi:application",
        "--config=python:config.web",
        "--bind=127.0.0.1:0",
    ),
    "wsgi": ("-c", "import config.wsgi"),
    "live": ("-m", "config.live", "--port", "0"),
    "worker": ("-m", "celery", "--app=config", "worker", "--concurrency=1"),
    "beat": ("-m", "celery", "--app=config", "beat", "--pidfile="),
}


def test_what_is_of_no_kind_is_told_all_at_once_each_by_its_name_and_value():
    done = run("-c", "import config.settings", **WRONG)
    assert done.returncode == 3
    assert {line.partition(":")[0] for line in done.stderr.splitlines()} == set(WRONG)
    assert (
        "ORDER_PROCESS: expected one of orchestration, choreography, got 'orchestraton'."
        in done.stderr
    )
    assert (
        "STRIPE_TIMEOUT_SECONDS: expected a number of at least 0.1 and at most 60, got 'nan'."
        in done.stderr
    )
    assert "root@" not in done.stderr, "a URL may contain a password"


def test_each_variable_is_looked_at():
    config = Path(settings.BASE_DIR) / "config"
    text = "".join((config / name).read_text() for name in ("settings.py", "brokers.py"))
    assert set(re.findall(r"env\.\w+\(\s*\"(\w+)\"", text)) == {*WRONG, *FREE}


@pytest.mark.parametrize("process", PROCESSES)
def test_a_typo_ends_each_process_by_a_sentence(process):
    done = run(*PROCESSES[process], ORDER_PROCESS="orchestraton")
    assert done.returncode == 3
    assert done.stderr.splitlines()[-1].startswith("ORDER_PROCESS: expected")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("process", PROCESSES)
@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"PAYMENT_GATEWAY": None},
            "PAYMENT_GATEWAY is not set: no payment provider is configured.",
        ),
        ({"CARRIER": None}, "CARRIER is not set: no carrier is configured."),
        ({"STRIPE_SECRET_KEY": ""}, "PAYMENT_GATEWAY is stripe, but STRIPE_SECRET_KEY is not set."),
        (
            {"STRIPE_WEBHOOK_SECRETS": ""},
            "PAYMENT_GATEWAY is stripe, but STRIPE_WEBHOOK_SECRETS is not set.",
        ),
    ],
    ids=["gateway", "carrier", "key", "webhooks"],
)
def test_production_serves_only_with_providers_that_are_named(process, changes, sentence, tmp_path):
    more = ["-s", str(tmp_path / "schedule")] if process == "beat" else []
    done = in_production(*PROCESSES[process], *more, **changes)
    assert done.returncode not in (0, None)
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


def test_in_development_stand_ins_serve_unsaid():
    unsaid = dict.fromkeys(("PAYMENT_GATEWAY", "CARRIER", "ALLOW_DEMO"))
    done = in_production("manage.py", "check", DEBUG="1", **unsaid)
    assert done.returncode == 0, done.stderr


class TestTheDemo:
    @pytest.fixture(autouse=True)
    def _quick(self, settings, transactional_db):
        settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

    def test_outside_of_development_it_makes_no_accounts_unless_told_to(self, settings):
        settings.ALLOW_DEMO = False
        with pytest.raises(CommandError, match="ALLOW_DEMO=1"):
            call_command("demo", "--anyway")
        assert not User.objects.exists()

    def test_a_real_superuser_of_one_of_its_names_keeps_the_password(self):
        User.objects.create_superuser("admin", password="only the owner knows")
        for insisted in ([], ["--anyway"]):
            with pytest.raises(CommandError, match="account admin has its own password"):
                call_command("demo", *insisted)
        assert User.objects.get(username="admin").check_password("only the owner knows")
        assert User.objects.count() == 1

    def test_its_accounts_stop_who_would_serve_outside_of_development(self, settings):
        User.objects.create_user("ada", password="her own")
        User.objects.create_superuser("admin", password=demo.PASSWORD)
        settings.ALLOW_DEMO = True
        assert list(guarantees.breaches(guarantees.TABLES)) == []
        settings.ALLOW_DEMO = False
        message = "The account admin has the public password of the demo."
        assert [each.what for each in guarantees.breaches(guarantees.TABLES)] == [message]
        assert message in [each.what for each in doctor.examine()]
        assert "config.E004" in [each.id for each in run_checks(databases=["default"])]


def test_every_guarantee_has_an_id_of_its_own():
    ids = [each.id for each in guarantees.table()]
    assert len(set(ids)) == len(ids)
    assert set(ours.GUARANTEES) < set(guarantees.table())


def run(*command, **changes):
    return subprocess.run(
        [sys.executable, "-W", "ignore", *command],
        env=os.environ | {"DJANGO_SETTINGS_MODULE": "config.settings"} | changes,
        capture_output=True,
        text=True,
        timeout=60,
    )
