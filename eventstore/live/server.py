"""The WebSocket server: admits each socket, sends it the missing history, then new items."""

import asyncio
import logging
import signal
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from typing import Any, TypeVar

from django.db import DatabaseError, close_old_connections
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from eventstore import settings

from . import tail
from .feed import CloseSocket, Feed, Follow, SocketRequest
from .followers import Follower, Followers, too_slow

logger = logging.getLogger(__name__)

LIVE = "/health/live"

# Threads, each with a database connection, that admit sockets and read their history. The reader of
# the log has one more.
THREADS = 4
# For the client to receive one message, and to reply to a close.
SEND_SECONDS = 20.0
CLOSE_SECONDS = 2.0
LARGEST_MESSAGE_FROM_A_CLIENT = 1024

Result = TypeVar("Result")


class Sockets:
    """All sockets of this process."""

    def __init__(self, feed: Feed) -> None:
        self.feed, self.followers, self._served = feed, Followers(), 0
        self._queries = ThreadPoolExecutor(THREADS, "query")
        self._reader = ThreadPoolExecutor(1, "reader")

    async def serve(self, host: str, port: int) -> None:
        """Until SIGTERM or SIGINT. Raises the error if the reader fails, for instance at an event
        that this code cannot decode."""
        listening = serve(
            self.handle,
            host,
            port,
            process_request=lambda connection, request: (
                connection.respond(HTTPStatus.OK, "live\n") if request.path == LIVE else None
            ),
            process_response=lambda connection, request, response: _explain_error(
                self.feed, request, response
            ),
            # Never the token, which may be among the offered subprotocols.
            select_subprotocol=lambda connection, offered: (
                Subprotocol(self.feed.protocol) if self.feed.protocol in offered else None
            ),
            # Compression would need ten times the memory of the rest of a socket, for messages of
            # a few hundred bytes.
            compression=None,
            max_size=LARGEST_MESSAGE_FROM_A_CLIENT,
            max_queue=1,
            close_timeout=CLOSE_SECONDS,
            server_header=None,
        )
        async with listening as server:
            stopping, reading = asyncio.create_task(_signal()), asyncio.create_task(self._read())
            await asyncio.wait({stopping, reading}, return_when=asyncio.FIRST_COMPLETED)
            server.close(code=1001, reason="server shutting down; reconnect")
            if reading.done():
                reading.result()
            reading.cancel()

    async def handle(self, connection: ServerConnection) -> None:
        try:
            # Before authentication, so that a flood of anonymous clients does not occupy the
            # database threads.
            if self._served >= settings.live_sockets():
                raise CloseSocket(1013, "too many sockets; retry in a moment")
            self._served += 1
            try:
                ending = await self._serve(connection)
            finally:
                self._served -= 1
        except CloseSocket as rejected:
            ending = rejected
        except ConnectionClosed:
            return
        except DatabaseError as error:
            logger.warning("database error, closing a socket: %s", error)
            ending = CloseSocket(1013, "database unavailable; retry in a moment")
        logger.info("closing a socket: %s %s", ending.code, ending.reason)
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await connection.close(ending.code, ending.reason)
        except TimeoutError:
            # The client does not even receive the close frame. Unsent data is dropped.
            connection.transport.abort()

    async def _serve(self, connection: ServerConnection) -> CloseSocket:
        opening = connection.request
        assert opening is not None
        path, _, query = opening.path.partition("?")
        headers = dict[str, str]()
        for name, value in opening.headers.raw_items():
            # A header may be sent in several lines (RFC 9110, 5.3).
            key = name.lower()
            headers[key] = f"{headers[key]}, {value}" if key in headers else value
        offered = headers.get("sec-websocket-protocol", "").split(",")
        request = SocketRequest(path, query, headers, tuple(each.strip() for each in offered))
        token, who, followed = await self._query(self.feed.admit, request)
        follower = Follower(followed.topic, after=followed.after, held=token, who=who)
        await self.followers.catch_up()
        joined_at = self.followers.join(follower)
        logger.info("following %s after %s", followed.topic, followed.after)
        try:
            return await _first_of(
                self._stream(connection, followed, follower, joined_at),
                _receive(connection),
                _end_of(follower),
            )
        finally:
            self.followers.leave(follower)

    async def _stream(
        self, connection: ServerConnection, followed: Follow, follower: Follower, joined_at: int
    ) -> CloseSocket:
        if followed.restarted:
            await _send(connection, f'{{"restarted_after":{followed.after}}}')
        pages = followed.history(followed.after, joined_at)
        while page := await self._query(next, pages, None):
            for item in page:
                await _send(connection, item.text)
        await _send(connection, f'{{"caught_up":{max(followed.after, joined_at)}}}')
        while True:
            await _send(connection, (await follower.next()).text)

    async def _read(self) -> None:
        async def query(function: Callable[..., Any], *arguments: Any) -> Any:
            return await _run(self._reader, function, *arguments)

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(tail.follow(self.feed, self.followers, query))
            tasks.create_task(self._recheck_tokens())

    async def _recheck_tokens(self) -> None:
        """One query for all sockets."""
        while True:
            await asyncio.sleep(settings.live_recheck())
            try:
                # Tokens of sockets that join during the query were not checked by it.
                if held := self.followers.held():
                    valid = set(await self._query(self.feed.still_held, held))
                    self.followers.end_those_of(held - valid)
            except DatabaseError as error:
                logger.warning("cannot check tokens: %s", error)

    async def _query(self, function: Callable[..., Result], *arguments: Any) -> Result:
        return await _run(self._queries, function, *arguments)


async def _run(
    pool: ThreadPoolExecutor, function: Callable[..., Result], *arguments: Any
) -> Result:
    return await asyncio.get_running_loop().run_in_executor(pool, _connected, function, *arguments)


def _connected(function: Callable[..., Result], *arguments: Any) -> Result:
    # As Django does at the beginning of a request: a broken connection is not used again.
    close_old_connections()
    return function(*arguments)


def _explain_error(feed: Feed, request: Request, response: Response) -> None:
    """Replace the body of websockets' own error response, which repeats parts of the request."""
    if response.status_code >= HTTPStatus.BAD_REQUEST:
        headers, response.body = feed.no_socket(
            response.status_code, dict(request.headers.raw_items())
        )
        for name, value in {**headers, "Content-Length": str(len(response.body))}.items():
            response.headers.pop(name, None)
            response.headers[name] = value


async def _send(connection: ServerConnection, text: str) -> None:
    """Waits while the client receives nothing. Unsent items stay in the bounded mailbox. Raises
    CloseSocket."""
    try:
        async with asyncio.timeout(SEND_SECONDS):
            await connection.send(text)
    except TimeoutError:
        raise too_slow() from None


async def _receive(connection: ServerConnection) -> CloseSocket:
    await connection.recv()
    return CloseSocket(1003, "clients must not send messages")


async def _end_of(follower: Follower) -> CloseSocket:
    return await follower.ended


async def _first_of(*ways: Coroutine[Any, Any, CloseSocket]) -> CloseSocket:
    """The result of the first to end; the others are cancelled."""
    tasks = [asyncio.create_task(way) for way in ways]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return done.pop().result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _signal() -> None:
    received, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, received.set)
    await received.wait()
