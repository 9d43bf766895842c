"""An amount is what it says in the currency's own unit, and equal to itself in any other."""

import pytest
from iso4217 import Currency

from eventstore import codec, money
from eventstore.messages import InvalidMessage, replace
from eventstore.money import LARGEST, Money
from orders.catalogue.aggregate import Product


@pytest.mark.parametrize(
    ("amount", "currency", "text"),
    [
        (500, "JPY", "500 JPY"),
        (890, "EUR", "8.90 EUR"),
        (1235, "KWD", "1.235 KWD"),
        (7, "CLF", "0.0007 CLF"),
    ],
)
def test_without_an_exponent_it_is_in_the_currencys_own_unit(amount, currency, text):
    assert str(Money(amount, currency)) == text


def test_the_table_is_the_standards_own():
    assert {
        code: money.EXPONENTS[code] for code in ("EUR", "JPY", "ISK", "KWD", "CLF", "XAU", "XXX")
    } == {
        "EUR": 2,
        "JPY": 0,
        "ISK": 0,
        "KWD": 3,
        "CLF": 4,
        "XAU": None,
        "XXX": None,
    }
    assert set(money.PAYABLE) < {each.code for each in Currency}
    assert money.exponent_of("JPY") == 0
    for none in ("EUE", "ZZ", "XXX", "eur", ""):
        with pytest.raises(LookupError):
            money.exponent_of(none)


def test_equal_amounts_are_equal_in_whatever_unit():
    fine, coarse = Money(8900, "GBP", 3), Money(890, "GBP", 2)
    assert fine == coarse
    assert hash(fine) == hash(coarse)
    assert len({fine, coarse}) == 1
    assert Product(True, "Tea", fine) == Product(True, "Tea", coarse)
    assert coarse.at(3) == fine
    assert str(coarse.at(3)) == "8.900 GBP"
    for other in (Money(8901, "GBP", 3), Money(890, "EUR", 2), Money(8900, "GBP", 2), None, 890):
        assert fine != other


@pytest.mark.parametrize("currency", ["EUE", "ZZ", "eur", "EURO", ""])
def test_what_is_no_currency_is_refused(currency):
    with pytest.raises(InvalidMessage, match="ISO 4217"):
        Money(1, currency)


def test_what_was_recorded_in_a_currency_of_the_past_is_read_and_goes_back():
    leva = codec.decoder(Money)('{"amount":500,"currency":"BGN","exponent":2}')
    assert str(leva) == "5.00 BGN"
    assert leva.of(200) == replace(leva, amount=200)
    with pytest.raises(InvalidMessage):
        leva.of(LARGEST + 1)
    with pytest.raises(InvalidMessage):
        Money(500, "BGN")


def test_what_was_recorded_without_an_exponent_is_read_as_it_was_meant():
    assert str(codec.decoder(Money)('{"amount":500,"currency":"EUR"}')) == "5.00 EUR"
