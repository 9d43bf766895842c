"""The network between our processes and a server, with its bad days: reset, silent, slow."""

import asyncio
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from threading import Thread

from config.local.ports import HOST, free

CHUNK = 65536
# Closes with a reset, not in good order.
AT_ONCE = struct.pack("ii", 1, 0)


class Network:
    """A thread with an event loop, for all the proxies."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.thread = Thread(target=self.loop.run_forever, name="network", daemon=True)
        self.thread.start()

    def proxy_to(self, port: int) -> "Proxy":
        proxy = Proxy(port, self.loop)
        asyncio.run_coroutine_threadsafe(proxy.listen(), self.loop).result()
        return proxy

    def close(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()


class Proxy:
    """port: where it listens. passed: bytes it has carried; cut: connections it has cut off."""

    def __init__(self, target: int, loop: asyncio.AbstractEventLoop) -> None:
        self.target, self.loop, self.port = target, loop, free()
        self.delay, self.passed, self.cut = 0.0, 0, 0
        self._writers: set[asyncio.StreamWriter] = set()
        self._open = asyncio.Event()
        self._open.set()

    async def listen(self) -> None:
        await asyncio.start_server(self._accept, HOST, self.port)

    @property
    def connections(self) -> int:
        return len(self._writers) // 2

    def reset(self) -> int:
        """All connections at once, while whatever is under way is under way. Each fault tells how many it has met."""
        met = self.connections
        self._in_loop(self._reset)
        return met

    def fall_silent(self, seconds: float) -> int:
        """Nothing comes through and nobody is told; then, as after a firewall's restart, the connections are gone."""
        self._in_loop(self._open.clear)
        self._in_loop(lambda: self.loop.call_later(seconds, self._resume))
        return self.connections

    def slow_down(self, delay: float, seconds: float) -> int:
        self.delay = delay
        self._in_loop(lambda: self.loop.call_later(seconds, self.heal))
        return self.connections

    def heal(self) -> None:
        self.delay = 0.0
        self._in_loop(self._open.set)

    def _in_loop(self, action: Callable[[], object]) -> None:
        self.loop.call_soon_threadsafe(action)

    def _resume(self) -> None:
        self._reset()
        self._open.set()

    def _reset(self) -> None:
        self.cut += self.connections
        for writer in list(self._writers):
            sock = writer.get_extra_info("socket")
            with suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, AT_ONCE)
            writer.transport.abort()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there_reader, there_writer = await asyncio.open_connection(HOST, self.target)
        except OSError:
            writer.transport.abort()
            return
        pair = {writer, there_writer}
        self._writers |= pair
        try:
            await asyncio.gather(self._carry(reader, there_writer), self._carry(there_reader, writer))
        finally:
            self._writers -= pair
            for each in pair:
                each.transport.abort()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(CHUNK):
                await self._open.wait()
                if self.delay:
                    await asyncio.sleep(self.delay)
                writer.write(data)
                await writer.drain()
                self.passed += len(data)
        writer.transport.abort()
