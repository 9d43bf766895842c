"""The log loses its tail while sockets are open: clients that have seen more restart from the
intact part, and learn so."""

import json
import time

import pytest
from websockets.exceptions import ConnectionClosed

from eventstore.log import epochs
from eventstore.outbox import cursors
from eventstore.testing import drain
from tests.eventstore.concurrently import until
from tests.restore.losing import first_epoch, forget_the_mark, last, lose_behind

from .conftest import PATIENCE_SECONDS, happens, in_log, placed, received

MINE = "/ws/customers/me/"


@pytest.fixture(autouse=True)
def whole(transactional_db):
    cursors.ensure_cursors()
    yield
    first_epoch()
    time.sleep(
        0.2
    )  # the server looks every 0.01 s, and shall not send away who comes with the next test


def lost(position):
    lose_behind(position)
    forget_the_mark()
    epochs.renew()


def messages(socket, count):
    return [json.loads(socket.recv(timeout=PATIENCE_SECONDS)) for _ in range(count)]


def come_back(customer, path, read):
    """Messages of a socket, which reconnects when it is closed: the server may not have noticed the
    restore yet."""
    while True:
        try:
            with customer.open(path) as socket:
                return read(socket)
        except ConnectionClosed as closed:
            if closed.rcvd is None or closed.rcvd.code != 1012:
                raise


def until_reason(socket, reason="told"):
    """All events up to the one with that reason."""
    events = received(socket, 1)
    while events[-1]["data"].get("reason") != reason:
        events += received(socket, 1)
    return events


def test_who_follows_is_sent_away_and_told_when_it_comes_back_with_what_is_lost(ada):
    order_id = placed(ada)
    drain()
    whole = last()
    seen = happens(order_id, "lost", "lost too")
    with ada.open(MINE) as socket:
        received(socket, 3)
        lost(whole)
        with pytest.raises(ConnectionClosed) as closed:
            while True:
                socket.recv(timeout=PATIENCE_SECONDS)
        assert closed.value.rcvd.code == 1012
    happens(order_id, "told")
    began, events = come_back(
        ada, f"{MINE}?after={seen}", lambda socket: (messages(socket, 1), until_reason(socket))
    )
    assert began == [{"restarted_after": epochs.history()[-1].intact}]
    # Events after the intact part may come again; lost ones do not.
    assert not {"lost", "lost too"} & {each["data"].get("reason") for each in events}


def test_no_event_of_the_new_epoch_is_left_out_however_many_there_are(ada):
    """If positions were used twice, some new events would come before what the client has seen."""
    order_id = placed(ada)
    drain()
    whole = last()
    seen = happens(order_id, *["lost"] * 50)
    lost(whole)
    for number in range(80):
        happens(order_id, str(number))
    path = f"/ws/orders/{order_id}/?position={seen}"
    began, events = come_back(
        ada, path, lambda socket: (messages(socket, 1), until_reason(socket, "79"))
    )
    assert "restarted_after" in began[0]
    reasons = [each["data"].get("reason") for each in events]
    assert reasons[-80:] == [str(number) for number in range(80)]
    assert "lost" not in reasons


def test_who_has_seen_nothing_that_may_be_lost_goes_on_as_ever(ada):
    order_id = placed(ada)
    drain()
    whole = last()
    happens(order_id, "lost")
    lost(whole)
    happens(order_id, "told")
    first, *_ = come_back(ada, f"{MINE}?after={whole}", lambda socket: messages(socket, 2))
    assert first.get("data") == {"reason": "told"} or "caught_up" in first


def test_a_position_of_no_log_begins_at_the_first_event_and_says_so(ada):
    placed(ada)
    with ada.open(f"{MINE}?after={10**17}") as socket:
        assert messages(socket, 2)[0] == {"restarted_after": 0}


def test_a_version_that_the_order_does_not_have_begins_at_its_first_event_and_says_so(ada):
    order_id = placed(ada)
    with ada.open(f"/ws/orders/{order_id}/?after=5") as socket:
        assert messages(socket, 1) == [{"restarted_after": 0}]
        assert received(socket, 1)[0]["version"] == 1


def test_as_long_as_no_epoch_has_begun_nobody_is_told_what_may_be_lost(ada):
    """The WebSocket server begins the epoch if no worker or writer has."""
    order_id = placed(ada)
    with ada.open(MINE) as socket:
        received(socket, 1)
        forget_the_mark()
        until(lambda: epochs.ask().mark is not None, seconds=PATIENCE_SECONDS)
    assert in_log([order_id])
