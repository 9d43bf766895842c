"""The production settings, and the security headers of every page."""

import json
import os
import subprocess
import sys

import pytest
from django.contrib.auth.models import User
from django.test import Client

PRODUCTION = {
    "DEBUG": "0",
    "SECRET_KEY": "k3Jx0Zt7-only-for-this-test-Qw9_vB2nM5sD8fG1hJ4lP6yT0rE3uI7oA",
    "ALLOWED_HOSTS": "shop.example",
    "HTTPS": "1",
    "PAYMENT_GATEWAY": "stripe",
    "STRIPE_SECRET_KEY": "sk_test_only",
    "STRIPE_WEBHOOK_SECRETS": "whsec_only",
    "CARRIER": "sandbox",
    "ALLOW_DEMO": "0",
}
ASKED = """
import json, django
from django.conf import settings
django.setup()
print(json.dumps({name: getattr(settings, name) for name in %r}, default=str))
"""
EXPECTED = {
    "DEBUG": False,
    "ALLOWED_HOSTS": ["shop.example"],
    "SECURE_SSL_REDIRECT": True,
    "SECURE_HSTS_SECONDS": 31536000,
    "SECURE_HSTS_INCLUDE_SUBDOMAINS": True,
    "SECURE_CONTENT_TYPE_NOSNIFF": True,
    "SECURE_REFERRER_POLICY": "same-origin",
    "X_FRAME_OPTIONS": "DENY",
    "SESSION_COOKIE_NAME": "__Host-session",
    "SESSION_COOKIE_SECURE": True,
    "SESSION_COOKIE_HTTPONLY": True,
    "SESSION_COOKIE_SAMESITE": "Lax",
    "SESSION_COOKIE_PATH": "/",
    "SESSION_COOKIE_DOMAIN": None,
    "CSRF_COOKIE_NAME": "__Host-csrf",
    "CSRF_COOKIE_SECURE": True,
    "CSRF_COOKIE_HTTPONLY": True,
    "CSRF_COOKIE_DOMAIN": None,
}


def in_production(*command, **changes):
    """changes: to the environment; None removes a variable."""
    environment = os.environ | {"DJANGO_SETTINGS_MODULE": "config.settings"} | PRODUCTION | changes
    environment = {name: value for name, value in environment.items() if value is not None}
    return subprocess.run(
        [sys.executable, *command], env=environment, capture_output=True, text=True, timeout=60
    )


def test_djangos_own_list_for_deployments_finds_nothing():
    check = in_production("manage.py", "check", "--deploy", "--fail-level", "WARNING")
    assert check.returncode == 0, check.stderr
    assert "no issues" in check.stdout


def test_the_list_is_really_asked():
    check = in_production("manage.py", "check", "--deploy", "--fail-level", "WARNING", HTTPS="0")
    assert check.returncode == 1
    assert "security.W008" in check.stderr


def test_a_missing_secret_key_is_seen():
    check = in_production(
        "manage.py", "check", "--deploy", "--fail-level", "WARNING", SECRET_KEY=""
    )
    assert check.returncode == 1
    assert "SECRET_KEY" in check.stderr


def test_the_web_process_does_not_start_without_one():
    web = in_production("-c", "import config.wsgi", SECRET_KEY="")
    assert web.returncode == 3
    assert web.stderr.splitlines()[-1] == "SECRET_KEY is not set."


def test_a_process_of_orders_that_is_none_is_told_in_a_sentence():
    check = in_production("manage.py", "check", ORDER_PROCESS="telepathy")
    assert (
        check.stderr
        == "ORDER_PROCESS: expected one of orchestration, choreography, got 'telepathy'.\n"
    )


def test_the_settings_are_those_of_the_checklist():
    found = in_production("-c", ASKED % list(EXPECTED))
    assert json.loads(found.stdout) == EXPECTED, found.stderr


@pytest.mark.parametrize(
    "path", ["/admin/login/", "/health/live", "/api/queries/orders/", "/nothing", "/static/none"]
)
def test_every_answer_says_what_browsers_may_do_with_it(db, path):
    answer = Client(raise_request_exception=False).get(path)
    assert "default-src 'self'" in answer["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in answer["Content-Security-Policy"]
    assert answer["X-Frame-Options"] == "DENY"
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Referrer-Policy"] == "same-origin"


def test_the_pages_of_the_admin_keep_to_the_policy(db):
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    for path in ("/admin/", "/admin/eventstore/event/", "/admin/auth/user/add/", "/admin/login/"):
        page = client.get(path, follow=True).content.decode()
        assert "<script>" not in page
        assert " onclick=" not in page
        assert "<style>" not in page


def test_a_form_without_its_token_is_refused(db):
    answer = Client(enforce_csrf_checks=True).post(
        "/admin/login/", {"username": "root", "password": "x"}
    )
    assert answer.status_code == 403


@pytest.mark.parametrize(
    "path", ["/api/queries/orders/", "/api/commands/orders/", "/admin/login/", "/health/live"]
)
def test_trace_shows_nothing(db, path):
    answer = Client(raise_request_exception=False).trace(
        path, headers={"Authorization": "Bearer canary"}
    )
    assert answer.status_code in (401, 403, 404, 405)
    assert b"canary" not in answer.content


@pytest.mark.parametrize(
    "path", ["/.git/config", "/.env", "/static/../config/settings.py", "/manage.py"]
)
def test_no_file_of_ours_is_served(db, path):
    assert Client(raise_request_exception=False).get(path).status_code in (400, 404)
