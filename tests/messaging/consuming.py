"""Consumers of the toy's counters, and a process that reads for one.

python -m tests.messaging.consuming CONTEXT BROKER OPTIONS [die|stop]

die: it is killed with -9 in the transaction that stores its first batch; after: behind it; stop: it
stands still in it.
"""

import json
import os
import signal
import sys
import time
from types import ModuleType

import django
from django.conf import settings


def parts(context, broker, handle=None, **options):
    """Of a wiring: a relay, and a consumer of what it publishes. By default it counts each message
    once more, in a counter of its own."""
    from eventstore.subscriptions import Commands, Consumer
    from tests.eventstore.toy import Count

    from . import world

    def echo(envelope):
        event = envelope.event
        return [Count(f"{context}-{event.counter_id}", event.amount, world.ECHO)]

    names, wired = world.parts(context, broker)
    names.consumer = f"{context}.reader"
    consumer = Consumer(broker, [f"events.{context}"], handle or {f"{context}.*": echo}, **options)
    wired["SUBSCRIPTIONS"] |= {names.consumer: consumer, "toy": Commands()}
    return names, wired


def main(context, broker, options, fate=""):
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    settings.EVENTSTORE_WIRING = "tests.messaging.wired"
    settings.EVENTSTORE_BROKERS = {broker: json.loads(options)}
    module = ModuleType("tests.messaging.wired")
    sys.modules[module.__name__] = module
    django.setup()
    from eventstore.delivery import readers
    from eventstore.messaging.consumers import intake
    from tests.eventstore import toy

    names, wired = parts(context, broker)
    vars(module).update({name: getattr(toy, name) for name in dir(toy) if name.isupper()} | wired)
    number = {"die": signal.SIGKILL, "after": signal.SIGKILL, "stop": signal.SIGSTOP}.get(fate)
    functions = ("store", "store_from_queue") if fate == "after" else ("_write",)

    def deadly(true):
        def act(*args):
            done = true(*args)
            if any(map(len, (each for each in args if isinstance(each, list)))):
                os.kill(os.getpid(), number)
            return done

        return act

    if number:
        for function in functions:
            setattr(intake, function, deadly(getattr(intake, function)))
    (reader,) = readers.readers([names.consumer])
    reader.start()
    while reader.thread.is_alive():
        time.sleep(0.1)


if __name__ == "__main__":
    main(*sys.argv[1:])
