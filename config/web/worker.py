"""A process that serves requests: it accepts, drains and ends."""

import asyncio
import errno
import os
import resource
import socket
from typing import Any

from gunicorn.workers.gasgi import ASGIWorker

from config import draining, settings

from . import let_stop
from .protocol import Protocol
from .refusals import Refusal

# File descriptors beside client connections: log, database, Redis, event loop.
OTHER_FILES = 100
HEARTBEAT_SECONDS = 1.0
# Too many open files, or no memory for another.
NO_ROOM = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
NO_ROOM_SECONDS = 1.0


class Worker(ASGIWorker):
    """gunicorn's, with threads for a WSGI application, and a drain in front of the end."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Connections on which no request is under way; the first one has been idle for longest.
        self.idle: dict[Protocol, None] = {}
        self._told = asyncio.Event()
        self._accepting: set[asyncio.Task[Any]] = set()
        self._draining = False
        self._ssl: Any = None

    alive: bool
    asgi: Any
    worker_connections: int

    @classmethod
    def check_config(cls, cfg: Any, log: Any) -> None:
        """Threads are right here, unlike for gunicorn's own ASGI worker."""

    def load_wsgi(self) -> None:
        from .application import Application  # once Django is set up

        super().load_wsgi()
        self.asgi = Application(self.asgi, self.cfg.threads)

    def handle_exit_signal(self) -> None:
        super().handle_exit_signal()
        self._told.set()

    def handle_quit_signal(self) -> None:
        super().handle_quit_signal()
        self._told.set()

    def note_idle(self, connection: Protocol) -> None:
        """Of too many connections, one that waits makes room."""
        self.idle[connection] = None
        if self.nr_conns > self.worker_connections:
            oldest = next(iter(self.idle))
            self.idle.pop(oldest)
            if oldest is connection:
                connection.refuse(
                    Refusal(503, "Too many connections. Try again in a moment.", retry_after=1)
                )
                connection.let_go()
            else:
                oldest.make_room()

    async def _serve(self) -> None:
        self.worker_connections = min(self.worker_connections, _most_files() - OTHER_FILES)
        let_stop()
        heart = asyncio.create_task(self._beat())
        self._ssl = self._get_ssl_context()
        for each in self.sockets:
            each.sock.setblocking(False)
            self._listen(each.sock)
        await self._told.wait()
        if not self._quick_shutdown:
            await self._drain()
        await self._shutdown()
        heart.cancel()

    async def _beat(self) -> None:
        """gunicorn kills a process that is silent for its time-out; one whose master has died ends
        by itself."""
        while True:
            self.notify()
            if self.ppid != os.getppid() or not self.alive:
                self.alive = False
                self._told.set()
            await asyncio.sleep(HEARTBEAT_SECONDS)

    async def _drain(self) -> None:
        """Readiness says so first, and every answer closes its connection; new connections are
        served meanwhile.

        Then what is on its way to being accepted is accepted, and nothing after it.
        """
        draining.begin()
        await asyncio.sleep(settings.WEB_DRAIN_SECONDS)
        self._draining = True
        for each in self.sockets:
            self.loop.remove_reader(each.sock.fileno())
            while self._accept(each.sock):
                pass
        if self._accepting:
            await asyncio.wait(self._accepting)
        for connection in list(self.idle):
            connection.let_go()

    def _listen(self, listener: socket.socket) -> None:
        if not self._draining:
            self.loop.add_reader(listener.fileno(), self._accept, listener)

    def _accept(self, listener: socket.socket) -> bool:
        """Accept one connection, so that processes share a crowd. Whether there was one.

        Where the system has no room for another, all that wait do so for a moment.
        """
        try:
            client, _ = listener.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return False
        except OSError as error:
            if error.errno not in NO_ROOM:
                raise
            self.log.error("No connection can be accepted: %s", error)
            self.loop.remove_reader(listener.fileno())
            self.loop.call_later(NO_ROOM_SECONDS, self._listen, listener)
            return False
        client.setblocking(False)
        accepting = self.loop.create_task(
            self.loop.connect_accepted_socket(lambda: Protocol(self), client, ssl=self._ssl)
        )
        self._accepting.add(accepting)
        accepting.add_done_callback(self._accepted)
        return True

    def _accepted(self, accepting: "asyncio.Task[Any]") -> None:
        self._accepting.discard(accepting)
        if not accepting.cancelled() and (error := accepting.exception()):
            self.log.debug("A connection failed before its first request: %s", error)


def _most_files() -> int:
    """As many open files as the system allows this process."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return most
