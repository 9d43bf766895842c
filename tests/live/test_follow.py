"""manage.py follow: a client that reconnects by itself."""

import signal
import subprocess
import sys

from .conftest import happens, placed


def following(ada, *order):
    return subprocess.Popen(
        [
            sys.executable,
            "-u",
            "manage.py",
            "follow",
            *order,
            "--url",
            ada.live.url(""),
            "--token",
            ada.token,
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_it_shows_each_event_once_though_the_server_is_killed_meanwhile(another_server, ada):
    ada.live = another_server
    order_id = placed(ada)
    with following(ada) as client:
        shown = [client.stdout.readline()]
        another_server.stop(signal.SIGKILL)
        happens(order_id, "meanwhile")
        another_server.start()
        shown.append(client.stdout.readline())
        happens(order_id, "later")
        shown.append(client.stdout.readline())
        client.kill()
    assert [line.split()[2] for line in shown] == [
        "orders.order_placed",
        *["orders.order_cancelled"] * 2,
    ]
    assert "meanwhile" in shown[1]
    assert "later" in shown[2]


def test_it_gives_up_where_coming_back_would_not_help(ada):
    with following(ada, "nobodys") as client:
        assert client.wait(60) == 1
        assert "4404" in client.stderr.read()
