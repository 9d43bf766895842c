"""manage.py webhooks does what the console does."""

import json
from io import StringIO
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command

from eventstore.models import OperatorAction, WebhookDelivery
from eventstore.testing import drain
from eventstore.webhooks import endpoints

from .deliveries import statuses

pytestmark = pytest.mark.usefixtures("shop", "idle")
WHY = ("--reason", "a partner")
CONFIRMED = "orders.order_confirmed_integration"


def run(*words):
    out = StringIO()
    call_command("webhooks", *words, "--json", stdout=out)
    return json.loads(out.getvalue())


def test_an_endpoint_from_its_registration_to_its_end(ada, receiver, sender):
    there = receiver(lambda *_: (410, {}, b""))
    registered = run("register", "ada", there.url, CONFIRMED, *WHY)
    id_, secret = registered["endpoint"], registered["secret"]
    assert [each["endpoint"] for each in run("list")] == [id_]
    ada.placed()
    drain()
    sender.send_due()
    assert there.requests[0].verified(secret)["type"] == CONFIRMED
    assert run("list")[0]["disabled_reason"] == "gone"
    assert run("enable", id_, *WHY)["status"] == "enabled"
    run("send_again", id_, str(WebhookDelivery.objects.get().pk), *WHY)
    there.answer = lambda *_: (204, {}, b"")
    sender.send_due()
    assert statuses(id_) == ["delivered"]
    assert run("rotate", id_, *WHY)["secret"] != secret
    assert run("disable", id_, *WHY)["disabled_reason"] == "operator"
    assert run("delete", id_, *WHY)["status"] == "deleted"
    assert run("list") == []
    recorded = OperatorAction.objects.order_by("id").values_list("action", flat=True)
    assert list(recorded) == ["register", "enable", "send again", "rotate", "disable", "delete"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("register", "nobody", "https://hook.example/", "*"), "No active account"),
        (("register", "ada", "https://10.0.0.1/", "*"), "not public"),
        (("register", "ada", "http://127.0.0.1:9/", "orders.order_placed"), "Not published"),
        (("enable", str(uuid4())), "no such endpoint"),
        (("send_again", str(uuid4()), "1"), "no such endpoint"),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(ada, words, said):
    with pytest.raises(CommandError, match=said):
        call_command("webhooks", *words, *WHY)


def test_nothing_is_sent_again_to_a_disabled_endpoint(ada, endpoint, customer):
    id_, _ = endpoint("http://127.0.0.1:9/", customer("ada"), CONFIRMED)
    ada.placed()
    drain()
    endpoints.disable(id_, endpoints.BY_OWNER)
    delivery = str(WebhookDelivery.objects.get().pk)
    with pytest.raises(CommandError, match="disabled"):
        call_command("webhooks", "send_again", str(id_), delivery, *WHY)
