import os
import time

import pytest

from tests.journeys.conftest import url_of_the_test

from . import journey, statements, watching, world

pytestmark = pytest.mark.django_db(transaction=True)
EVENTS = int(os.environ.get("PLANS_EVENTS", "100000"))


@pytest.mark.parametrize("state", world.STATES)
def test_x(state):
    people = journey.story()
    t = time.time()
    with world.filled(url_of_the_test(), events=EVENTS, state=state):
        print("filled", time.time() - t)
        t = time.time()
        with watching.watched(watching.Watch()) as watch:
            try:
                journey.live(people)
            finally:
                print("lived", time.time() - t, len(watch.met), sum(watch.met.values()), len(watch.looks))
                met = list(watch.met)
                for name, st in statements.constants().items():
                    if not statements.is_met(st, met):
                        print("UNMET", name)
                worst = {}
                for l in watch.looks:
                    k = (l.statement)
                    s = l.buffers / l.items
                    if k not in worst or worst[k].buffers - 60 * worst[k].items < l.buffers - 60 * l.items:
                        worst[k] = l
                import pickle
                pickle.dump([tuple(x) for x in watch.looks], open(f"/tmp/looks-{state}.pickle", "wb"))
                for l in []: print(l)
                for l in sorted(worst.values(), key=lambda l: -(l.buffers - 60 * l.items))[:60]:
                    print(l.buffers, l.items, l.mode, l.statement[:230])
