"""The state of a subscription as a badge."""

from django.utils.safestring import SafeString

from eventstore.operations import lag
from eventstore.operations.lag import Lag

from . import formatting


def badge(subscription: Lag) -> SafeString:
    return formatting.badge(*state(subscription))


def state(subscription: Lag) -> tuple[str, str]:
    """The state's name and its level, as formatting.badge takes them."""
    if subscription.kind == "retired":
        return "retired", ""
    if subscription.name in lag.OUR_OWN:
        return "internal", ""
    if subscription.paused:
        return "paused", "waiting"
    if subscription.dead:
        return "dead letters", "bad"
    return ("behind", "waiting") if subscription.is_behind else ("up to date", "good")
