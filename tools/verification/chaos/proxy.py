"""TCP proxies between our processes and a server, with network faults: resets, silence, latency."""

import asyncio
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from threading import Thread

from tools.devserver.ports import HOST, free

CHUNK, END_SECONDS = 65536, 2.0
# SO_LINGER of 0 s: closes with a reset (RST).
RESET = struct.pack("ii", 1, 0)


class Network:
    """A thread with an event loop for all proxies."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.thread = Thread(target=self.loop.run_forever, name="network", daemon=True)
        self.thread.start()
        self._proxies: list[Proxy] = []

    def proxy_to(self, port: int) -> "Proxy":
        proxy = Proxy(port, self.loop)
        asyncio.run_coroutine_threadsafe(proxy.listen(), self.loop).result()
        self._proxies.append(proxy)
        return proxy

    def close(self) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self.loop).result()
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()

    async def _end(self) -> None:
        for proxy in self._proxies:
            proxy.end()
        if tasks := asyncio.all_tasks() - {asyncio.current_task()}:
            await asyncio.wait(tasks, timeout=END_SECONDS)


class Disturbance:
    """A time in which the network is slow or silent. delayed: the chunks of data that it
    delayed."""

    def __init__(self, delay: float = 0.0) -> None:
        self.delay, self.delayed = delay, 0


class Proxy:
    """port: where it listens. passed: bytes that it has forwarded. cut: connections that it has
    reset."""

    def __init__(self, target: int, loop: asyncio.AbstractEventLoop) -> None:
        self.target, self.loop, self.port = target, loop, free()
        self.slow = self.silent = Disturbance()
        self.passed, self.cut = 0, 0
        self._writers: set[asyncio.StreamWriter] = set()
        self._open = asyncio.Event()
        self._open.set()

    async def listen(self) -> None:
        self._server = await asyncio.start_server(self._accept, HOST, self.port)

    def end(self) -> None:
        """In the loop: refuse new connections, and reset the open ones."""
        self._server.close()
        self._resume()

    @property
    def connections(self) -> int:
        return len(self._writers) // 2

    def reset(self) -> int:
        """Reset all connections at once. Returns their number."""
        count = self.connections
        self._in_loop(self._reset)
        return count

    def fall_silent(self, seconds: float) -> Disturbance:
        """Forward nothing for a time, without closing; then reset the connections, as after the
        restart of a firewall."""
        self.silent = Disturbance()
        self._in_loop(self._open.clear)
        self._in_loop(lambda: self.loop.call_later(seconds, self._resume))
        return self.silent

    def slow_down(self, delay: float, seconds: float) -> Disturbance:
        """Delay every chunk of data by so many seconds."""
        self.slow = Disturbance(delay)
        self._in_loop(lambda: self.loop.call_later(seconds, self.heal))
        return self.slow

    def heal(self) -> None:
        self.slow = Disturbance()
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
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            writer.transport.abort()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            server_reader, server_writer = await asyncio.open_connection(HOST, self.target)
        except OSError:
            writer.transport.abort()
            return
        pair = {writer, server_writer}
        self._writers |= pair
        try:
            await asyncio.gather(
                self._forward(reader, server_writer), self._forward(server_reader, writer)
            )
        finally:
            self._writers -= pair
            for each in pair:
                each.transport.abort()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(CHUNK):
                if not self._open.is_set():
                    self.silent.delayed += 1
                    await self._open.wait()
                if self.slow.delay:
                    self.slow.delayed += 1
                    await asyncio.sleep(self.slow.delay)
                writer.write(data)
                await writer.drain()
                self.passed += len(data)
        writer.transport.abort()
