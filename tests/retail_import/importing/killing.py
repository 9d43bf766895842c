"""An importer that kills itself (SIGKILL) after some batches.

usage: python -m tests.retail_import.importing.killing FILE BATCHES

It delivers after every batch but the last one.
"""

import os
import signal
import sys

import django
from django.core.management import call_command


def main(path, batches):
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    from eventstore.delivery import worker
    from retail_import.importing import issuing

    issuing.BATCH = 4
    append, left = issuing._append, int(batches) + 1  # the first one lists the products

    def deadly(*args):
        nonlocal left
        append(*args)
        left -= 1
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)
        worker.work()

    issuing._append = deadly
    call_command("import_orders", path)


if __name__ == "__main__":
    main(*sys.argv[1:])
