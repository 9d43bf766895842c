"""The process that serves sockets: admits each, sends it the history that it lacks, then what
comes."""

import asyncio
import logging
import signal
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, contextmanager
from http import HTTPStatus
from typing import Any, TypeVar

from django.db import DatabaseError, close_old_connections
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from eventstore import settings

from . import tail
from .feed import CloseSocket, Feed, Follow, SocketRequest
from .followers import Follower, Followers

logger = logging.getLogger(__name__)

LIVE = "/health/live"

# Who admits sockets and reads their history; the reader of the log has a thread, and a connection,
# of its own.
THREADS = 4
# For one message to be taken, and for the close to be answered.
SEND_SECONDS = 20.0
CLOSE_SECONDS = 2.0
LARGEST_MESSAGE_FROM_A_CLIENT = 1024

Result = TypeVar("Result")


class Sockets:
    """All sockets of this process."""

    def __init__(self, feed: Feed) -> None:
        self.feed, self.followers, self._served = feed, Followers(), 0
        self._askers = ThreadPoolExecutor(THREADS, "asker")
        self._reader = ThreadPoolExecutor(1, "reader")

    async def serve(self, host: str, port: int) -> None:
        """Until SIGTERM or SIGINT, or until the log holds what this code cannot read; then the
        exception is raised."""
        async with _listening(self, host, port) as server:
            stopping, reading = asyncio.create_task(_signal()), asyncio.create_task(self._read())
            await asyncio.wait({stopping, reading}, return_when=asyncio.FIRST_COMPLETED)
            server.close(code=1001, reason="the server is going away; come back")
            if reading.done():
                reading.result()
            reading.cancel()

    async def answer(self, connection: ServerConnection) -> None:
        try:
            with self._room():
                ending = await self._serve(connection)
        except CloseSocket as refused:
            ending = refused
        except ConnectionClosed:
            return
        except DatabaseError as error:
            logger.warning("a socket cannot be served just now: %s", error)
            ending = CloseSocket(1013, "try again in a moment")
        await _close(connection, ending)

    @contextmanager
    def _room(self) -> Iterator[None]:
        """Taken before anybody is asked who it is: strangers who come in crowds shall not keep the
        askers busy."""
        if self._served >= settings.live_sockets():
            raise CloseSocket(
                1013, "this process serves as many sockets as it may; try again in a moment"
            )
        self._served += 1
        try:
            yield
        finally:
            self._served -= 1

    async def _serve(self, connection: ServerConnection) -> CloseSocket:
        token, who, followed = await self._ask(self.feed.admit, _asked(connection))
        follower = Follower(followed.topic, after=followed.after, held=token, who=who)
        await self.followers.come_up()
        joined_at = self.followers.join(follower)
        logger.info("%s is followed after %s", followed.topic, followed.after)
        try:
            return await _first_of(
                self._send(connection, followed, follower, joined_at),
                _hear(connection),
                _end_of(follower),
            )
        finally:
            self.followers.leave(follower)

    async def _send(
        self, connection: ServerConnection, followed: Follow, follower: Follower, joined_at: int
    ) -> CloseSocket:
        if followed.restarted:
            await _hand(connection, f'{{"restarted_after":{followed.after}}}')
        pages = followed.history(followed.after, joined_at)
        while page := await self._ask(next, pages, None):
            for told in page:
                await _hand(connection, told.text)
        await _hand(connection, f'{{"caught_up":{max(followed.after, joined_at)}}}')
        while True:
            await _hand(connection, (await follower.next()).text)

    async def _read(self) -> None:
        async def ask(function: Callable[..., Any], *arguments: Any) -> Any:
            return await _in(self._reader, function, *arguments)

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(tail.follow(self.feed, self.followers, ask))
            tasks.create_task(self._end_what_is_no_longer_allowed())

    async def _end_what_is_no_longer_allowed(self) -> None:
        """One question for all sockets."""
        while True:
            await asyncio.sleep(settings.live_recheck())
            try:
                # Only of those that were asked about: somebody may have joined meanwhile.
                if not (held := self.followers.held()):
                    continue
                self.followers.end_those_of(held - set(await self._ask(self.feed.still_held, held)))
            except DatabaseError as error:
                logger.warning("tokens cannot be looked at just now: %s", error)

    async def _ask(self, function: Callable[..., Result], *arguments: Any) -> Result:
        return await _in(self._askers, function, *arguments)


async def _in(pool: ThreadPoolExecutor, function: Callable[..., Result], *arguments: Any) -> Result:
    return await asyncio.get_running_loop().run_in_executor(pool, _connected, function, *arguments)


def _connected(function: Callable[..., Result], *arguments: Any) -> Result:
    # As at the beginning of a request: a connection that has broken meanwhile is not used again.
    close_old_connections()
    return function(*arguments)


def _listening(sockets: Sockets, host: str, port: int) -> AbstractAsyncContextManager[Server]:
    return serve(
        sockets.answer,
        host,
        port,
        process_request=_health,
        process_response=lambda connection, request, response: _tell_why(
            sockets.feed, request, response
        ),
        select_subprotocol=lambda connection, offered: _spoken(sockets.feed, offered),
        # Its memory would be ten times that of all else in a socket, for messages of a few hundred
        # bytes.
        compression=None,
        max_size=LARGEST_MESSAGE_FROM_A_CLIENT,
        max_queue=1,
        close_timeout=CLOSE_SECONDS,
        server_header=None,
    )


def _health(connection: ServerConnection, request: Request) -> Response | None:
    return connection.respond(HTTPStatus.OK, "live\n") if request.path == LIVE else None


def _tell_why(feed: Feed, request: Request, response: Response) -> None:
    """In place of what websockets says, which repeats what was sent."""
    if response.status_code >= HTTPStatus.BAD_REQUEST:
        headers, response.body = feed.no_socket(
            response.status_code, dict(request.headers.raw_items())
        )
        for name, value in {**headers, "Content-Length": str(len(response.body))}.items():
            response.headers.pop(name, None)
            response.headers[name] = value


def _spoken(feed: Feed, offered: Any) -> Subprotocol | None:
    """Never the token, which may stand among what is offered."""
    return Subprotocol(feed.protocol) if feed.protocol in offered else None


def _asked(connection: ServerConnection) -> SocketRequest:
    request = connection.request
    assert request is not None
    path, _, query = request.path.partition("?")
    headers = {name.lower(): value for name, value in request.headers.raw_items()}
    protocols = tuple(each.strip() for each in headers.get("sec-websocket-protocol", "").split(","))
    return SocketRequest(path, query, headers, protocols)


async def _hand(connection: ServerConnection, text: str) -> None:
    """Waits while the client takes nothing: what is not sent yet stays in the bounded mailbox."""
    try:
        async with asyncio.timeout(SEND_SECONDS):
            await connection.send(text)
    except TimeoutError:
        raise CloseSocket(
            4408, "too slow; come back with the position of the last event that you have"
        ) from None


async def _hear(connection: ServerConnection) -> CloseSocket:
    await connection.recv()
    return CloseSocket(1003, "nothing is expected from you")


async def _end_of(follower: Follower) -> CloseSocket:
    return await follower.ended


async def _first_of(*ways: Coroutine[Any, Any, CloseSocket]) -> CloseSocket:
    """What ends first; the others are gone when this returns."""
    tasks = [asyncio.create_task(way) for way in ways]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return done.pop().result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _close(connection: ServerConnection, why: CloseSocket) -> None:
    logger.info("a socket is closed: %s %s", why.code, why.reason)
    try:
        async with asyncio.timeout(CLOSE_SECONDS):
            await connection.close(why.code, why.reason)
    except TimeoutError:
        # It takes not even the close: what is still to be sent is dropped with the connection.
        connection.transport.abort()


async def _signal() -> None:
    heard, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, heard.set)
    await heard.wait()
