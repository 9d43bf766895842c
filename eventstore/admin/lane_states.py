"""How a lane is, in a word."""

from django.utils.safestring import SafeString

from eventstore import lag
from eventstore.lag import Lag

from . import shown


def badge(where: Lag) -> SafeString:
    if where.kind == "retired":
        return shown.badge("retired")
    if where.name in lag.OUR_OWN:
        return shown.badge("internal")
    if where.paused:
        return shown.badge("paused", "waiting")
    if where.dead:
        return shown.badge("dead letters", "bad")
    return shown.badge("behind", "waiting") if where.is_behind else shown.badge("up to date", "good")
