"""The probes for liveness and readiness."""

import pytest
from django.db import OperationalError, connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder

from config.api import health

from .conftest import problem

pytestmark = pytest.mark.django_db


def test_live_without_a_query(anonymous, django_assert_num_queries):
    with django_assert_num_queries(0):
        assert anonymous.get("/health/live").json() == {"status": "live"}


def test_ready(anonymous):
    assert anonymous.get("/health/ready").json() == {"status": "ready"}


def test_not_ready_before_all_migrations(anonymous):
    [last] = MigrationLoader(connection).graph.leaf_nodes("orders")
    MigrationRecorder(connection).record_unapplied(*last)
    found = problem(anonymous.get("/health/ready"), 503, "MigrationsMissing")
    assert found["detail"].startswith("1 ")


def test_not_ready_without_a_database(anonymous, monkeypatch):
    def unreachable(connection):
        raise OperationalError("connection refused")

    monkeypatch.setattr(health, "MigrationExecutor", unreachable)
    problem(anonymous.get("/health/ready"), 503, "DatabaseUnavailable")
