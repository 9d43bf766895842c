"""How a subscription is, in a word."""

from django.utils.safestring import SafeString

from eventstore.operations import lag
from eventstore.operations.lag import Lag

from . import formatting


def badge(where: Lag) -> SafeString:
    return formatting.badge(*state(where))


def state(where: Lag) -> tuple[str, str]:
    """The word, and its mood."""
    if where.kind == "retired":
        return "retired", ""
    if where.name in lag.OUR_OWN:
        return "internal", ""
    if where.paused:
        return "paused", "waiting"
    if where.dead:
        return "dead letters", "bad"
    return ("behind", "waiting") if where.is_behind else ("up to date", "good")
