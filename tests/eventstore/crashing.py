"""A worker that is killed or stopped at a seam: python -m tests.eventstore.crashing SUBSCRIPTION
MODULE.FUNCTION [SIGNAL]

It dies (SIGKILL) or stands still (SIGSTOP) after that function has returned, before anything else
is done.
"""

import os
import signal
import sys
from pkgutil import resolve_name

import django
from django.conf import settings


def main(subscription, seam, name="SIGKILL"):
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    settings.EVENTSTORE_WIRING = "tests.eventstore.toy"
    django.setup()
    from eventstore.delivery import step

    from . import toy

    toy.SUBSCRIPTIONS |= {"toy.round": toy.ROUND, "toy.effect": toy.EFFECT}
    _signal_after(*seam.rsplit(".", 1), signal.Signals[name])
    while step.step(subscription):
        pass


def _signal_after(module, name, number):
    owner = resolve_name(f"eventstore.{module}")
    function = getattr(owner, name)

    def signalled(*args, **kwargs):
        answer = function(*args, **kwargs)
        os.kill(os.getpid(), number)
        return answer

    setattr(owner, name, signalled)


if __name__ == "__main__":
    main(*sys.argv[1:])
