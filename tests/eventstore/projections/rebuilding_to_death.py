"""A rebuild that is killed with -9 after an n-th checkpoint: python -m
tests.eventstore.projections.rebuilding_to_death NAME N [M]

M: in so many processes. Then the one that began the others is killed, after an n-th checkpoint of
any of them.
"""

import os
import signal
import sys
import time

import django
from django.conf import settings


def main(name, checkpoints, processes=1):
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    settings.EVENTSTORE_WIRING = "tests.eventstore.toy"
    django.setup()
    from eventstore.projections import rebuild
    from eventstore.projections.rebuild import fold

    left, victim = checkpoints, os.getpid()
    fold.PAGE = fold.ROWS = 10
    checkpoint = fold.Fold.checkpoint

    def deadly(*args):
        nonlocal left
        checkpoint(*args)
        left -= 1
        if not left:
            os.kill(victim, signal.SIGKILL)
            while os.getppid() == victim:
                time.sleep(0.001)

    fold.Fold.checkpoint = deadly
    rebuild.rebuild(name, processes=processes)


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
