"""Without followers the log is polled rarely; a socket that joins does not wait for the poll."""

import asyncio

from eventstore.live import tail
from eventstore.live.followers import Follower, Followers


class Log:
    """Responds at once. looks: the position of each poll, and whether there were followers."""

    def __init__(self):
        self.fence, self.looks = 0, []

    async def ask(self, next_, feed, position, anybody):
        self.looks.append((position, anybody))
        return tail.Page((), max(position, self.fence), more=False, epoch=1)


async def while_it_is_followed(log, followers, course):
    reading = asyncio.create_task(tail.follow(None, followers, log.ask))
    try:
        return await course
    finally:
        reading.cancel()


def test_who_joins_a_log_that_nobody_followed_joins_at_its_present_end():
    log, followers = Log(), Followers()

    async def course():
        while not log.looks:
            await asyncio.sleep(0)
        log.fence = 7
        await followers.catch_up()
        return followers.join(Follower("a", after=0, held="t", who="ada"))

    assert asyncio.run(while_it_is_followed(log, followers, course())) == 7
    assert log.looks == [(0, False), (0, False)], "one look when it began, and one for who came"


def test_the_look_after_a_join_waits_for_nothing(monkeypatch):
    monkeypatch.setattr(tail, "ALONE_SECONDS", 3600.0)
    log, followers = Log(), Followers()

    async def course():
        await followers.catch_up()
        followers.join(Follower("a", after=0, held="t", who="ada"))
        while not log.looks[-1][1]:
            await asyncio.sleep(0.001)

    asyncio.run(asyncio.wait_for(while_it_is_followed(log, followers, course()), 30))
    assert log.looks[-1] == (0, True)
