"""The network between our processes and a server, with its bad days: reset, silent, slow."""

import asyncio
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from threading import Thread

from tools.devserver.ports import HOST, free

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


class BadSpell:
    """A while in which the network is slow or silent. met: what it held back, also of those who
    came to it later."""

    def __init__(self, delay: float = 0.0) -> None:
        self.delay, self.met = delay, 0


class Proxy:
    """port: where it listens. passed: bytes it has carried; cut: connections it has cut off."""

    def __init__(self, target: int, loop: asyncio.AbstractEventLoop) -> None:
        self.target, self.loop, self.port = target, loop, free()
        self.slow = self.silent = BadSpell()
        self.passed, self.cut = 0, 0
        self._writers: set[asyncio.StreamWriter] = set()
        self._open = asyncio.Event()
        self._open.set()

    async def listen(self) -> None:
        await asyncio.start_server(self._accept, HOST, self.port)

    @property
    def connections(self) -> int:
        return len(self._writers) // 2

    def reset(self) -> int:
        """All connections at once, while whatever is under way is under way; how many that were."""
        met = self.connections
        self._in_loop(self._reset)
        return met

    def fall_silent(self, seconds: float) -> BadSpell:
        """Nothing comes through and nobody is told; then, as after a firewall's restart, the
        connections are gone."""
        self.silent = BadSpell()
        self._in_loop(self._open.clear)
        self._in_loop(lambda: self.loop.call_later(seconds, self._resume))
        return self.silent

    def slow_down(self, delay: float, seconds: float) -> BadSpell:
        """Whatever comes through takes so many seconds more."""
        self.slow = BadSpell(delay)
        self._in_loop(lambda: self.loop.call_later(seconds, self.heal))
        return self.slow

    def heal(self) -> None:
        self.slow = BadSpell()
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
            await asyncio.gather(
                self._carry(reader, there_writer), self._carry(there_reader, writer)
            )
        finally:
            self._writers -= pair
            for each in pair:
                each.transport.abort()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(CHUNK):
                if not self._open.is_set():
                    self.silent.met += 1
                    await self._open.wait()
                if self.slow.delay:
                    self.slow.met += 1
                    await asyncio.sleep(self.slow.delay)
                writer.write(data)
                await writer.drain()
                self.passed += len(data)
        writer.transport.abort()
