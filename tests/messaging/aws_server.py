"""A server of AWS on loopback: moto's, as a process of its own."""

import os
import subprocess
import sys
from importlib.util import find_spec
from urllib.error import URLError
from urllib.request import urlopen

from tools.devserver import ports

CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
SNS = "eventstore.messaging.aws.sns.Sns"
EVENTBRIDGE = "eventstore.messaging.aws.eventbridge.EventBridge"


def missing():
    """What is missing to run one here; "" when nothing is."""
    wanted = [name for name in ("boto3", "moto", "flask") if find_spec(name) is None]
    return " and ".join(wanted)


class AwsServer:
    def __init__(self):
        self.port = ports.free()
        self.address = f"http://127.0.0.1:{self.port}"
        self.process = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self.port)],
            env=os.environ | CREDENTIALS,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def answers(self):
        assert self.process.poll() is None, "the server has ended"
        try:
            return bool(urlopen(f"{self.address}/moto-api/data.json", timeout=5))
        except URLError:
            return False

    def stop(self):
        self.process.kill()
        self.process.wait()
