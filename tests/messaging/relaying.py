"""A process that relays: python -m tests.messaging.relaying CONTEXT BROKER OPTIONS [die|stop]

OPTIONS: of the broker, as JSON. die: it is killed with -9 after the broker has acknowledged a batch
and before the cursor moves; stop: it stands still there.
"""

import json
import os
import signal
import sys
import time
from types import ModuleType

import django
from django.conf import settings


def main(context, broker, options, fate=""):
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    settings.EVENTSTORE_WIRING = "tests.messaging.wired"
    settings.EVENTSTORE_BROKERS = {broker: json.loads(options)}
    module = ModuleType("tests.messaging.wired")
    sys.modules[module.__name__] = module
    django.setup()
    from eventstore import registry
    from eventstore.messaging import relay
    from tests.eventstore import toy

    from . import world

    names, wired = world.parts(context, broker)
    vars(module).update({name: getattr(toy, name) for name in dir(toy) if name.isupper()} | wired)
    number = {"die": signal.SIGKILL, "stop": signal.SIGSTOP}.get(fate)
    if number:
        settle = relay.Pump._settle

        def deadly(self, load, sent, **way):
            if load.messages:
                os.kill(os.getpid(), number)
            return settle(self, load, sent, **way)

        relay.Pump._settle = deadly
    (name,) = names.relays
    while True:
        relay.this_process.step(name, registry.subscriptions()[name])
        time.sleep(0.05)


if __name__ == "__main__":
    main(*sys.argv[1:])
