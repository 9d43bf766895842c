"""A real Celery worker, and a shop used over HTTP; once for each form of the process."""

import json
import os
import signal
import subprocess
import sys
import time
from uuid import uuid4

import pytest
from django.contrib.auth.models import Group, User
from django.core.management import call_command
from django.db import connection
from django.test import Client, TransactionTestCase
from knox.models import AuthToken

from access.authorization import OPERATIONS
from config import wiring
from eventstore.commands import bus
from eventstore.models import Event
from eventstore.money import Money
from inventory.commands import ReceiveStock
from orders.commands import ListProduct
from tools.devserver.processes import ends_with_us

# Several leases long: the calls of a killed worker are taken over when its leases expire.
PATIENCE_SECONDS = 40.0
HERE = {"name": "Ada", "street": "Square 1", "city": "London", "postcode": "SW1Y", "country": "GB"}


class Worker:
    """A Celery worker with two processes, and Celery beat, on the test's database and broker."""

    def __init__(self, process, folder):
        self.process, self.folder = process, folder
        self.program = None

    def start(self):
        self.program = subprocess.Popen(
            [
                sys.executable,
                "-W",
                "ignore",
                "-m",
                "celery",
                "-q",
                "-A",
                "config",
                "worker",
                "-c",
                "2",
                "-B",
            ]
            # A node name of its own: the tests may run in two processes over one RabbitMQ.
            + ["-n", f"worker@journeys-{os.getpid()}"]
            + [
                "-s",
                str(self.folder / "beat"),
                "-l",
                "WARNING",
                "--without-gossip",
                "--without-mingle",
            ],
            env=os.environ
            | {
                "DATABASE_URL": url_of_the_test(),
                "ORDER_PROCESS": self.process,
                "EVENTSTORE_WAKE_WORKERS": "1",
            },
            start_new_session=True,
            preexec_fn=ends_with_us(signal.SIGKILL),
            stdin=subprocess.DEVNULL,
        )

    def kill(self):
        """As in a power failure: all processes at once."""
        os.killpg(self.program.pid, signal.SIGKILL)
        self.program.wait()


class Shop:
    """One customer, and a product of its own, so that no test shares its stock with another."""

    def __init__(self):
        self.sku = f"TEA-{uuid4().hex[:8].upper()}"
        self.headers = _logged_in(User.objects.create_user(f"ada-{uuid4().hex[:8]}"))
        self.client = Client()

    def stocked(self, units):
        bus.dispatch(ListProduct(self.sku, "Tea", Money(500, "EUR")))
        bus.dispatch(ReceiveStock(self.sku, units))
        return self

    def place(self, quantity=1, *, method="tok_visa", postcode="SW1Y"):
        body = {
            "items": [{"sku": self.sku, "quantity": quantity}],
            "address": HERE | {"postcode": postcode},
            "payment_method": method,
        }
        answer = self._post("/api/commands/orders/", body)
        assert answer.status_code == 202, answer.content
        return answer.json()["order_id"]

    def cancel(self, order_id):
        return self._post(f"/api/commands/orders/{order_id}/cancel/", {"reason": "changed my mind"})

    def send_back(self, order_id, quantity):
        lines = [{"number": 1, "quantity": quantity}]
        answer = self._post(
            f"/api/commands/orders/{order_id}/returns/", {"lines": lines, "reason": "too small"}
        )
        assert answer.status_code == 202, answer.content
        return answer.json()["return_id"]

    def receive(self, return_id):
        """A command of the warehouse, by a user of operations."""
        clerk = User.objects.create_user(f"otto-{uuid4().hex[:8]}")
        clerk.groups.add(Group.objects.get_or_create(name=OPERATIONS)[0])
        path = f"/api/commands/returns/{return_id}/receive/"
        answer = self.client.post(
            path, "{}", content_type="application/json", headers=_logged_in(clerk)
        )
        assert answer.status_code == 202, answer.content

    def order(self, order_id):
        answer = self.client.get(f"/api/queries/orders/{order_id}/", headers=self.headers)
        return answer.json() if answer.status_code == 200 else {}

    def comes_to(self, order_id, **expected):
        """Wait until the order's read model has these values; a failure shows the last answer."""
        until = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < until:
            found = self.order(order_id)
            if all(found.get(name) == value for name, value in expected.items()):
                return found
            time.sleep(0.02)
        raise AssertionError(
            f"expected {expected} within {PATIENCE_SECONDS:.0f} s, and it is {found}"
        )

    def comes_to_an_end(self, order_id):
        until = time.monotonic() + PATIENCE_SECONDS
        while (found := self.order(order_id)).get("status") not in ("CONFIRMED", "CANCELLED"):
            assert time.monotonic() < until, f"not ended within {PATIENCE_SECONDS:.0f} s: {found}"
            time.sleep(0.02)
        return found

    def types_of(self, stream):
        return list(
            Event.objects.filter(stream=stream).order_by("version").values_list("type", flat=True)
        )

    def _post(self, path, body):
        return self.client.post(
            path, json.dumps(body), content_type="application/json", headers=self.headers
        )


@pytest.fixture(scope="package", params=wiring.PROCESSES)
def worker(request, django_db_setup, django_db_blocker, tmp_path_factory):
    worker = Worker(request.param, tmp_path_factory.mktemp(request.param))
    worker.start()
    with pytest.MonkeyPatch.context() as patch:
        # Tables are emptied after the worker has ended, not after each test: to truncate them under
        # a running worker is a deadlock.
        patch.setattr(TransactionTestCase, "_fixture_teardown", lambda self: None)
        yield worker
    worker.kill()
    with django_db_blocker.unblock():
        call_command("flush", interactive=False, verbosity=0)


@pytest.fixture
def shop(worker, transactional_db):
    return Shop()


def _logged_in(user):
    return {"Authorization": f"Bearer {AuthToken.objects.create(user)[1]}"}


def url_of_the_test():
    """The URL of the environment with the name of the test's database."""
    url, _, _ = os.environ["DATABASE_URL"].partition("?")
    return f"{url.rsplit('/', 1)[0]}/{connection.settings_dict['NAME']}"
