"""A rebuild that is killed with -9 after its n-th checkpoint: python -m tests.eventstore.rebuilding_to_death NAME N"""

import os
import signal
import sys

import django
from django.conf import settings


def main(name, checkpoints):
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    settings.EVENTSTORE_WIRING = "tests.eventstore.toy"
    django.setup()
    from eventstore import rebuilding
    from eventstore.rebuilding import folding

    left = checkpoints
    folding.PAGE = folding.ROWS = 10
    commit = folding._commit

    def deadly(*args):
        nonlocal left
        commit(*args)
        left -= 1
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)

    folding._commit = deadly
    rebuilding.rebuild(name)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
