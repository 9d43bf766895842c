"""The whole product, web and worker, as the role that `manage.py app_role` creates: it may append,
and owns nothing."""

import pytest
from django.core.management import call_command
from django.db import connection, connections

from config import wiring
from tests import rights, services

from .conftest import Shop, Worker

pytestmark = [pytest.mark.worker, pytest.mark.slow, pytest.mark.django_db(transaction=True)]

ROLE = "journeys_app"
PASSWORD = "only-for-this-test"


@pytest.fixture(params=wiring.PROCESSES)
def shop(request, transactional_db, tmp_path):
    """With a worker of its own: it and the test connect as the role, by its password."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"DROP ROLE IF EXISTS {ROLE}; CREATE ROLE {ROLE} LOGIN PASSWORD '{PASSWORD}'"
        )
    call_command("app_role", ROLE, verbosity=0)
    for pooler in services.poolers:
        pooler.admit(ROLE, PASSWORD)
    settings = connection.settings_dict
    owner = {name: settings[name] for name in ("USER", "PASSWORD")}
    become(USER=ROLE, PASSWORD=PASSWORD)
    worker = Worker(request.param, tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(
            "DATABASE_URL",
            f"postgresql://{ROLE}:{PASSWORD}@{settings['HOST']}:{settings['PORT']}/orders",
        )
        worker.start()
    try:
        yield Shop()
    finally:
        worker.kill()
        become(**owner)
        rights.drop(ROLE)


def become(**user):
    connections.close_all()
    connection.settings_dict |= user


def test_orders_are_placed_cancelled_and_sent_back(shop):
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_user")
        assert cursor.fetchone() == (ROLE,)
    shop.stocked(5)
    confirmed = shop.place(2)
    shop.comes_to(
        confirmed, status="CONFIRMED", payment_status="COMPLETED", shipment_status="CREATED"
    )
    refunded = shop.place(9)
    assert shop.comes_to(refunded, status="CANCELLED", payment_status="REFUNDED")[
        "reason"
    ].startswith("out of stock")
    shop.receive(shop.send_back(confirmed, 2))
    shop.comes_to(confirmed, return_status="RETURNED", payment_status="REFUNDED")
