"""Receivers, endpoints in the database, and the settings of a developer's machine."""

from uuid import uuid4

import pytest

from access import accounts
from eventstore.delivery import worker
from eventstore.webhooks import endpoints
from eventstore.webhooks.endpoints import Form
from eventstore.webhooks.sender import Sender
from tests.api.conftest import (  # noqa: F401  the shop and its people
    _no_requests_counted,
    _webhooks_to_this_machine,
    ada,
    anonymous,
    grace,
    operator,
    person,
    shop,
    support,
)

from .receiver import Receiver


@pytest.fixture
def receiver():
    """receiver(answer) starts one; all are closed when the test is over."""
    started = []

    def start(answer=None, **options):
        started.append(Receiver(answer, **options))
        return started[-1]

    yield start
    for each in started:
        each.close()


@pytest.fixture
def sender():
    """A sender of the test's own, which works in the calling thread."""
    return Sender()


@pytest.fixture
def endpoint(db):
    """endpoint(url, owner) registers one; returns its id and its secret."""

    def make(url, owner, *types, is_for_all=False):
        id_ = uuid4()
        form = Form(url, types or (endpoints.ALL_TYPES,))
        return id_, endpoints.register(id_, owner, form, is_for_all=is_for_all)

    return make


@pytest.fixture
def customer(db):
    """customer(name) -> the id of the account's orders."""
    from django.contrib.auth.models import User

    return lambda name: accounts.customer_id_of(User.objects.get(username=name))


class Idle(Sender):
    """Sends nothing by itself."""

    def look(self):
        pass


@pytest.fixture
def idle(monkeypatch):
    """Workers of this test send nothing: the test has senders of its own."""
    monkeypatch.setattr(worker.sender, "this_process", Idle())


@pytest.fixture
def working(idle, monkeypatch):
    """They send after all."""
    busy = Sender(linger=0.0)
    monkeypatch.setattr(worker.sender, "this_process", busy)
    yield
    busy.stop()
