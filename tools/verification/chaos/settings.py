"""The shop's settings, with a wiring that also has a consumer for each broker."""

from config.settings import *  # noqa: F403

EVENTSTORE_WIRING = "tools.verification.chaos.wiring"
