"""What texts may not have: card numbers, and characters that nobody sees."""

import pytest

from eventstore.models import Event
from orders.api.cards import has_card_number

from .conftest import ADDRESS, pointers, problem

pytestmark = pytest.mark.django_db

CARD = "4242424242424242"
WRITTEN = {
    "blanks": "4242 4242 4242 4242",
    "no-break spaces": "4242\xa04242\xa04242\xa04242",
    "narrow no-break spaces": "4242\u202f4242\u202f4242\u202f4242",
    "tabulators": "4242\t4242\t4242\t4242",
    "dots": "4242.4242.4242.4242",
    "slashes": "4242/4242/4242/4242",
    "no-break hyphens": "4242\u20114242\u20114242\u20114242",
    "dashes with blanks": "4242 - 4242 - 4242 - 4242",
    "underscores": "4242_4242_4242_4242",
    "text before": f"card {CARD}",
    "text close before": f"visa{CARD}",
    "text behind": f"{CARD} 12/29",
    "a token's beginning": f"tok_{CARD}",
    "full-width digits": "".join(chr(ord(each) + 0xFEE0) for each in CARD),
    "Arabic digits": "".join(chr(ord(each) - ord("0") + 0x660) for each in CARD),
    "American Express": "378282246310005",
    "Mastercard's second series": "2223003122003222",
    "Maestro": "6759649826438453",
}
NO_CARDS = {
    "a token": "tok_visa",
    "a long token": "pm_1NXWPnFHoXjJabcd12EFghij",
    "a UUID": "0198c0de-0000-7000-8000-000000000001",
    "a UUID of digits": "41111111-1111-4111-8111-111111111111",
    "a time": "delivered 2026-01-31 12:00:03",
    "a telephone number": "+49 30 1234567",
    "one digit wrong": "4242 4242 4242 4243",
    "too many digits": CARD * 2,
}


@pytest.mark.parametrize("text", WRITTEN.values(), ids=WRITTEN)
def test_a_card_number_is_known_however_it_is_written(text):
    assert has_card_number(text)


@pytest.mark.parametrize("text", NO_CARDS.values(), ids=NO_CARDS)
def test_what_is_no_card_number_is_taken(text):
    assert not has_card_number(text)


@pytest.mark.parametrize("text", WRITTEN.values(), ids=WRITTEN)
def test_it_is_refused_where_a_token_belongs_and_recorded_nowhere(ada, shop, text):
    before = Event.objects.count()
    assert set(pointers(ada.place(payment_method=text))) == {"#/payment_method"}
    assert Event.objects.count() == before


def test_it_is_refused_in_every_text_of_a_customer(ada, shop):
    text = f"my card is {CARD}"
    for member in ("name", "street", "city"):
        faults = problem(ada.place(address=ADDRESS | {member: text}), 400)["errors"]
        assert [(each["pointer"], each["code"]) for each in faults] == [
            (f"#/address/{member}", "card_number")
        ]
    order = f"/api/commands/orders/{ada.placed()}"
    assert pointers(ada.post(f"{order}/cancel/", {"reason": text})) == ["#/reason"]
    lines = [{"number": 1, "quantity": 1}]
    assert pointers(ada.post(f"{order}/returns/", {"lines": lines, "reason": text})) == ["#/reason"]


INVISIBLE = {
    "a zero-width space": "Ada\u200bLovelace",
    "a word joiner": "Ada\u2060Lovelace",
    "a soft hyphen": "Love\xadlace",
    "a byte order mark": "\ufeffAda",
    "an override of the direction": "Ada\u202eecalevoL",
    "an isolate": "\u2066Ada\u2069",
    "a mark of direction": "Ada\u200f",
    "ESC": "Ada\x1b[31m",
    "a bell": "Ada\x07",
    "DEL": "Ada\x7f",
    "C1": "Ada\x9b31m",
    "a line separator": "Ada\u2028Lovelace",
    "a new line": "Ada\nLovelace",
    "a Hangul filler": "Ada\u3164",
    "a tag": "Ada\U000e0041",
}


@pytest.mark.parametrize("name", INVISIBLE.values(), ids=INVISIBLE)
def test_a_name_has_visible_characters_only(ada, operator, shop, name):
    fault = {"pointer": "#/address/name", "code": "invisible_characters"}
    [found] = problem(ada.place(address=ADDRESS | {"name": name}), 400)["errors"]
    assert {each: found[each] for each in fault} == fault
    product = {"sku": "TEA", "name": name, "price": {"amount": 1, "currency": "EUR"}}
    assert pointers(operator.post("/api/commands/products/", product)) == ["#/name"]


@pytest.mark.parametrize(
    "name",
    [
        "Zoë",
        "Zoe\u0308",
        "علی\u200cرضا",
        "नमस्\u200dते",
        "👩\u200d🔬",
        "Nguyễn",
        "O’Neill",
        "山田 太郎",
        "\xa0Ada",
    ],
)
def test_names_of_all_peoples_are_taken(ada, shop, name):
    assert ada.place(address=ADDRESS | {"name": name}).status_code == 202


@pytest.mark.parametrize("blank", ["", " ", "\u3000", "\u200d", "\xa0\u200c "])
def test_a_name_of_nothing_visible_is_blank(ada, shop, blank):
    [found] = problem(ada.place(address=ADDRESS | {"name": blank}), 400)["errors"]
    assert (found["pointer"], found["code"]) == ("#/address/name", "blank")


def test_a_reason_may_have_several_lines_and_needs_something_visible(ada, shop):
    cancel = f"/api/commands/orders/{ada.placed()}/cancel/"
    assert pointers(ada.post(cancel, {"reason": "\u200b"})) == ["#/reason"]
    assert pointers(ada.post(cancel, {"reason": "a\x1b[2J"})) == ["#/reason"]
    assert ada.post(cancel, {"reason": "too late,\r\n\ttoo much"}).status_code == 202


def test_a_total_that_javascript_cannot_hold_is_refused(ada, operator, shop):
    """2^53 - 1 is the largest whole number of I-JSON (RFC 7493)."""
    price = {"amount": 10**12, "currency": "EUR"}
    operator.post("/api/commands/products/", {"sku": "GOLD", "name": "Gold", "price": price})
    largest = (2**53 - 1) // 10**12
    whole = ada.place({"sku": "GOLD", "quantity": largest})
    assert whole.status_code == 202
    problem(ada.place({"sku": "GOLD", "quantity": largest + 1}), 400, "InvalidMessage")
    body = b'{"items": [{"sku": "CUP", "quantity": 9007199254740993}]}'
    [fault] = problem(ada.post("/api/commands/orders/", body), 400)["errors"]
    assert (fault["pointer"], fault["code"]) == ("#/items/0/quantity", "too_large")
