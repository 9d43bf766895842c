"""A worker whose provider takes very long, and whose leases are short: python -m
tests.eventstore.calling SUBSCRIPTION

It begins the calls that are due and waits for them, until somebody ends it.
"""

import os
import sys
import threading

import django
from django.conf import settings


def main(subscription):
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    settings.EVENTSTORE_WIRING = "tests.eventstore.toy"
    django.setup()
    from eventstore.delivery import step
    from eventstore.effects import leases
    from eventstore.subscriptions import Effect
    from tests.eventstore import toy

    leases.SECONDS, leases.ENOUGH, leases.RENEWED_EVERY = 0.6, 0.5, 0.1
    never = threading.Event()
    toy.SUBSCRIPTIONS |= {
        subscription: Effect(perform={toy.Counted: lambda event, key: never.wait()})
    }
    step.step(subscription)
    never.wait()


if __name__ == "__main__":
    main(*sys.argv[1:])
