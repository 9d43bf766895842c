"""The header Prefer (RFC 7240): read in one pass, and never an error."""

from types import SimpleNamespace

import pytest

from eventstore.api import requests

READ = {
    "": {},
    "respond-async": {"respond-async": ""},
    "wait=5": {"wait": "5"},
    'wait="5"': {"wait": "5"},
    "wait = 5": {"wait": "5"},
    "respond-async, wait=5": {"respond-async": "", "wait": "5"},
    "Respond-Async,WAIT=5": {"respond-async": "", "wait": "5"},
    "wait=1, wait=2": {"wait": "1"},
    'foo; bar="a, b", return=minimal; x; y=1': {"foo": "", "return": "minimal"},
    'foo="a, return=minimal", wait=1': {"foo": "a, return=minimal", "wait": "1"},
    'foo="a \\" , b", wait=1': {"foo": 'a " , b', "wait": "1"},
    ", ,wait=1,": {"wait": "1"},
    "a b, wait=1": {"wait": "1"},
    'foo="open, wait=1': {},
    'foo="a"b, wait=1': {"wait": "1"},
    "=5, wait=1": {"wait": "1"},
    "wäit=5, wait=1": {"wait": "1"},
    "x" * 1001: {},
}


def preferred(header):
    return requests.preferences(SimpleNamespace(headers={"Prefer": header}))


@pytest.mark.parametrize("header", READ)
def test_what_is_preferred(header):
    assert preferred(header) == READ[header]


class Counted(str):
    """Counts how often its characters are read."""

    seen = 0

    def __iter__(self):
        for each in str(self):
            Counted.seen += 1
            yield each


@pytest.mark.parametrize(
    "trap",
    ["a" * 333 + " " * 666 + '"', ";" * 1000, '"' * 999, '\\"' * 500, "a=" * 500, "a," * 500],
)
def test_each_character_is_looked_at_once_for_each_way_to_cut(trap):
    Counted.seen = 0
    list(requests._split(Counted(trap), ","))
    assert Counted.seen <= len(trap)
    preferred(trap)
