"""Format figures as tables, with the machine they depend on: medians and spreads of the rounds."""

import os
import platform
from collections.abc import Mapping, Sequence
from statistics import median

from . import servers
from .contenders import OURS, Contender

Rates = Mapping[str, Sequence[float]]

LOG_ROWS = {
    "append_1_writer": "appends/s, 1 writer",
    "append_8_writers": "appends/s, 8 writers",
    "load_1001_events_ms": "ms to load 1,001 events",
    "log_read_events": "events/s read from the log",
}


def machine() -> str:
    facts = " ".join(f"{name}={value}" for name, value in servers.facts().items())
    cores, load = len(os.sched_getaffinity(0)), os.getloadavg()[0]
    return (
        f"{cores} cores, load {load:.1f} before the start, Python"
        f" {platform.python_version()}\nPostgreSQL {facts}"
    )


def orders(rates: Rates, contenders: Mapping[str, Contender]) -> str:
    lines = [f"{'':16}{'orders/s':>9}{'spread':>8}{'ours is':>9}  rounds"]
    for name, each in rates.items():
        ratio = f"{ratio_of(rates, name):.2f} x" if name != OURS and OURS in rates else ""
        rounds = " ".join(f"{rate:.0f}" for rate in each)
        line = f"{name:16}{median(each):>9.0f}{_spread(each):>8.0%}{ratio:>9}  {rounds:24}"
        lines.append(f"{line} {contenders[name].label}")
    return "\n".join(lines)


def log(figures: Mapping[str, Sequence[Mapping[str, float]]]) -> str:
    lines = [f"{'':28}" + "".join(f"{name:>15}" for name in figures)]
    for key, label in LOG_ROWS.items():
        medians = (median(one[key] for one in each) for each in figures.values())
        lines.append(f"{label:28}" + "".join(f"{value:>15,.1f}" for value in medians))
    floors = [
        one["floor_insert"] for each in figures.values() for one in each if "floor_insert" in one
    ]
    if floors:
        lines.append(
            f"the floor: {median(floors):,.0f} single INSERTs/s of one writer, one commit each"
        )
    return "\n".join(lines)


def ratio_of(rates: Rates, name: str) -> float:
    """The median of ours / theirs in each round, so that a drift of the machine cancels out."""
    return median(ours / theirs for ours, theirs in zip(rates[OURS], rates[name], strict=True))


def _spread(rates: Sequence[float]) -> float:
    return (max(rates) - min(rates)) / median(rates)
