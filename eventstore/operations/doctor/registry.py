"""The schema registry: whether the one that consumers ask answers, and whether ours has the schemas
that relays write with."""

from collections.abc import Callable, Iterator

from eventstore import registry, settings
from eventstore.schemas.registry.errors import RegistryUnreachable
from eventstore.subscriptions import AVRO, Relay

from .findings import CRITICAL, Finding, Limits


def ask() -> None:
    """The registry of the settings. Raises RegistryUnreachable."""
    from eventstore.schemas.registry.sources import Remote  # its libraries are an extra

    Remote(settings.schema_registry()).check()


def unreachable(limits: Limits, *, ask: Callable[[], None] = ask) -> Iterator[Finding]:
    if not settings.schema_registry():
        return
    try:
        ask()
    except RegistryUnreachable as error:
        yield Finding(
            check="schema-registry",
            severity=CRITICAL,
            what=f"The schema registry cannot be used: {error}",
            culprit="the registry at SCHEMA_REGISTRY_URL, or the credentials for it",
            why="Messages in Avro whose schema this process has not seen yet wait. Nothing is lost:"
            " they are retried until it answers.",
            mend="Start the registry, or correct SCHEMA_REGISTRY_URL and SCHEMA_REGISTRY_TOKEN;"
            " then manage.py dead_letters retry.",
        )


def unregistered(limits: Limits) -> Iterator[Finding]:
    contexts = {
        name.partition(".")[0]
        for name, each in registry.of_kind(Relay).items()
        if each.publication.encoding == AVRO
    }
    if not contexts:
        return
    from eventstore.schemas.registry import published  # its libraries are an extra

    names = [each for each in registry.published_types() if each.partition(".")[0] in contexts]
    if missing := published.unregistered(names):
        yield Finding(
            check="schema-unregistered",
            severity=CRITICAL,
            what=f"The schema registry lacks the schemas of {', '.join(missing)}.",
            culprit="a schema that changed, or that the registry has refused",
            why="Relays cannot publish these events in Avro: they are parked, and later ones of"
            " their keys wait.",
            mend="manage.py schemas --register; then manage.py dead_letters retry.",
        )


CHECKS = (unreachable, unregistered)
