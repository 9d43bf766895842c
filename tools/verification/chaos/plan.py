"""The plan of faults. It depends on the seed alone, so the same seed gives the same plan."""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random


@dataclass(frozen=True)
class Fault:
    """at: seconds after the start of the load. seconds: duration. target: index of one of several
    alike."""

    at: float
    what: str
    target: int
    seconds: float


# A deck of cards, drawn without replacement, so that each fault comes in its share even in a short
# run.
DECK = {
    "kill_pool_child": 5,
    "kill_worker": 3,
    "kill_web": 3,
    "kill_beat": 1,
    "kill_postgres": 2,
    "kill_redis": 2,
    "stop_worker": 2,
    "stop_web": 1,
    "reset_database": 3,
    "silence_database": 1,
    "slow_database": 2,
    "reset_broker": 1,
    "flush_broker": 1,
    "jump_clock": 2,
    "copy_tasks": 2,
    "poison": 2,
    "idle_transaction": 1,
    "hot_stream": 1,
    "webhooks": 4,
    "deploy": 1,
}


def plan(
    seed: int, *, begin: float, end: float, gap: tuple[float, float], deck: dict[str, int] = DECK
) -> list[Fault]:
    random = Random(f"plan {seed}")
    cards: list[str] = []
    faults: list[Fault] = []
    at = begin
    while at < end:
        cards = cards or _shuffle(random, deck)
        what, target = cards.pop(), random.randrange(2)
        seconds = min(random.uniform(5, 15), max(end - at, 1.0))
        faults.append(Fault(round(at, 1), what, target, round(seconds, 1)))
        at += random.uniform(*gap)
    return faults


def counted(faults: Sequence[Fault]) -> dict[str, int]:
    return {
        what: sum(each.what == what for each in faults)
        for what in sorted({each.what for each in faults})
    }


def _shuffle(random: Random, deck: dict[str, int]) -> list[str]:
    cards = [what for what, count in deck.items() for _ in range(count)]
    random.shuffle(cards)
    return cards
