"""Every denied request leaves one line in the audit log."""

import logging

import pytest

pytestmark = pytest.mark.usefixtures("shop")


def lines(caplog):
    found = [record.getMessage() for record in caplog.records if record.name == "audit"]
    caplog.clear()
    return found


def test_each_denied_action_is_noted_once(ada, grace, anonymous, caplog):
    caplog.set_level(logging.WARNING, logger="audit")
    order_id = ada.placed()
    grace.post(f"/api/commands/orders/{order_id}/cancel/")
    [line] = lines(caplog)
    assert (
        line
        == f"denied POST '/api/commands/orders/{order_id}/cancel/' to 'grace': Hidden, answered 404"
    )
    ada.get("/api/queries/stock/CUP/")
    assert lines(caplog) == [
        "denied GET '/api/queries/stock/CUP/' to 'ada': PermissionDenied, answered 403"
    ]
    anonymous.get("/api/queries/orders/")
    assert lines(caplog) == [
        "denied GET '/api/queries/orders/' to 'anonymous': NotAuthenticated, answered 401"
    ]


def test_what_is_allowed_or_not_there_is_not(ada, caplog):
    ada.get(f"/api/queries/orders/{ada.placed()}/")
    ada.get("/api/queries/products/NOTHING/")
    assert lines(caplog) == []


def test_a_query_of_somebody_elses_is_noted(ada, grace, caplog):
    answer = ada.place()
    grace.get(answer["Location"], **{"X-Min-Version": "1"})
    assert len(lines(caplog)) == 1


def test_nobody_writes_lines_of_their_own(person, caplog):
    person("eve\nroot: all is well").get("/api/queries/stock/CUP/")
    [line] = lines(caplog)
    assert "\n" not in line
