"""The process that serves requests: it accepts connections, drains them, and ends."""

import asyncio
import errno
import gc
import os
import resource
import socket
import sys
from typing import Any

from gunicorn.workers.gasgi import ASGIWorker

from config import draining, settings

from . import unblock_signals
from .early_errors import EarlyError
from .protocol import Protocol

# File descriptors for other purposes than connections: log, database, Redis, event loop.
OTHER_FILES = 100
HEARTBEAT_SECONDS = 1.0
# Too many open files, or out of memory.
NO_ROOM = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
NO_ROOM_SECONDS = 1.0
# A request takes the interpreter's lock about seven times, each time after a wait for the network.
# With Python's default, 5 ms, a thread that computes makes it wait as long each time.
SWITCH_SECONDS = 0.0005


class Worker(ASGIWorker):
    """gunicorn's ASGI worker, with threads for a WSGI application, and draining before the end."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Connections without a request in progress, the longest idle first.
        self.idle: dict[Protocol, None] = {}
        self._stopping = asyncio.Event()
        self._accepting: set[asyncio.Task[Any]] = set()
        self._draining = False
        self._ssl: Any = None

    alive: bool
    asgi: Any
    worker_connections: int

    @classmethod
    def check_config(cls, cfg: Any, log: Any) -> None:
        """gunicorn's own ASGI worker rejects --threads; this one uses them."""

    def load_wsgi(self) -> None:
        super().load_wsgi()
        from .application import Application  # needs Django set up

        self.asgi = Application(self.asgi, self.cfg.threads)
        sys.setswitchinterval(SWITCH_SECONDS)
        # A full collection, which stops all threads, skips what is loaded for good.
        gc.collect()
        gc.freeze()

    def handle_exit_signal(self) -> None:
        super().handle_exit_signal()
        self._stopping.set()

    def handle_quit_signal(self) -> None:
        super().handle_quit_signal()
        self._stopping.set()

    def note_idle(self, connection: Protocol) -> None:
        """Close the longest idle connection if there are too many."""
        self.idle[connection] = None
        if self.nr_conns > self.worker_connections:
            oldest = next(iter(self.idle))
            self.idle.pop(oldest)
            if oldest is connection:
                connection.send_error(
                    EarlyError(503, "Too many connections. Retry in a moment.", retry_after=1)
                )
                connection.close_idle()
            else:
                oldest.abort_idle()

    async def _serve(self) -> None:
        _, most_files = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most_files, most_files))
        self.worker_connections = min(self.worker_connections, most_files - OTHER_FILES)
        unblock_signals()
        heart = asyncio.create_task(self._beat())
        self._ssl = self._get_ssl_context()
        for each in self.sockets:
            each.sock.setblocking(False)
            self._listen(each.sock)
        await self._stopping.wait()
        if not self._quick_shutdown:
            await self._drain()
        await self._shutdown()
        heart.cancel()

    async def _beat(self) -> None:
        """Without heartbeats gunicorn's master kills the process. If the master has died, the
        process ends by itself."""
        while True:
            self.notify()
            if self.ppid != os.getppid() or not self.alive:
                self.alive = False
                self._stopping.set()
            await asyncio.sleep(HEARTBEAT_SECONDS)

    async def _drain(self) -> None:
        """Readiness fails first, and every response closes its connection; new connections are
        still served. Then the connections in the listen queue are accepted, and none after them."""
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
            connection.close_idle()

    def _listen(self, listener: socket.socket) -> None:
        if not self._draining:
            self.loop.add_reader(listener.fileno(), self._accept, listener)

    def _accept(self, listener: socket.socket) -> bool:
        """Accept one connection only, so that processes share a burst. Returns whether there was
        one.

        If the system is out of file descriptors or memory, accepting pauses for a moment.
        """
        try:
            client, _ = listener.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return False
        except OSError as error:
            if error.errno not in NO_ROOM:
                raise
            self.log.error("cannot accept connections: %s", error)
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
            self.log.debug("connection failed before its first request: %s", error)
