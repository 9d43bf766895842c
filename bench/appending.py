"""Ours: appends per second of one writer, on the log of DATABASE_URL.

usage: python -m bench.one bench.appending EVENTS
"""

import json

import django

from . import log


def main(events: int) -> None:
    django.setup()
    log.save(min(200, events))
    print(json.dumps({"append_1_writer": log.rate(1, events)}))
