"""A worker that is killed with -9 at a seam: python -m tests.eventstore.crashing LANE MODULE.FUNCTION

It dies after that function has returned, before anything else is done.
"""

import os
import signal
import sys
from importlib import import_module

import django
from django.conf import settings


def main(lane, seam):
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    settings.EVENTSTORE_WIRING = "tests.eventstore.toy"
    django.setup()
    from eventstore import delivery

    from . import toy

    toy.SUBSCRIPTIONS |= {"toy.round": toy.ROUND, "toy.effect": toy.EFFECT}
    _die_after(*seam.rsplit(".", 1))
    while delivery.step(lane):
        pass


def _die_after(module, name):
    owner = import_module(f"eventstore.{module}")
    function = getattr(owner, name)

    def deadly(*args, **kwargs):
        function(*args, **kwargs)
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(owner, name, deadly)


if __name__ == "__main__":
    main(*sys.argv[1:])
