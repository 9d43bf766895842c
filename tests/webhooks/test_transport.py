"""One call: bounded in time and size, and to the address that was checked."""

import socket
import ssl
import threading

import pytest

from eventstore.webhooks import addresses, transport
from tests.messaging import certificates

from .receiver import never, slow_head, slowly

NAME = "hook.example"


def post(url, **options):
    return transport.post(url, {"webhook-id": "1"}, b'{"a":1}', **options)


@pytest.fixture
def here():
    """A resolver that finds this machine, and counts how often it is asked."""
    asked = []

    def resolve(host, port):
        asked.append(host)
        return ["127.0.0.1"]

    resolve.asked = asked
    return resolve


def test_a_call_carries_the_body_the_headers_and_nothing_else(receiver, monkeypatch):
    there = receiver(lambda request, handler: (202, {"Set-Cookie": "a=b"}, b"taken"))
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("NETRC", "/nowhere")
    first, second = post(there.url), post(there.url)
    assert (first.status, first.response, first.error) == (202, "taken", "")
    assert second.status == 202
    for request in there.requests:
        assert (request.path, request.body) == ("/hook", b'{"a":1}')
        assert set(request.headers) == {
            "host",
            "content-type",
            "user-agent",
            "connection",
            "content-length",
            "webhook-id",
        }


def test_a_response_of_5_mb_is_cut(receiver):
    there = receiver(lambda request, handler: (200, {}, b"x" * 5_000_000))
    answer = post(there.url)
    assert answer.is_success
    assert answer.response == "x" * transport.STORED_BYTES


def test_compressed_bytes_stay_compressed(receiver):
    there = receiver(lambda request, handler: (200, {"Content-Encoding": "gzip"}, b"\x1f\x8b\0\0"))
    answer = post(there.url)
    assert answer.is_success
    assert "\0" not in answer.response


def test_headers_without_end_are_refused(receiver):
    def answer(request, handler):
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n" + b"X-Many: 1\r\n" * 100_000)

    found = post(receiver(answer).url)
    assert found.status is None
    assert found.error


@pytest.mark.parametrize("kind", [slow_head, never], ids=["head", "nothing"])
def test_a_receiver_that_is_slow_is_bounded_by_the_time_of_the_whole_call(receiver, settings, kind):
    settings.EVENTSTORE_WEBHOOK_TIMEOUT = 0.3
    there = receiver(kind(lambda: there))
    answer = post(there.url)
    assert (answer.status, answer.error) == (None, "The call took too long.")


def test_control_a_limit_for_each_read_never_ends_such_a_call(receiver):
    """A byte comes every 20 ms: after 50 of them, a call of 0.3 s should have ended."""
    import httpx

    there = receiver(slowly(lambda: there))
    with httpx.Client(timeout=0.3) as naive, naive.stream("POST", there.url) as response:
        assert sum(1 for _ in zip(range(50), response.iter_raw(1), strict=False)) == 50


def test_a_body_that_never_ends_is_cut_and_the_status_counts(receiver, settings):
    settings.EVENTSTORE_WEBHOOK_TIMEOUT = 0.3
    there = receiver(slowly(lambda: there))
    answer = post(there.url)
    assert answer.is_success


def test_a_receiver_that_does_not_read_is_bounded_too(settings):
    settings.EVENTSTORE_WEBHOOK_TIMEOUT = 0.3
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
        url = f"http://127.0.0.1:{deaf.getsockname()[1]}/"
        answer = transport.post(url, {}, b"x" * 50_000_000)
    assert (answer.status, answer.error) == (None, "The call took too long.")


def test_redirects_are_not_followed(receiver):
    secret = receiver()
    there = receiver(lambda request, handler: (302, {"Location": secret.url}, b""))
    answer = post(there.url)
    assert answer.status == 302
    assert "redirects are not followed" in answer.error
    assert secret.requests == []


def test_a_name_that_resolves_to_this_machine_is_refused_and_nothing_is_sent(
    receiver, here, settings
):
    settings.EVENTSTORE_WEBHOOK_NETWORKS = ()
    there = receiver()
    answer = post(f"http://{NAME}:{there.port}/", resolver=here)
    assert answer.error == addresses.NOT_PUBLIC
    assert there.requests == []


class Rebinding:
    """A name server that answers with a public address first, and with a private one then."""

    def __init__(self, first, second):
        self.answers, self.asked = [first, second], 0

    def __call__(self, host, port):
        self.asked += 1
        return [self.answers[min(self.asked, 2) - 1]]


def test_a_name_is_resolved_once_and_the_call_goes_to_the_address_that_was_checked(
    receiver, settings
):
    # 127.0.0.1 stands for the public address, 127.0.0.2 for the private one.
    settings.EVENTSTORE_WEBHOOK_NETWORKS = ("127.0.0.1/32",)
    there, resolver = receiver(), Rebinding("127.0.0.1", "127.0.0.2")
    answer = post(f"http://{NAME}:{there.port}/", resolver=resolver)
    assert answer.is_success
    assert resolver.asked == 1
    assert there.requests[0].headers["host"] == f"{NAME}:{there.port}"
    # The next call resolves, and checks, again.
    answer = post(f"http://{NAME}:{there.port}/", resolver=resolver)
    assert answer.error == addresses.NOT_PUBLIC
    assert len(there.requests) == 1


def test_control_who_checks_first_and_connects_by_name_reaches_the_private_address(
    receiver, monkeypatch, settings
):
    """What the test above guards against: the naive order of check and connection."""
    import httpx

    settings.EVENTSTORE_WEBHOOK_NETWORKS = ("127.0.0.1/32",)
    resolver = Rebinding("127.0.0.1", "127.0.0.2")
    secret = receiver()
    for address in resolver(NAME, secret.port):
        addresses.check(address)  # the check passes
    looked_up = socket.getaddrinfo

    def again(host, port, *args, **kwargs):
        host = host if isinstance(host, str) else host.decode()
        return looked_up(resolver(host, port)[0] if host == NAME else host, port, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", again)
    with socket.create_server(("127.0.0.2", 0)) as private:
        url = f"http://{NAME}:{private.getsockname()[1]}/"
        with pytest.raises(httpx.TimeoutException):
            httpx.post(url, timeout=0.3)
        private.settimeout(5)
        reached, _ = private.accept()
        reached.close()


@pytest.fixture(scope="module")
def ours(tmp_path_factory):
    if reason := certificates.missing():
        pytest.skip(f"no {reason}")
    folder = tmp_path_factory.mktemp("certificates")
    authority = certificates.authority(folder, "authority")
    return authority, certificates.server(folder, "hook", authority, NAME, kind="DNS")


def test_tls_verifies_the_name_while_connecting_to_the_address(receiver, here, ours, settings):
    authority, certificate = ours
    settings.EVENTSTORE_WEBHOOK_CA_FILE = str(authority.certificate)
    there = receiver(certificate=certificate)
    assert post(f"https://{NAME}:{there.port}/", resolver=here).is_success
    answer = post(f"https://other.example:{there.port}/", resolver=here)
    assert answer.status is None
    assert "CERTIFICATE_VERIFY_FAILED" in answer.error
    assert post(f"https://127.0.0.1:{there.port}/").status is None
    assert len(there.requests) == 1


def test_a_certificate_of_an_unknown_authority_is_refused(receiver, here, ours):
    there = receiver(certificate=ours[1])
    answer = post(f"https://{NAME}:{there.port}/", resolver=here)
    assert "CERTIFICATE_VERIFY_FAILED" in answer.error
    assert there.requests == []


def test_the_name_is_sent_with_the_handshake(here, ours, settings):
    authority, certificate = ours
    settings.EVENTSTORE_WEBHOOK_CA_FILE = str(authority.certificate)
    named = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.certificate, certificate.key)
    context.sni_callback = lambda sock, name, context: named.append(name)
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve():
            connection, _ = server.accept()
            with context.wrap_socket(connection, server_side=True) as encrypted:
                received = b""
                while b'{"a":1}' not in received:
                    received += encrypted.recv(65536)
                encrypted.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")

        thread = threading.Thread(target=serve)
        thread.start()
        answer = post(f"https://{NAME}:{server.getsockname()[1]}/", resolver=here)
        thread.join()
    assert answer.status == 204
    assert named == [NAME]


def test_a_dead_endpoint_is_an_answer_too():
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    answer = post(f"http://127.0.0.1:{port}/")
    assert answer.status is None
    assert answer.error.startswith("ConnectError")


@pytest.mark.parametrize(
    "said",
    [b"", b"no http\r\n\r\n", b"HTTP/1.1 999999 X\r\n\r\n", b"HTTP/1.1 200 OK\r\nbad\0: x\r\n\r\n"],
)
def test_what_is_not_http_is_an_answer_too(receiver, said):
    def answer(request, handler):
        handler.wfile.write(said)

    found = post(receiver(answer).url)
    assert found.status is None
    assert found.error
