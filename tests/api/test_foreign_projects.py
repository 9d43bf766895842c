"""Views of the event store in a project that has set nothing for them."""

import pytest
from django.contrib import admin
from django.core.exceptions import ImproperlyConfigured
from django.db import DataError
from django.test import override_settings
from rest_framework.views import APIView

from eventstore.api import problems, requests
from eventstore.api.commands import CommandView
from eventstore.api.deferred import DeferredCommandView
from eventstore.api.queries import RowView
from eventstore.console.read_models import ReadModelAdmin
from orders.models import OrderDetails


@pytest.mark.parametrize("view", [CommandView, RowView, DeferredCommandView])
def test_their_errors_are_problem_details(view):
    with override_settings(REST_FRAMEWORK={}):
        assert view().get_exception_handler() is problems.exception_handler
        assert APIView().get_exception_handler() is not problems.exception_handler


def test_a_handler_of_the_projects_own_is_asked():
    with override_settings(
        REST_FRAMEWORK={"EXCEPTION_HANDLER": "config.problems.exception_handler"}
    ):
        assert RowView().get_exception_handler().__module__ == "config.problems"


def test_commands_are_strict_json_whatever_the_project_parses():
    with override_settings(REST_FRAMEWORK={}):
        assert CommandView().parser_classes == [requests.StrictJSONParser]


def test_nothing_has_a_key_that_cannot_be_stored():
    error = DataError("PostgreSQL text fields cannot contain NUL (0x00) bytes")
    assert problems.problem_of(error).status == 404
    assert problems.problem_of(DataError("another")) is None


def test_a_page_of_the_console_without_its_app_says_so(settings):
    settings.INSTALLED_APPS = [
        each for each in settings.INSTALLED_APPS if each != "eventstore.console"
    ]
    with pytest.raises(ImproperlyConfigured, match="add 'eventstore.console' to INSTALLED_APPS"):
        ReadModelAdmin(OrderDetails, admin.site)
