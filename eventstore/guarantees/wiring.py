"""Checks for manage.py check: the wiring is complete and consistent."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from importlib.util import find_spec
from typing import Any

import msgspec
from django.apps import apps
from django.core.checks import CheckMessage, Error, Warning, register
from django.db.models import Model

from eventstore import log, registry, settings
from eventstore.subscriptions import (
    AVRO,
    JSON,
    NOW,
    Commands,
    Consumer,
    Publication,
    Saga,
    Webhooks,
)

from . import forms, references

TYPE_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}\.[a-z][a-z0-9_]{0,62}")
SUBSCRIPTION_NAME = re.compile(
    r"[a-z][a-z0-9_]{0,62}(\.[a-z][a-z0-9_]{0,62})?(@[a-z][a-z0-9_]{0,62})?"
)


@register()
def check_wiring(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    found: list[CheckMessage] = list(forms.check())
    if not found:
        for check in (*CHECKS, *references.CHECKS):
            found += _run(check)
    return found


def _run(check: Callable[[], Iterable[CheckMessage]]) -> Iterator[CheckMessage]:
    """An error in a check is a finding: `manage.py check` shows the others, too."""
    try:
        yield from check()
    except Exception as error:  # whatever the project's objects raise
        yield Error(
            f"The check {check.__name__} failed with {error!r}. Something in the wiring has a form"
            " that it does not expect.",
            id="eventstore.E045",
        )


def _invalid_names() -> Iterator[Error]:
    """Of stored types, categories and subscriptions."""
    wiring = registry.wiring()
    names = Counter(name for table in (*wiring.EVENTS, *wiring.COMMANDS) for name in table)
    for name, count in names.items():
        if count > 1:
            yield Error(
                f"The stored name {name!r} is used {count} times.",
                hint="Give each class a stored name of its own.",
                id="eventstore.E001",
            )
    for name in (*registry.types(), *registry.published_types()):
        if not TYPE_NAME.fullmatch(name):
            yield Error(
                f"The stored name {name!r} does not have the form `context.what_happened`.",
                hint="Use two lower-case words with a dot between, such as orders.order_placed.",
                id="eventstore.E011",
            )
    categories = Counter(aggregate.category for aggregate in wiring.AGGREGATES)
    for category, count in categories.items():
        if count > 1:
            yield Error(
                f"{count} aggregates have the category {category!r}.",
                hint="Give each aggregate a category of its own: its streams begin with it.",
                id="eventstore.E013",
            )
        if not log.CATEGORY.fullmatch(category):
            yield Error(
                f"The category {category!r} is not a lower-case word.",
                hint="Use lower-case letters, digits and underscores, beginning with a letter.",
                id="eventstore.E014",
            )
    for name in registry.subscriptions():
        if not SUBSCRIPTION_NAME.fullmatch(name):
            yield Error(
                f"The subscription name {name!r} does not have the form `context` or"
                " `context.what_it_does`.",
                hint="Rename it, such as orders.details.",
                id="eventstore.E015",
            )


def _undecided_commands() -> Iterator[Error]:
    """Commands need one decider, and a subscription to be enqueued for."""
    wiring = registry.wiring()
    deciders = Counter(command for aggregate in wiring.AGGREGATES for command in aggregate.decide)
    deciders.update(command for table in getattr(wiring, "DECISIONS", ()) for command in table)
    for command, count in deciders.items():
        if count > 1:
            yield Error(
                f"{command.__name__} has {count} deciders.",
                hint="Decide each command in one aggregate, or in DECISIONS.",
                id="eventstore.E002",
            )
    for table in wiring.COMMANDS:
        for name, command in table.items():
            if command not in deciders:
                yield Error(
                    f"{name!r} has no decider.",
                    hint="Add it to `decide` of its aggregate, or remove it from COMMANDS.",
                    id="eventstore.E003",
                )
    topics = {name.partition(".")[0] for table in wiring.COMMANDS for name in table}
    for topic in topics - registry.of_kind(Commands).keys():
        yield Error(
            f"No Commands() subscription named {topic!r}: commands enqueued for it would never be"
            " decided.",
            hint="Add a Commands() of this name to SUBSCRIPTIONS.",
            id="eventstore.E006",
        )


def _events_without_a_name() -> Iterator[Error]:
    wiring, stored = registry.wiring(), registry.types()
    evolved = {event for aggregate in wiring.AGGREGATES for event in aggregate.evolve}
    handled = {event for each in registry.subscriptions().values() for event in each.handles}
    # Classes of a saga's contract get their name there, if an event is stored under that name.
    for saga in registry.of_kind(Saga).values():
        handled -= {cls for name, cls in saga.contract.items() if name in stored}
    for event in (evolved | handled) - set(registry.names()):
        yield Error(
            f"{event.__name__} has no stored name in EVENTS.",
            hint="Add it to EVENTS, under the name that the log stores.",
            id="eventstore.E004",
        )
    for table in wiring.EVENTS:
        for name, event in table.items():
            if event not in evolved:
                yield Error(
                    f"No aggregate evolves on {name!r}.",
                    hint="Add it to `evolve` of its aggregate, or remove it from EVENTS.",
                    id="eventstore.E005",
                )


def _gaps_in_upcasters() -> Iterator[Error]:
    for table in getattr(registry.wiring(), "UPCASTERS", ()):
        for name, steps in table.items():
            for missing in set(range(1, max(steps) + 1)) - set(steps):
                yield Error(
                    f"{name!r} has no upcaster from schema version {missing}.",
                    hint="Add a function from this version to the next to UPCASTERS.",
                    id="eventstore.E008",
                )
            if name not in registry.types():
                yield Error(
                    f"Upcasters exist for {name!r}, which is not a stored name.",
                    hint="Use the name under which the event is stored.",
                    id="eventstore.E009",
                )
    for name, each in registry.of_kind(Saga).items():
        steps = set(each.upcasters)
        for missing in set(range(1, max(steps, default=0) + 1)) - steps:
            yield Error(
                f"The saga {name!r} has no upcaster from schema version {missing}.",
                hint="Add a function from this version to the next to `upcasters`.",
                id="eventstore.E012",
            )


def _invalid_subscriptions() -> Iterator[Error]:
    for name, saga in registry.of_kind(Saga).items():
        if not any(field.name == "status" for field in msgspec.structs.fields(type(saga.initial))):
            yield Error(
                f"The state of the saga {name!r} has no field `status`.",
                hint="Add a field `status` of type str to the state.",
                id="eventstore.E010",
            )
    for name, each in registry.subscriptions().items():
        after: object = getattr(each, "after", 0)
        if not isinstance(after, int) or isinstance(after, bool) or after < NOW:
            yield Error(
                f"The subscription {name!r} has the invalid start position {after!r}: use a number"
                " from 0 on, or subscriptions.NOW.",
                id="eventstore.E030",
            )


def _invalid_encodings() -> Iterator[Error]:
    for name, each in registry.of_kind(Publication).items():
        if each.encoding not in (JSON, AVRO):
            yield Error(
                f"The publication {name!r} has the encoding {each.encoding!r}: use {JSON!r} or"
                f" {AVRO!r}.",
                id="eventstore.E041",
            )
        elif each.encoding == AVRO and find_spec("fastavro") is None:
            yield Error(
                f"The publication {name!r} is written in Avro, but fastavro is not installed."
                " Install confluent-kafka[avro,schemaregistry].",
                id="eventstore.E042",
            )


def _invalid_consumers() -> Iterator[Error]:
    for name, each in registry.of_kind(Consumer).items():
        if isinstance(each.topics, str) or not each.topics:
            yield Error(
                f"The consumer {name!r} reads {each.topics!r}: name its topics in a list.",
                id="eventstore.E019",
            )
        not_handlers = [pattern for pattern, each in each.handle.items() if not callable(each)]
        if not_handlers:
            yield Error(
                f"The consumer {name!r} has no function for {', '.join(not_handlers)}.",
                hint="Add a function for it to `handle`.",
                id="eventstore.E020",
            )


def _invalid_webhooks() -> Iterator[Error]:
    found = registry.of_kind(Webhooks)
    if found and find_spec("httpcore") is None:
        yield Error(
            "The wiring sends webhooks, but httpcore is not installed. Install the extra"
            " `webhooks` of this package.",
            id="eventstore.E040",
        )
    if len(found) > 1:
        yield Error(
            f"The wiring has {len(found)} subscriptions of webhooks: {', '.join(found)}. Name all"
            " publications in one.",
            id="eventstore.E038",
        )
    for name, each in found.items():
        events = Counter(
            event for publication in each.publications for event in publication.publish
        )
        for event, count in events.items():
            if count > 1:
                yield Error(
                    f"{count} publications of {name!r} publish {event.__name__}: their events would"
                    " have the same ids.",
                    hint="Publish each type in one publication of a context.",
                    id="eventstore.E039",
                )


def _missing_apps() -> Iterator[Warning]:
    """Apps that bring commands which our messages name."""
    uses = {
        "eventstore.messaging": ("There are brokers", bool(settings.brokers())),
        "eventstore.webhooks": ("The wiring sends webhooks", bool(registry.of_kind(Webhooks))),
    }
    for app, (use, is_used) in uses.items():
        if is_used and not apps.is_installed(app):
            yield Warning(
                f"{use}, but {app} is not in INSTALLED_APPS: manage.py lacks its commands.",
                hint="Add the app to INSTALLED_APPS.",
                id="eventstore.W043",
            )


def _invalid_personal_fields() -> Iterator[Error]:
    for table in getattr(registry.wiring(), "PERSONAL", ()):
        for cls, names in table.items():
            if issubclass(cls, Model):
                # The fields of read models may have any type, because their rows are only shown.
                known: dict[str, Any] = {field.name: str for field in cls._meta.get_fields()}
            else:
                known = {field.name: field.type for field in msgspec.structs.fields(cls)}
            for name in names:
                if name not in known:
                    yield Error(
                        f"PERSONAL names {cls.__name__}.{name}, which is not a field.",
                        hint="Name a field of that class.",
                        id="eventstore.E017",
                    )
                elif known[name] not in (str, str | None):
                    yield Error(
                        f"PERSONAL names {cls.__name__}.{name}, which is not a text field. Name the"
                        " text fields of the class inside it, so that a message without them is"
                        " still valid.",
                        id="eventstore.E018",
                    )


def _celery_is_missing() -> Iterator[Error]:
    if settings.wake_workers() and find_spec("celery") is None:
        yield Error(
            "EVENTSTORE_WAKE_WORKERS is on, but Celery is not installed. Install it, or set"
            " EVENTSTORE_WAKE_WORKERS = False.",
            id="eventstore.E016",
        )


CHECKS = (
    _invalid_names,
    _undecided_commands,
    _events_without_a_name,
    _gaps_in_upcasters,
    _invalid_subscriptions,
    _invalid_encodings,
    _invalid_consumers,
    _invalid_webhooks,
    _invalid_personal_fields,
    _missing_apps,
    _celery_is_missing,
)
