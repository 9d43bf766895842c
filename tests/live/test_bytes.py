"""The memory of a socket is bounded by bytes: one page of its history, one mailbox of new
events."""

import asyncio

import pytest
from django.contrib.auth.models import User

from eventstore import log
from eventstore.live import followers
from eventstore.live.feed import FeedItem
from eventstore.live.followers import Follower
from orders.api import live
from orders.api import public_events as timeline

from .conftest import happens, placed

ROOM = 4000


class Customer:
    def __init__(self, user):
        self.user = user


@pytest.mark.django_db
@pytest.mark.parametrize(("each", "fewest"), [(100, 2), (3000, 15), (9000, 30)])
def test_a_page_of_history_ends_early_and_nothing_is_left_out(monkeypatch, each, fewest):
    monkeypatch.setattr(live, "PAGE_BYTES", ROOM)
    order_id = placed(Customer(User.objects.create(username="ada")))
    until = happens(order_id, *(str(number).ljust(each, "x") for number in range(30)))
    pages = list(live._pages(timeline.entry, lambda _: [order_id], 0, until))
    assert [item.position for page in pages for item in page] == [
        message.position for message in log.read_stream(f"order-{order_id}")
    ]
    assert len(pages) >= fewest
    assert all(
        sum(len(item.text) for item in page[:-1]) <= ROOM + 400 * len(page) for page in pages
    )


def test_a_mailbox_is_full_by_bytes_too(monkeypatch):
    monkeypatch.setattr(followers, "MAILBOX_BYTES", 1000)

    async def follow():
        follower = Follower("topic", after=0, held="token", who="ada")
        for position in (1, 2):
            follower.put(FeedItem(position, ("topic",), "x" * 400))
        assert not follower.ended.done()
        assert (await follower.next()).position == 1
        follower.put(FeedItem(3, ("topic",), "x" * 400))
        assert not follower.ended.done(), "what was taken makes room"
        follower.put(FeedItem(4, ("topic",), "x" * 400))
        assert follower.ended.result().code == 4408

    asyncio.run(follow())


def test_one_event_larger_than_a_mailbox_is_told_all_the_same(monkeypatch):
    monkeypatch.setattr(followers, "MAILBOX_BYTES", 1000)

    async def follow():
        follower = Follower("topic", after=0, held="token", who="ada")
        follower.put(FeedItem(1, ("topic",), "x" * 5000))
        assert (await follower.next()).position == 1
        assert not follower.ended.done()

    asyncio.run(follow())
