"""Who follows what in this process, and what is on its way to each."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Collection, Sequence

from eventstore import settings

from .feed import CloseSocket, FeedItem

# Events that a client may be behind before it is given up; it comes back and goes on from the last
# one it has.
MAILBOX = 500
# And bytes; a single event may be larger.
MAILBOX_BYTES = 4 << 20


class Follower:
    """One socket. held: the token by which it may follow. ended: why it has to be closed, once that
    is so."""

    def __init__(self, topic: str, *, after: int, held: str, who: str) -> None:
        self.topic, self.after, self.held, self.who = topic, after, held, who
        self.mailbox: asyncio.Queue[FeedItem] = asyncio.Queue(MAILBOX)
        self._bytes = 0
        self.ended: asyncio.Future[CloseSocket] = asyncio.get_running_loop().create_future()

    def take(self, told: FeedItem) -> None:
        if told.position <= self.after or self.ended.done():
            return
        if self.mailbox.full() or (self._bytes and self._bytes + len(told.text) > MAILBOX_BYTES):
            self.end(
                CloseSocket(
                    4408, "too slow; come back with the position of the last event that you have"
                )
            )
            return
        self._bytes += len(told.text)
        self.mailbox.put_nowait(told)

    async def next(self) -> FeedItem:
        """What is to be sent next, once there is something."""
        told = await self.mailbox.get()
        self._bytes -= len(told.text)
        return told

    def end(self, why: CloseSocket) -> None:
        if not self.ended.done():
            self.ended.set_result(why)


class Followers:
    """position: all up to there has been told to those who had joined."""

    def __init__(self) -> None:
        self.position = 0
        # Set for the reader, which looks seldom while nobody follows, by who is about to join and
        # by who has.
        self.wanted = asyncio.Event()
        self._about_to_join: list[asyncio.Future[None]] = []
        self._by_topic: defaultdict[str, set[Follower]] = defaultdict(set)
        self._of: Counter[str] = Counter()

    async def come_up(self) -> None:
        """Call it before joining: where nobody follows, the position may be old, and all since then
        would come into the mailbox at once."""
        if not self._by_topic:
            looked = asyncio.get_running_loop().create_future()
            self._about_to_join.append(looked)
            self.wanted.set()
            await looked

    def join(self, follower: Follower) -> int:
        """From the position that this returns on, the follower is told everything; what lies before
        is history.

        Nothing is awaited in here nor in tell, so that no event falls between the two, and none
        into both; and of two sockets that join at once, one is counted first.
        """
        if self._of[follower.who] >= settings.live_sockets_per_user():
            raise CloseSocket(
                4429, "you have as many sockets open as one user may; close one first"
            )
        self._of[follower.who] += 1
        self._by_topic[follower.topic].add(follower)
        self.wanted.set()
        return self.position

    def tell(self, told: Sequence[FeedItem], position: int) -> None:
        for each in told:
            for topic in each.topics:
                for follower in tuple(self._by_topic.get(topic, ())):
                    follower.take(each)
        self.position = position
        for looked in self._about_to_join:
            if not looked.done():
                looked.set_result(None)
        self._about_to_join.clear()

    def begin_anew(self, position: int) -> None:
        """Another epoch of the log: nobody goes on with what it may have lost. Who comes back
        begins where all is."""
        for follower in self._all():
            follower.end(
                CloseSocket(
                    1012, "the log has begun another epoch; come back with the last position"
                )
            )
        self.position = position

    def leave(self, follower: Follower) -> None:
        self._of -= Counter({follower.who: 1})
        self._by_topic[follower.topic].discard(follower)
        if not self._by_topic[follower.topic]:
            del self._by_topic[follower.topic]

    def held(self) -> set[str]:
        return {follower.held for follower in self._all()}

    def end_those_of(self, bad: Collection[str]) -> None:
        for follower in self._all():
            if follower.held in bad:
                follower.end(CloseSocket(4401, "the token has expired or was taken back"))

    def __len__(self) -> int:
        return len(self._all())

    def _all(self) -> list[Follower]:
        return [follower for each in self._by_topic.values() for follower in each]
