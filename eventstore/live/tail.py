"""The one reader of the log in this process: polls for events between its position and the
high-water mark."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from itertools import islice
from typing import Any, NamedTuple

from django.db import InterfaceError, OperationalError

from eventstore import log, settings
from eventstore.log import epochs

from .feed import Feed, FeedItem
from .followers import Followers

logger = logging.getLogger(__name__)

DATABASE_ERROR_SECONDS = 1.0
# Between two polls without followers. A socket that is about to join wakes the reader.
ALONE_SECONDS = 2.0
# Between two polls after so many of them have found nothing.
QUIET_SECONDS = 0.25
QUIET_POLLS = 100

Query = Callable[..., Awaitable[Any]]


class Page(NamedTuple):
    """until: the reader's new position. more: whether it is below the high-water mark. epoch: the
    mark of the log's epoch."""

    items: Sequence[FeedItem]
    until: int
    more: bool
    epoch: int


async def follow(feed: Feed, followers: Followers, query: Query) -> None:
    """Runs for ever. query: runs a function in a thread with a database connection.

    Polls as often as the settings say while events are appended to any stream, rarely without
    followers, and less often after a quiet time, so that its first event comes somewhat later.
    """
    quiet = epoch = 0
    while True:
        has_followers = len(followers) > 0
        try:
            page = await query(_next, feed, followers.position, has_followers)
        except (OperationalError, InterfaceError) as error:
            logger.warning("cannot read the log: %s", error)
            await asyncio.sleep(DATABASE_ERROR_SECONDS)
            continue
        if epoch not in (0, page.epoch):
            followers.restart(page.until)
            epoch = page.epoch
            continue
        epoch = page.epoch
        if len(followers) > 0 and not has_followers:
            continue  # the events were skipped, but a follower has joined meanwhile: read them
        quiet = 0 if page.until > followers.position else quiet + 1
        followers.publish(page.items, page.until)
        if not page.more:
            await _pause(followers, quiet)


async def _pause(followers: Followers, quiet: int) -> None:
    if len(followers) > 0:
        await asyncio.sleep(
            max(settings.live_poll(), QUIET_SECONDS if quiet > QUIET_POLLS else 0.0)
        )
        return
    try:
        async with asyncio.timeout(max(settings.live_poll(), ALONE_SECONDS)):
            await followers.wanted.wait()
    except TimeoutError:
        return
    followers.wanted.clear()


def _next(feed: Feed, position: int, has_followers: bool) -> Page:
    fence, epoch = log.fence_and_epoch()
    if epoch is None or epoch != epochs.known_mark():
        # Before any item of the new epoch is sent. Begins the epoch if no other process has.
        return Page((), log.fence(), more=False, epoch=epochs.renew())
    # The high-water mark may fall behind what was sent already (see outbox.CLAIM).
    fence = max(position, fence)
    if fence == position or not has_followers:
        return Page((), fence, more=False, epoch=epoch)
    messages = list(islice(log.read_log(after=position, until=fence, types=feed.types), log.PAGE))
    more = len(messages) == log.PAGE
    return Page(feed.items(messages), messages[-1].position if more else fence, more, epoch)
