"""A sender that is killed (SIGKILL): python -m tests.webhooks.killed SEAM

It dies before (-) or after (+) a function: +deliveries.claim, -deliveries.settle, -endpoints.… .
"""

import os
import signal
import sys
from importlib import import_module

import django


def main(seam):
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    from eventstore.webhooks.sender import Sender

    _kill(seam[0], *seam[1:].rsplit(".", 1))
    Sender().send_due()


def _kill(side, module, name):
    owner = import_module(f"eventstore.webhooks.{module}")
    function = getattr(owner, name)

    def killed(*args, **kwargs):
        if side == "+":
            function(*args, **kwargs)
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(owner, name, killed)


if __name__ == "__main__":
    main(*sys.argv[1:])
