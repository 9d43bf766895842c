"""Endpoints of webhooks by the API."""

import logging
from uuid import uuid4

import pytest
from django.db import connection
from django.utils import timezone

from eventstore.models import WebhookDelivery, WebhookEndpoint
from eventstore.testing import drain
from eventstore.webhooks import endpoints
from tests.api.conftest import pointers, problem

from .deliveries import statuses

pytestmark = pytest.mark.usefixtures("shop", "idle")
COMMANDS, QUERIES = "/api/commands/webhooks/", "/api/queries/webhooks/"
FORM = {"url": "http://127.0.0.1:9/hook", "types": ["orders.order_details"]}
CONFIRMED = "orders.order_confirmed_integration"


def registered(api, **changes):
    answer = api.post(COMMANDS, FORM | changes)
    assert answer.status_code == 202, answer.content
    return answer.json()["endpoint_id"]


def act(api, endpoint, name, body=None, **headers):
    return api.post(f"{COMMANDS}{endpoint}/{name}/", body or {}, **headers)


def test_an_endpoint_is_registered_and_its_secret_is_shown_once(ada):
    answer = ada.post(COMMANDS, FORM | {"description": "orders"})
    body = answer.json()
    assert answer.status_code == 202
    assert body["secret"].startswith("whsec_")
    assert answer["Cache-Control"] == "no-store"
    assert answer["Location"] == f"{QUERIES}{body['endpoint_id']}/"
    found = ada.get(answer["Location"]).json()
    assert "secret" not in found
    assert found == {name: value for name, value in body.items() if name != "secret"}
    assert (found["url"], found["types"], found["orders"]) == (FORM["url"], FORM["types"], "own")
    assert (found["endpoint_status"], found["description"]) == ("enabled", "orders")


def test_a_repeat_under_its_key_is_one_endpoint_and_shows_the_secret_until_it_is_rotated(ada):
    first = ada.post(COMMANDS, FORM, **{"Idempotency-Key": "k"}).json()
    again = ada.post(COMMANDS, FORM, **{"Idempotency-Key": "k"})
    assert again["Idempotent-Replayed"] == "true"
    assert again.json() == first
    assert WebhookEndpoint.objects.count() == 1
    act(ada, first["endpoint_id"], "rotate-secret")
    third = ada.post(COMMANDS, FORM, **{"Idempotency-Key": "k"}).json()
    assert third["secret"] is None
    problem(ada.post(COMMANDS, FORM | {"types": ["*"]}, **{"Idempotency-Key": "k"}), 422)


def test_the_secret_is_nowhere_in_the_database_and_in_no_log(ada, caplog):
    caplog.set_level(logging.DEBUG)
    secret = ada.post(COMMANDS, FORM, **{"Idempotency-Key": "k"}).json()["secret"]
    core = secret.removeprefix("whsec_")
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names():
            cursor.execute(
                f"SELECT count(*) FROM {table} AS any_row WHERE strpos(any_row::text, %s) > 0",
                [core],
            )
            assert cursor.fetchone() == (0,), table
        cursor.execute("SELECT count(*) FROM eventstore_stored_response")
        assert cursor.fetchone() == (1,), "the response is stored, without the secret"
    assert core not in caplog.text


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"url": "https://user:word@hook.example/"}, "#/url"),
        ({"url": "gopher://hook.example/"}, "#/url"),
        ({"url": "https://10.0.0.1/"}, "#/url"),
        ({"url": "https://169.254.169.254/latest/meta-data/"}, "#/url"),
        ({"url": "https://[::ffff:10.0.0.1]/"}, "#/url"),
        ({"url": "https://no-such-host.invalid/"}, "#/url"),
        ({"url": ""}, "#/url"),
        ({"url": 1}, "#/url"),
        ({"types": []}, "#/types"),
        ({"types": ["orders.order_placed"]}, "#/types"),
        ({"types": "orders.order_details"}, "#/types"),
        ({"orders": "some"}, "#/orders"),
        ({"secret": "mine"}, "#/secret"),
    ],
)
def test_what_is_wrong_is_said(ada, changes, pointer):
    assert pointers(ada.post(COMMANDS, FORM | changes)) == [pointer]
    assert not WebhookEndpoint.objects.exists()


def test_all_events_are_for_staff_with_the_right(ada, support, operator):
    for person in (ada, support):
        problem(person.post(COMMANDS, FORM | {"orders": "all"}), 403)
    found = operator.get(f"{QUERIES}{registered(operator, orders='all')}/").json()
    assert found["orders"] == "all"


def test_another_customers_endpoints_are_not_there(ada, grace):
    hers = registered(ada)
    for name in ("change", "rotate-secret", "disable", "enable", "delete"):
        problem(act(grace, hers, name, FORM if name == "change" else {}), 404)
    problem(act(grace, hers, "send-failed-again", {"since": "2026-01-01T00:00:00Z"}), 404)
    problem(act(grace, hers, "deliveries/1/send-again"), 404)
    for path in ("", "deliveries/", "deliveries/1/"):
        problem(grace.get(f"{QUERIES}{hers}/{path}"), 404)
    assert grace.get(QUERIES).json()["data"] == []
    assert ada.get(f"{QUERIES}{hers}/").json()["endpoint_status"] == "enabled"


def test_staff_with_the_right_sees_all_endpoints_and_changes_none(ada, operator):
    hers = registered(ada)
    assert [each["endpoint_id"] for each in operator.get(QUERIES).json()["data"]] == [hers]
    assert operator.get(f"{QUERIES}{hers}/").status_code == 200
    problem(act(operator, hers, "rotate-secret"), 404)


def test_what_does_not_exist_is_404(ada):
    for name in ("rotate-secret", "disable", "delete"):
        problem(act(ada, uuid4(), name), 404)
    hers = registered(ada)
    for delivery in (1, 10**30):
        problem(act(ada, hers, f"deliveries/{delivery}/send-again"), 404)
        problem(ada.get(f"{QUERIES}{hers}/deliveries/{delivery}/"), 404)


def test_without_a_token_nothing_is_answered(anonymous):
    problem(anonymous.post(COMMANDS, FORM), 401)
    problem(anonymous.get(QUERIES), 401)


def test_a_change_is_made_on_the_version_that_the_client_has_seen(ada):
    hers = registered(ada)
    tag = ada.get(f"{QUERIES}{hers}/")["ETag"]
    changed = act(ada, hers, "change", FORM | {"types": ["*"]}, **{"If-Match": tag})
    assert (changed.status_code, changed.json()["version"]) == (202, 2)
    stale = act(ada, hers, "change", FORM, **{"If-Match": tag})
    assert problem(stale, 412, "Stale")["current_version"] == 2
    assert ada.get(f"{QUERIES}{hers}/").json()["types"] == ["*"]


def test_a_query_with_the_tag_is_not_answered_again(ada):
    hers = registered(ada)
    tag = ada.get(f"{QUERIES}{hers}/")["ETag"]
    assert ada.get(f"{QUERIES}{hers}/", **{"If-None-Match": tag}).status_code == 304
    act(ada, hers, "disable")
    assert ada.get(f"{QUERIES}{hers}/", **{"If-None-Match": tag}).status_code == 200


def test_disabled_and_enabled(ada):
    hers = registered(ada)
    assert act(ada, hers, "disable").json()["disabled_reason"] == "owner"
    assert act(ada, hers, "disable").json()["version"] == 2, "a repeat changes nothing"
    body = act(ada, hers, "enable").json()
    assert (body["endpoint_status"], body["disabled_reason"]) == ("enabled", "")


def test_a_deleted_endpoint_is_gone(ada):
    hers = registered(ada)
    assert act(ada, hers, "delete").json()["endpoint_status"] == "deleted"
    problem(ada.get(f"{QUERIES}{hers}/"), 404)
    problem(act(ada, hers, "enable"), 404)
    assert ada.get(QUERIES).json()["data"] == []


def test_endpoints_of_an_account_are_bounded(ada, grace, settings):
    settings.EVENTSTORE_WEBHOOK_ENDPOINTS_PER_OWNER = 2
    first, _ = registered(ada), registered(ada)
    problem(ada.post(COMMANDS, FORM), 409, "TooManyEndpoints")
    registered(grace)
    act(ada, first, "delete")
    registered(ada)


def test_lists_come_in_pages(ada):
    mine = {registered(ada) for _ in range(5)}
    page = ada.get(f"{QUERIES}?limit=2").json()
    found = [each["endpoint_id"] for each in page["data"]]
    while page["next"]:
        page = ada.get(page["next"]).json()
        found += [each["endpoint_id"] for each in page["data"]]
    assert (len(found), set(found)) == (5, mine)
    assert pointers(ada.get(f"{QUERIES}?cursor=forged")) == ["cursor"]


def test_deliveries_are_seen_with_each_attempt(ada, receiver, sender):
    there = receiver(lambda *_: (418, {}, b"short and stout"))
    hers = registered(ada, url=there.url, types=[CONFIRMED])
    order_id = ada.placed()
    drain()
    sender.send_due()
    [listed] = ada.get(f"{QUERIES}{hers}/deliveries/").json()["data"]
    assert (listed["event_type"], listed["subject"]) == (CONFIRMED, order_id)
    assert (listed["delivery_status"], listed["attempts"]) == ("waiting", 1)
    found = ada.get(f"{QUERIES}{hers}/deliveries/{listed['delivery_id']}/").json()
    [attempt] = found["tries"]
    assert (attempt["number"], attempt["http_status"]) == (1, 418)
    assert (attempt["response"], attempt["error"]) == ("short and stout", "HTTP 418.")
    assert found["webhook_id"] == there.requests[0].id
    assert ada.get(f"{QUERIES}{hers}/deliveries/?status=delivered").json()["data"] == []
    assert len(ada.get(f"{QUERIES}{hers}/deliveries/?status=waiting").json()["data"]) == 1


def test_a_delivery_is_sent_again(ada, receiver, sender):
    there = receiver()
    hers = registered(ada, url=there.url, types=[CONFIRMED])
    ada.placed()
    drain()
    sender.send_due()
    delivery = WebhookDelivery.objects.get().pk
    assert act(ada, hers, f"deliveries/{delivery}/send-again").json()["waiting"] == 1
    sender.send_due()
    assert [each.id for each in there.requests] == [there.requests[0].id] * 2
    act(ada, hers, "disable")
    problem(act(ada, hers, f"deliveries/{delivery}/send-again"), 409, "EndpointDisabled")


def test_failed_deliveries_are_sent_again(ada, receiver, sender):
    there = receiver(lambda *_: (410, {}, b""))
    hers = registered(ada, url=there.url, types=[CONFIRMED])
    since = timezone.now().isoformat()
    ada.placed()
    drain()
    sender.send_due()
    assert statuses(hers) == ["failed"]
    problem(act(ada, hers, "send-failed-again", {"since": since}), 409, "EndpointDisabled")
    act(ada, hers, "enable")
    act(ada, hers, "send-failed-again", {"since": since})
    there.answer = lambda *_: (200, {}, b"")
    sender.send_due()
    assert statuses(hers) == ["delivered"]


def test_a_delivery_of_another_endpoint_is_not_sent_again(ada, grace, receiver, sender):
    there = receiver()
    hers, others = registered(ada, url=there.url, types=["*"]), registered(grace)
    ada.placed()
    drain()
    delivery = WebhookDelivery.objects.filter(endpoint=hers).first().pk
    problem(act(grace, others, f"deliveries/{delivery}/send-again"), 404)
    problem(grace.get(f"{QUERIES}{others}/deliveries/{delivery}/"), 404)


def test_minimal_responses_still_show_the_secret(ada):
    answer = ada.post(COMMANDS, FORM, Prefer="return=minimal")
    assert answer.json()["secret"]
    hers = answer.json()["endpoint_id"]
    assert act(ada, hers, "disable", Prefer="return=minimal").content == b""


def test_the_document_says_each_published_type(anonymous):
    described = anonymous.get("/api/openapi.json").json()
    assert list(described["webhooks"]) == endpoints.known_types()


def test_what_has_not_changed_is_304_without_headers_about_content(ada):
    path = f"{QUERIES}{ada.post(COMMANDS, FORM).json()['endpoint_id']}/"
    first = ada.get(path)
    again = ada.get(path, **{"If-None-Match": first["ETag"]})
    assert (again.status_code, again.content, again["ETag"]) == (304, b"", first["ETag"])
    assert not {"Content-Length", "Content-Type"} & {*again.headers}
