"""The followers of this process, and the items that are queued for each."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Collection, Sequence

from eventstore import settings

from .feed import CloseSocket, FeedItem, Holding

# Items and bytes that may be queued for a client. A slower client is disconnected; it reconnects
# with the position of its last event. A single item may be larger.
MAILBOX = 500
MAILBOX_BYTES = 4 << 20


class Follower:
    """One socket. held: what permits it. ended: set with the reason when the socket has
    to
    be closed."""

    def __init__(self, topic: str, *, after: int, held: str, who: str) -> None:
        self.topic, self.after, self.who = topic, after, who
        self.held = Holding(held, topic)
        self.mailbox: asyncio.Queue[FeedItem] = asyncio.Queue(MAILBOX)
        self._bytes = 0
        self.ended: asyncio.Future[CloseSocket] = asyncio.get_running_loop().create_future()

    def put(self, item: FeedItem) -> None:
        if item.position <= self.after or self.ended.done():
            return
        if self.mailbox.full() or (self._bytes and self._bytes + len(item.text) > MAILBOX_BYTES):
            self.end(too_slow())
            return
        self._bytes += len(item.text)
        self.mailbox.put_nowait(item)

    async def next(self) -> FeedItem:
        """The next item to send; waits for one."""
        item = await self.mailbox.get()
        self._bytes -= len(item.text)
        return item

    def end(self, why: CloseSocket) -> None:
        if not self.ended.done():
            self.ended.set_result(why)


def too_slow() -> CloseSocket:
    return CloseSocket(4408, "client too slow; reconnect with the last position")


class Followers:
    """position: all items up to it were queued for the followers that had joined."""

    def __init__(self) -> None:
        self.position = 0
        # Wakes the reader, which polls rarely without followers.
        self.wanted = asyncio.Event()
        self._about_to_join: list[asyncio.Future[None]] = []
        self._by_topic: defaultdict[str, set[Follower]] = defaultdict(set)
        self._of: Counter[str] = Counter()

    async def catch_up(self) -> None:
        """Call it before join. Without followers the position may be old, and all events since then
        would be queued at once."""
        if not self._by_topic:
            read = asyncio.get_running_loop().create_future()
            self._about_to_join.append(read)
            self.wanted.set()
            await read

    def join(self, follower: Follower) -> int:
        """The follower gets all items after the returned position; those before it are history.
        Raises CloseSocket.

        Neither this method nor publish awaits anything, so no item falls between the two or into
        both, and the limit holds for sockets that join at once.
        """
        if self._of[follower.who] >= settings.live_sockets_per_user():
            raise CloseSocket(4429, "too many open sockets of this user; close one first")
        self._of[follower.who] += 1
        self._by_topic[follower.topic].add(follower)
        self.wanted.set()
        return self.position

    def publish(self, items: Sequence[FeedItem], position: int) -> None:
        for item in items:
            for topic in item.topics:
                for follower in tuple(self._by_topic.get(topic, ())):
                    follower.put(item)
        self.position = position
        for read in self._about_to_join:
            if not read.done():
                read.set_result(None)
        self._about_to_join.clear()

    def restart(self, position: int) -> None:
        """The log has another epoch, and may have lost what the followers have seen. They
        reconnect,
        and learn where to restart."""
        for follower in self._all():
            follower.end(
                CloseSocket(1012, "the log was restored; reconnect with the last position")
            )
        self.position = position

    def leave(self, follower: Follower) -> None:
        self._of -= Counter({follower.who: 1})
        self._by_topic[follower.topic].discard(follower)
        if not self._by_topic[follower.topic]:
            del self._by_topic[follower.topic]

    def held(self) -> set[Holding]:
        return {follower.held for follower in self._all()}

    def end_those_of(self, lost: Collection[Holding]) -> None:
        for follower in self._all():
            if follower.held in lost:
                reason = "the token has expired or was revoked, or its user lost the right to this"
                follower.end(CloseSocket(4401, reason))

    def __len__(self) -> int:
        return len(self._all())

    def _all(self) -> list[Follower]:
        return [follower for each in self._by_topic.values() for follower in each]
