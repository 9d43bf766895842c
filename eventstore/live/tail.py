"""The one reader of the log in this process: what lies between where it stands and the fence, again
and again."""

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

DATABASE_GONE_SECONDS = 1.0
# Between two looks where nobody follows. A socket that is about to join has one made for it.
ALONE_SECONDS = 2.0
# Between two looks where nothing has been appended for so many of them.
QUIET_SECONDS = 0.25
QUIET_LOOKS = 100

Ask = Callable[..., Awaitable[Any]]


class Page(NamedTuple):
    """until: where the reader stands now. more: whether it stopped before the fence. epoch: the
    mark of the log's."""

    told: Sequence[FeedItem]
    until: int
    more: bool
    epoch: int


async def follow(feed: Feed, followers: Followers, ask: Ask) -> None:
    """For ever. ask: runs a function that needs the database in a thread.

    As often as the settings say while anything is appended, to whatever stream; seldom where nobody
    follows, and somewhat later for the first event after a quiet time.
    """
    quiet = epoch = 0
    while True:
        anybody = len(followers) > 0
        try:
            page = await ask(_next, feed, followers.position, anybody)
        except (OperationalError, InterfaceError) as error:
            logger.warning("the log cannot be read just now: %s", error)
            await asyncio.sleep(DATABASE_GONE_SECONDS)
            continue
        if epoch not in (0, page.epoch):
            followers.begin_anew(page.until)
            epoch = page.epoch
            continue
        epoch = page.epoch
        if len(followers) > 0 and not anybody:
            continue  # who has joined meanwhile is owed what was passed over
        quiet = 0 if page.until > followers.position else quiet + 1
        followers.tell(page.told, page.until)
        if not page.more:
            await _pause(followers, quiet)


async def _pause(followers: Followers, quiet: int) -> None:
    if len(followers) > 0:
        await asyncio.sleep(
            max(settings.live_poll(), QUIET_SECONDS if quiet > QUIET_LOOKS else 0.0)
        )
        return
    try:
        async with asyncio.timeout(max(settings.live_poll(), ALONE_SECONDS)):
            await followers.wanted.wait()
    except TimeoutError:
        return
    followers.wanted.clear()


def _next(feed: Feed, position: int, anybody: bool) -> Page:
    fence, epoch = log.fence_and_epoch()
    if epoch is None or epoch != epochs.known_mark():
        # Before the first is told of another epoch, and to begin it where nobody else has.
        return Page((), log.fence(), more=False, epoch=epochs.renew())
    # It may fall back behind what was told already (see outbox.CLAIM).
    fence = max(position, fence)
    if fence == position or not anybody:
        return Page((), fence, more=False, epoch=epoch)
    messages = list(islice(log.read_log(after=position, until=fence, types=feed.types), log.PAGE))
    more = len(messages) == log.PAGE
    return Page(feed.told(messages), messages[-1].position if more else fence, more, epoch)
