"""A client whose server vanishes without a word: its network goes down, and nobody is left to send
it a reset.

usage: unshare --map-root-user --net python -m tests.eventstore.vanishing PATH (a socket that leads
to the server)

Prints `ready` before that and then what became of the statement, as one line each.
"""

import socket
import subprocess
import sys
import threading

import django

from eventstore import defaults

# As everywhere, in a tenth of the time.
defaults.SILENCE = {"keepalives_idle": 1, "keepalives_interval": 1, "keepalives_count": 1}
defaults.UNANSWERED_MS = 2000


def main(path):
    network("up")
    door = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=lead, args=(door, path), daemon=True).start()
    django.setup()
    from django.conf import settings
    from django.db import OperationalError

    from eventstore.postgres import rows

    settings.DATABASES["default"] |= {"HOST": "127.0.0.1", "PORT": door.getsockname()[1]}
    for _ in range(5):
        rows("SELECT 1")
    network("down")
    print("ready", flush=True)
    try:
        rows("SELECT 1")
    except OperationalError as error:
        print(error)


def network(way):
    subprocess.run(["ip", "link", "set", "lo", way], check=True)


def lead(door, path):
    client, _ = door.accept()
    server = socket.socket(socket.AF_UNIX)
    server.connect(path)
    threading.Thread(target=pump, args=(server, client), daemon=True).start()
    pump(client, server)


def pump(source, sink):
    while data := source.recv(1 << 16):
        sink.sendall(data)


if __name__ == "__main__":
    main(sys.argv[1])
