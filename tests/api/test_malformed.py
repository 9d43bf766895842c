"""Malformed bodies: 400 or 413 with a pointer to the place, and never a 500."""

import gzip
import json
import resource

import pytest
from django.conf import settings

from .conftest import ADDRESS, pointers, problem

ORDERS = "/api/commands/orders/"
ITEM = {"sku": "CUP", "quantity": 1}
ORDER = {"items": [ITEM], "address": ADDRESS, "payment_method": "tok_visa"}
PRICE = {"amount": 100, "currency": "EUR"}


def items(**changes):
    return ORDER | {"items": [ITEM | changes]}


def raw(order=ORDER, **replaced):
    """The order's JSON, with parts replaced by text that json.dumps would not write."""
    text = json.dumps(order)
    for old, new in replaced.items():
        text = text.replace(f'"{old}"', new)
    return text.encode("utf-8", "surrogatepass")


WRONG = {
    "no body": (None, ["#/items", "#/address", "#/payment_method"]),
    "a list": ([ORDER], ["#"]),
    "a text": ("order", ["#"]),
    "null": (b"null", ["#"]),
    "a number": (7, ["#"]),
    "an unknown member": (ORDER | {"total": 1}, ["#/total"]),
    "an unknown member within": (items(price=1), ["#/items/0/price"]),
    "an unknown name with a slash": (ORDER | {"a/b~c": 1}, ["#/a~1b~0c"]),
    "no items": (ORDER | {"items": []}, ["#/items"]),
    "items as an object": (ORDER | {"items": ITEM}, ["#/items"]),
    "items as a text": (ORDER | {"items": "CUP"}, ["#/items"]),
    "items as null": (ORDER | {"items": None}, ["#/items"]),
    "an item as a text": (ORDER | {"items": ["CUP"]}, ["#/items/0"]),
    "an item as null": (ORDER | {"items": [None]}, ["#/items/0"]),
    "10,001 items": (ORDER | {"items": [ITEM] * 10_001}, ["#/items"]),
    "the second of two items": (ORDER | {"items": [ITEM, {"sku": "CUP"}]}, ["#/items/1/quantity"]),
    "a quantity of none": (items(quantity=0), ["#/items/0/quantity"]),
    "a negative quantity": (items(quantity=-1), ["#/items/0/quantity"]),
    "a quantity of 2**31": (items(quantity=2**31), ["#/items/0/quantity"]),
    "a quantity of 2**63": (items(quantity=2**63), ["#/items/0/quantity"]),
    "a quantity of 2**64": (items(quantity=2**64), ["#/items/0/quantity"]),
    "a quantity of 1e2": (raw(items(quantity="X"), X="1e2"), ["#/items/0/quantity"]),
    "a quantity of 1e999": (raw(items(quantity="X"), X="1e999"), ["#/items/0/quantity"]),
    "a quantity of 1.0": (items(quantity=1.0), ["#/items/0/quantity"]),
    "a quantity of true": (items(quantity=True), ["#/items/0/quantity"]),
    "a quantity of null": (items(quantity=None), ["#/items/0/quantity"]),
    "a quantity as a text": (items(quantity="1"), ["#/items/0/quantity"]),
    "a quantity in Arabic digits": (items(quantity="١٢"), ["#/items/0/quantity"]),
    "a quantity as a list": (items(quantity=[1]), ["#/items/0/quantity"]),
    "a quantity of 5,000 digits": (raw(items(quantity="X"), X="9" * 5_000), ["#"]),
    "a quantity of NaN": (raw(items(quantity="X"), X="NaN"), ["#"]),
    "a quantity of Infinity": (raw(items(quantity="X"), X="-Infinity"), ["#"]),
    "a SKU as a number": (items(sku=1), ["#/items/0/sku"]),
    "a SKU as an object": (items(sku={}), ["#/items/0/sku"]),
    "an empty SKU": (items(sku=""), ["#/items/0/sku"]),
    "a SKU with a slash": (items(sku="A/B"), ["#/items/0/sku"]),
    "a SKU with a line break": (items(sku="CUP\nX"), ["#/items/0/sku"]),
    "a SKU of 65 characters": (items(sku="x" * 65), ["#/items/0/sku"]),
    "a SKU in fullwidth letters": (items(sku="\uff23\uff35\uff30"), ["#/items/0/sku"]),
    "a SKU with a zero-width joiner": (items(sku="CU\u200dP"), ["#/items/0/sku"]),
    "a SKU turned round": (items(sku="CUP\u202e"), ["#/items/0/sku"]),
    "a SKU with a combining accent": (items(sku="CU\u0301P"), ["#/items/0/sku"]),
    "gzip": (gzip.compress(json.dumps(ORDER).encode()), ["#"]),
    "NUL in a text": (items(sku="C\0P"), ["#/items/0/sku"]),
    "NUL in a name": (ORDER | {"pay\0": 1}, ["#/pay\0"]),
    "a lone surrogate in a text": (items(sku="\ud800"), ["#/items/0/sku"]),
    "a lone surrogate in a name": (ORDER | {"\ud800": 1}, [r"#/\ud800"]),
    "raw bytes of a lone surrogate": (raw(ORDER, tok_visa='"\ud800"'), ["#"]),
    "bad UTF-8": (b'{"items": "\xff"}', ["#"]),
    "a byte order mark": (b"\xef\xbb\xbf{}", ["#"]),
    "UTF-16": (json.dumps(ORDER).encode("utf-16"), ["#"]),
    "half a body": (json.dumps(ORDER).encode()[:-1], ["#"]),
    "two bodies": (b"{} {}", ["#"]),
    "not JSON": (b"items=CUP", ["#"]),
    "a name twice": (b'{"items": [{"sku": "A", "sku": "B", "quantity": 1}]}', ["#/items/0/sku"]),
    "33 levels": (ORDER | {"items": json.loads("[" * 32 + "]" * 32)}, ["#/items" + "/0" * 31]),
    "100,000 levels": (b"[" * 100_000, ["#"]),
    "no address": (ORDER | {"address": None}, ["#/address"]),
    "an address as a text": (ORDER | {"address": "London"}, ["#/address"]),
    "a country that is none": (
        ORDER | {"address": ADDRESS | {"country": "gb"}},
        ["#/address/country"],
    ),
    "an endless street": (
        ORDER | {"address": ADDRESS | {"street": "x" * 256}},
        ["#/address/street"],
    ),
    "a blank street": (ORDER | {"address": ADDRESS | {"street": "  "}}, ["#/address/street"]),
    "a payment method as true": (ORDER | {"payment_method": True}, ["#/payment_method"]),
    "a price seen as a number": (items(seen=19.99), ["#/items/0/seen"]),
    "a price seen as null": (items(seen=None), ["#/items/0/seen"]),
    "a price seen as a float": (
        items(seen={"amount": 19.99, "currency": "EUR"}),
        ["#/items/0/seen/amount"],
    ),
    "a price seen without currency": (items(seen={"amount": 1999}), ["#/items/0/seen/currency"]),
    "a currency that is none": (
        items(seen=PRICE | {"currency": "eur"}),
        ["#/items/0/seen/currency"],
    ),
    "an exponent of 7": (items(seen=PRICE | {"exponent": 7}), ["#/items/0/seen/exponent"]),
    "a negative price": (items(seen=PRICE | {"amount": -1}), ["#/items/0/seen/amount"]),
}


@pytest.mark.parametrize(("body", "expected"), WRONG.values(), ids=WRONG)
def test_an_order_that_is_none_is_refused_and_the_place_named(ada, body, expected):
    assert pointers(ada.post(ORDERS, body)) == expected


TEXTS = {
    "5,001 digits": (b"9" * 5_001, "A number has too many digits."),
    "a byte order mark": (
        b"\xef\xbb\xbf{}",
        "Invalid JSON in UTF-8: a byte order mark is not allowed",
    ),
    "bad UTF-8": (b'{"\xff": 1}', "Invalid JSON in UTF-8: byte 2 is not valid UTF-8"),
    "NaN": (b"NaN", "Invalid JSON in UTF-8: NaN is not a JSON number"),
    "an array for an object": ([ORDER], "Expected an object, not an array."),
    "an object for an array": (ORDER | {"items": {}}, "Expected an array, not an object."),
    "an object for a choice": (
        items(seen={"amount": 1, "currency": {"a": True}}),
        "Expected a string, not an object.",
    ),
}


@pytest.mark.parametrize(("body", "detail"), TEXTS.values(), ids=TEXTS)
def test_a_problem_speaks_of_json_and_not_of_python(ada, body, detail):
    [fault] = problem(ada.post(ORDERS, body), 400)["errors"]
    assert fault["detail"] == detail


WRONG_ELSEWHERE = {
    "cancel, a reason as a number": ("orders/X/cancel", {"reason": 1}, "#/reason"),
    "cancel, an empty reason": ("orders/X/cancel", {"reason": ""}, "#/reason"),
    "list, no name": ("products", {"sku": "A", "price": PRICE}, "#/name"),
    "list, an amount beyond sense": (
        "products",
        {"sku": "A", "name": "A", "price": PRICE | {"amount": 10**13}},
        "#/price/amount",
    ),
    "reprice, no price": ("products/A/reprice", {}, "#/price"),
    "delist, a member": ("products/A/delist", {"reason": "old"}, "#/reason"),
    "receive, nothing": ("stock/A/receive", {"quantity": 0}, "#/quantity"),
    "receive, 2**31": ("stock/A/receive", {"quantity": 2**31}, "#/quantity"),
    "adjust, nothing": ("stock/A/adjust", {"quantity": 0, "reason": "x"}, "#/quantity"),
    "adjust, no reason": ("stock/A/adjust", {"quantity": 1}, "#/reason"),
    "adjust, -2**31": ("stock/A/adjust", {"quantity": -(2**31), "reason": "x"}, "#/quantity"),
    "ship, a member": ("shipments/X/ship", {"tracking": "1"}, "#/tracking"),
    "deliver, a member": ("shipments/X/deliver", {"at": "door"}, "#/at"),
    "refund, no reason": ("payments/X/refund", {}, "#/reason"),
}


@pytest.mark.parametrize(("path", "body", "pointer"), WRONG_ELSEWHERE.values(), ids=WRONG_ELSEWHERE)
def test_every_other_command_names_what_is_wrong_too(person, path, body, pointer):
    assert pointers(person("root", is_superuser=True).post(f"/api/commands/{path}/", body)) == [
        pointer
    ]


def test_a_hundred_errors_are_enough(ada):
    assert len(pointers(ada.post(ORDERS, ORDER | {"items": [{}] * 200}))) == 100


def test_a_body_too_large_is_413(ada, settings):
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1000
    problem(ada.post(ORDERS, b" " * 1001), 413, "BodyTooLarge")


LARGEST = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
BOMBS = {
    "names, the last one twice": b"{"
    + b",".join(b'"%06d":1' % number for number in range(200_000))
    + b',"x":1,"x":2}',
    "unknown names": b"{" + b",".join(b'"%06d":1' % number for number in range(200_000)) + b"}",
    "empty lists": b"[" + b"[]," * (LARGEST // 3 - 2) + b"[]]",
    "nested objects": b'{"a":' * (LARGEST // 6) + b"1" + b"}" * (LARGEST // 6),
    "digits": b"1" * LARGEST,
    "one long text": b'"' + b"x" * (LARGEST - 2) + b'"',
    "escapes": b'"' + rb"\u00e4" * (LARGEST // 6 - 1) + b'"',
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS)
def test_the_largest_body_there_may_be_takes_bounded_time_and_memory(ada, bomb):
    assert len(bomb) <= LARGEST
    before = most_memory()
    assert problem(ada.post(ORDERS, bomb), 400)["errors"]
    assert most_memory() - before < 150 << 20


def most_memory():
    """The peak memory of this process, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


@pytest.mark.parametrize(
    "path",
    [
        "orders/%00/cancel/",
        "orders/%ff/cancel/",
        f"orders/{'x' * 65}/cancel/",
        "orders/a%20b/cancel/",
        "orders/../cancel/",
        "products/%ED%A0%80/delist/",
    ],
)
def test_an_address_that_names_nothing_is_404(operator, path):
    problem(operator.post(f"/api/commands/{path}"), 404, "NotFound")


@pytest.mark.parametrize(
    "path", ["orders/%00/", "products/%ff/", "stock/%ED%A0%80/", f"payments/{'x' * 3000}/"]
)
def test_a_query_for_what_cannot_be_is_404(operator, path):
    problem(operator.get(f"/api/queries/{path}"), 404, "NotFound")
