"""A TCP proxy between us and a server. Its connections can be cut or frozen at a chosen moment."""

import contextlib
import socket
import threading


class Proxy:
    """swallow: the next answer of the server is lost, and its connection with it. closed: nobody is
    let in.

    path: of a socket in the file system to be reached by, instead of by TCP.
    """

    def __init__(self, host, port, *, path=None):
        self.target = host, int(port)
        self.swallow = self.closed = False
        self.pairs, self.frozen = [], set()
        self.listener = socket.socket(socket.AF_UNIX if path else socket.AF_INET)
        self.listener.bind(path or ("127.0.0.1", 0))
        self.listener.listen()
        self.host, self.port = (path, None) if path else self.listener.getsockname()
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self):
        """Break what is open; the server and the client each see the other go."""
        pairs, self.pairs = self.pairs, []
        for pair in pairs:
            for each in pair:
                _close(each)

    def freeze(self):
        """As when the network goes down: what is open stays so, and neither side hears the other
        any more, not even that it goes. New connections work."""
        pairs, self.pairs = self.pairs, []
        self.frozen.update(each for pair in pairs for each in pair)

    def close(self):
        self.closed = True
        _close(self.listener)
        self.cut()
        for each in self.frozen:
            _close(each)

    def _accept(self):
        while not self.closed:
            with contextlib.suppress(OSError):
                client, _ = self.listener.accept()
                pair = client, socket.create_connection(self.target)
                self.pairs.append(pair)
                threading.Thread(target=self._pump, args=(*pair, False), daemon=True).start()
                threading.Thread(
                    target=self._pump, args=(*reversed(pair), True), daemon=True
                ).start()

    def _pump(self, source, sink, is_answer):
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                if is_answer and self.swallow:
                    self.swallow = False
                    break
                if source not in self.frozen:
                    sink.sendall(data)
        if source in self.frozen and not self.closed:
            return
        _close(source)
        _close(sink)


def _close(each):
    with contextlib.suppress(OSError):
        each.shutdown(socket.SHUT_RDWR)
    each.close()
