"""This process, and the workers that it starts, behind a PgBouncer in front of the test
database."""

import pytest
from django.db import connection

from tests.eventstore.concurrently import url_of_the_test
from tools.devserver import folder
from tools.verification import bouncer
from tools.verification.bouncer import NEW, OLD


@pytest.fixture(params=[OLD, NEW])
def pooled(request, transactional_db, monkeypatch):
    """Yields the Bouncer. The settings are those that docs/guide/operate.md recommends."""
    if why := bouncer.missing(request.param):
        pytest.skip(why)
    with (
        folder.throwaway() as path,
        bouncer.started(path, url_of_the_test(), request.param) as between,
    ):
        connection.close()
        for name, value in between.settings.items():
            monkeypatch.setenv(name, value)
        address = {"HOST": "127.0.0.1", "PORT": str(between.port)}
        options = connection.settings_dict["OPTIONS"]
        with pytest.MonkeyPatch.context() as patch:
            for name, value in address.items():
                patch.setitem(connection.settings_dict, name, value)
            if request.param == OLD:
                patch.setitem(options, "prepare_threshold", None)
            yield between
            connection.close()
