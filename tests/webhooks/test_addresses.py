"""Which addresses webhooks may go to."""

import threading

import pytest

from eventstore.webhooks import addresses
from eventstore.webhooks.addresses import AddressRefused, NotResolved, Target


@pytest.fixture(autouse=True)
def _in_production(_webhooks_to_this_machine, settings):
    settings.EVENTSTORE_WEBHOOK_ALLOW_HTTP = False
    settings.EVENTSTORE_WEBHOOK_NETWORKS = ()
    settings.EVENTSTORE_WEBHOOK_PORTS = (443, 8443)


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("https://hook.example", ("https", "hook.example", 443, "/")),
        ("https://hook.example:8443/a?b=c", ("https", "hook.example", 8443, "/a?b=c")),
        ("https://[2606:4700::1111]/", ("https", "2606:4700::1111", 443, "/")),
        ("https://8.8.8.8/x", ("https", "8.8.8.8", 443, "/x")),
        ("https://HOOK.example/", ("https", "hook.example", 443, "/")),
    ],
)
def test_a_url_is_taken_apart(url, target):
    assert addresses.parse(url) == Target(*target)


@pytest.mark.parametrize(
    "url",
    [
        "http://hook.example/",
        "ftp://hook.example/",
        "file:///etc/passwd",
        "//hook.example/",
        "hook.example",
        "https://",
        "https:///path",
        "https://user@hook.example/",
        "https://user:word@hook.example/",
        "https://@hook.example/",
        "https://hook.example:22/",
        "https://hook.example:0/",
        "https://hook.example:99999/",
        "https://hook.example/#part",
        "https://hook.example/#",
        "https://hook.example\\@127.0.0.1/",
        "https://hook.example\n.evil.example/",
        "https://hook.example /",
        "https://ｈook.example/",
        "https://hook..example/",
        "https://hook.example./",
        "https://[fe80::1%25eth0]/",
        "https://[::1/",
        "https://" + "a" * 64 + ".example/",
        "https://hook.example/" + "a" * 2048,
    ],
)
def test_what_is_no_address_for_webhooks_is_refused(url):
    with pytest.raises(AddressRefused):
        addresses.parse(url)


REFUSED = [
    "127.0.0.1",
    "127.255.255.254",
    "0.0.0.0",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "100.100.100.200",  # the metadata service of Alibaba
    "169.254.169.254",  # of AWS, Google, Azure
    "169.254.170.2",  # of ECS
    "168.63.129.16",  # of Azure
    "192.0.0.192",  # of Oracle
    "192.0.2.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "192.88.99.1",
    "224.0.0.1",
    "233.252.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:8.8.8.8",
    "::ffff:0:127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::808:808",
    "64:ff9b:1::1",
    "2002:7f00:1::1",
    "2001::1",
    "2001:db8::1",
    "fc00::1",
    "fd00:ec2::254",  # the metadata service of AWS
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
    "no address",
]


@pytest.mark.parametrize("address", REFUSED)
def test_an_address_that_is_not_public_is_refused(address):
    with pytest.raises(AddressRefused):
        addresses.check(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "93.184.215.14", "2606:4700::1111"])
def test_a_public_address_is_allowed(address):
    addresses.check(address)


def test_a_network_is_allowed_by_a_setting_alone(settings):
    settings.EVENTSTORE_WEBHOOK_NETWORKS = ("127.0.0.0/8",)
    addresses.check("127.0.0.1")
    with pytest.raises(AddressRefused):
        addresses.check("10.0.0.1")


def test_one_private_address_among_public_ones_is_enough_to_refuse():
    target = addresses.parse("https://hook.example/")
    with pytest.raises(AddressRefused):
        addresses.resolve(target, lambda host, port: ["8.8.8.8", "10.0.0.1"], seconds=5)


def test_the_error_does_not_say_what_a_name_resolves_to():
    target = addresses.parse("https://intranet.example/")
    with pytest.raises(AddressRefused) as refused:
        addresses.resolve(target, lambda host, port: ["10.20.30.40"], seconds=5)
    assert "10.20.30.40" not in str(refused.value)


@pytest.mark.parametrize("host", ["2130706433", "0x7f000001", "0177.0.0.1", "127.1", "localhost"])
def test_other_ways_to_write_a_private_address_are_refused_after_resolution(host):
    target = addresses.parse(f"https://{host}/")
    with pytest.raises((AddressRefused, NotResolved)):
        addresses.resolve(target, addresses.system_resolver, seconds=5)


def test_a_look_up_that_hangs_ends_with_the_time(monkeypatch):
    over = threading.Event()
    target = addresses.parse("https://hook.example/")
    with pytest.raises(NotResolved, match="too long"):
        addresses.resolve(target, lambda host, port: over.wait() and [], seconds=0.05)
    over.set()


def test_look_ups_that_hang_are_bounded_in_number(monkeypatch):
    over = threading.Event()
    monkeypatch.setattr(addresses, "_look_ups", threading.BoundedSemaphore(2))
    target = addresses.parse("https://hook.example/")

    def hang(host, port):
        over.wait()
        return ["8.8.8.8"]

    for _ in range(2):
        with pytest.raises(NotResolved, match="too long"):
            addresses.resolve(target, hang, seconds=0.01)
    with pytest.raises(NotResolved, match="Too many"):
        addresses.resolve(target, lambda host, port: ["8.8.8.8"], seconds=0.01)
    over.set()
