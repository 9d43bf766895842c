"""A receiver of webhooks: a real HTTP or HTTPS server in a thread of the test."""

import ssl
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple

from standardwebhooks import Webhook


class Request(NamedTuple):
    path: str
    headers: dict
    body: bytes

    @property
    def id(self):
        return self.headers["webhook-id"]

    def verified(self, secret):
        """The body, after the library of Standard Webhooks has verified it. Raises what it
        raises."""
        return Webhook(secret).verify(self.body, self.headers)


class Receiver:
    """answer: (request, handler) -> what to send; (status, headers, body), or None if the handler
    has answered by itself."""

    def __init__(self, answer=None, *, certificate=None):
        self.answer = answer or (lambda request, handler: (200, {}, b"ok"))
        self.requests = []
        self.came = threading.Condition()
        self.closing = threading.Event()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                request = Request(self.path, headers, body)
                with receiver.came:
                    receiver.requests.append(request)
                    receiver.came.notify_all()
                answer = receiver.answer(request, self)
                if answer is None:
                    self.close_connection = True
                    return
                status, headers, body = answer
                with suppress(OSError):
                    self.send_response(status)
                    for name, value in headers.items():
                        self.send_header(name, value)
                    self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)

            do_GET = do_POST

            def log_message(self, *args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.handle_error = lambda *_: None  # senders that hang up are no error here
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate.certificate, certificate.key)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}/hook"

    def wait_for(self, count, seconds=30):
        with self.came:
            assert self.came.wait_for(lambda: len(self.requests) >= count, seconds)
        return self.requests

    def close(self):
        self.closing.set()
        self.server.shutdown()
        self.server.server_close()


def slowly(receiver_of):
    """An answer whose body comes a byte at a time, for as long as the receiver lives."""

    def answer(request, handler):
        handler.send_response(200)
        handler.send_header("Content-Length", "1000000")
        handler.end_headers()
        closing = receiver_of().closing
        with suppress(OSError):
            while not closing.wait(0.02):
                handler.wfile.write(b"x")
                handler.wfile.flush()

    return answer


def slow_head(receiver_of):
    """Headers that come a byte at a time, and never end."""

    def answer(request, handler):
        closing = receiver_of().closing
        with suppress(OSError):
            handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
            while not closing.wait(0.02):
                handler.wfile.write(b"x")
                handler.wfile.flush()

    return answer


def never(receiver_of):
    """No answer at all."""
    return lambda request, handler: receiver_of().closing.wait() and None
