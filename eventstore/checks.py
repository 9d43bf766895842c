"""manage.py check: the wiring is complete and says nothing twice."""

import re
from collections import Counter
from collections.abc import Iterator
from functools import partial
from importlib.util import find_spec
from typing import Any, get_type_hints

import msgspec
from django.core.checks import CheckMessage, Error, register
from django.db.models import Model

from eventstore.subscriptions import NOW, Commands, Effect, Projection, Publication, Saga

from . import log as store
from . import registry, settings

TYPE_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}\.[a-z][a-z0-9_]{0,62}")
SUBSCRIPTION_NAME = re.compile(
    r"[a-z][a-z0-9_]{0,62}(\.[a-z][a-z0-9_]{0,62})?(@[a-z][a-z0-9_]{0,62})?"
)


@register()
def check_wiring(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    return [
        *_names_given_twice(),
        *_names_of_another_form(),
        *_commands_decided_twice_or_never(),
        *_events_without_a_name(),
        *_subscriptions_without_commands(),
        *_functions_filed_under_another_message(),
        *_chains_with_a_hole(),
        *_sagas_without_a_status(),
        *_categories_given_twice_or_of_another_form(),
        *_subscriptions_of_another_form(),
        *_subscriptions_that_begin_nowhere(),
        *_wake_ups_without_celery(),
        *_personal_fields_that_are_none(),
    ]


def _names_given_twice() -> Iterator[Error]:
    wiring = registry.wiring()
    names = Counter(name for table in (*wiring.EVENTS, *wiring.COMMANDS) for name in table)
    for name, count in names.items():
        if count > 1:
            yield Error(f"The stored name {name!r} is given {count} times.", id="eventstore.E001")


def _names_of_another_form() -> Iterator[Error]:
    for name in (*registry.types(), *registry.published_types()):
        if not TYPE_NAME.fullmatch(name):
            yield Error(
                f"The stored name {name!r} is not of the form `context.what_happened`.",
                id="eventstore.E011",
            )


def _commands_decided_twice_or_never() -> Iterator[Error]:
    wiring = registry.wiring()
    deciders = Counter(command for aggregate in wiring.AGGREGATES for command in aggregate.decide)
    deciders.update(command for table in getattr(wiring, "DECISIONS", ()) for command in table)
    for command, count in deciders.items():
        if count > 1:
            yield Error(f"{command.__name__} is decided in {count} places.", id="eventstore.E002")
    for table in wiring.COMMANDS:
        for name, command in table.items():
            if command not in deciders:
                yield Error(f"Nobody decides {name!r}.", id="eventstore.E003")


def _events_without_a_name() -> Iterator[Error]:
    wiring = registry.wiring()
    evolved = {event for aggregate in wiring.AGGREGATES for event in aggregate.evolve}
    heard = {
        event for each in registry.subscriptions().values() for event in each.handles
    } - _announced()
    for event in (evolved | heard) - set(registry.names()):
        yield Error(f"{event.__name__} has no stored name in EVENTS.", id="eventstore.E004")
    for table in wiring.EVENTS:
        for name, event in table.items():
            if event not in evolved:
                yield Error(f"No aggregate evolves on {name!r}.", id="eventstore.E005")


def _announced() -> set[type]:
    """Classes of a subscription's own contract are named there; a name that nobody stores would be
    waited for in vain."""
    contracts = [
        each.contract for each in registry.subscriptions().values() if isinstance(each, Saga)
    ]
    return {
        cls for contract in contracts for name, cls in contract.items() if name in registry.types()
    }


def _subscriptions_without_commands() -> Iterator[Error]:
    subscriptions = {
        name for name, each in registry.subscriptions().items() if isinstance(each, Commands)
    }
    topics = {name.partition(".")[0] for table in registry.wiring().COMMANDS for name in table}
    for topic in topics - subscriptions:
        yield Error(
            f"No Commands() subscription named {topic!r}: what is owed to it would wait for ever.",
            id="eventstore.E006",
        )


def _functions_filed_under_another_message() -> Iterator[Error]:
    wiring = registry.wiring()
    tables: list[Any] = [
        table for aggregate in wiring.AGGREGATES for table in (aggregate.decide, aggregate.evolve)
    ]
    for each in registry.subscriptions().values():
        match each:
            case Projection(evolve=table) | Saga(react=table) | Publication(publish=table):
                tables.append(table)
            case Effect(perform=table, find=found):
                tables += [table, found]
    for table in tables:
        for message, function in table.items():
            if message not in _takes(function):
                yield Error(
                    f"{getattr(function, '__qualname__', function)} is filed under"
                    f" {message.__name__}, which is none of its annotated arguments.",
                    id="eventstore.E007",
                )


def _takes(function: Any) -> set[Any]:
    """Every class in the annotations of a function's arguments; unions are taken apart."""
    inner = function.func if isinstance(function, partial) else function
    if inner.__name__ == "<lambda>":
        return _Anything()
    hints = [hint for name, hint in get_type_hints(inner).items() if name != "return"]
    return {part for hint in hints for part in getattr(hint, "__args__", None) or (hint,)}


class _Anything(set[Any]):
    """A lambda has no annotations to be wrong."""

    def __contains__(self, item: object) -> bool:
        return True


def _chains_with_a_hole() -> Iterator[Error]:
    for table in getattr(registry.wiring(), "UPCASTERS", ()):
        for name, steps in table.items():
            for missing in set(range(1, max(steps) + 1)) - set(steps):
                yield Error(
                    f"{name!r} has no upcaster from schema version {missing}.", id="eventstore.E008"
                )
            if name not in registry.types():
                yield Error(
                    f"There are upcasters for {name!r}, which is no stored name.",
                    id="eventstore.E009",
                )
    for name, each in registry.subscriptions().items():
        steps = set(each.upcasters) if isinstance(each, Saga) else set()
        for missing in set(range(1, max(steps, default=0) + 1)) - steps:
            yield Error(
                f"The saga {name!r} has no upcaster from schema version {missing}.",
                id="eventstore.E012",
            )


def _sagas_without_a_status() -> Iterator[Error]:
    for name, each in registry.subscriptions().items():
        if isinstance(each, Saga) and not any(
            field.name == "status" for field in msgspec.structs.fields(type(each.initial))
        ):
            yield Error(
                f"The state of the saga {name!r} has no field `status`.", id="eventstore.E010"
            )


def _categories_given_twice_or_of_another_form() -> Iterator[Error]:
    categories = Counter(aggregate.category for aggregate in registry.wiring().AGGREGATES)
    for category, count in categories.items():
        if count > 1:
            yield Error(
                f"The category {category!r} is that of {count} aggregates.", id="eventstore.E013"
            )
        if not store.CATEGORY.fullmatch(category):
            yield Error(
                f"The category {category!r} is no word in lower case.", id="eventstore.E014"
            )


def _subscriptions_of_another_form() -> Iterator[Error]:
    for name in registry.subscriptions():
        if not SUBSCRIPTION_NAME.fullmatch(name):
            yield Error(
                f"The subscription {name!r} is not called `context` or `context.what_it_does`.",
                id="eventstore.E015",
            )


def _subscriptions_that_begin_nowhere() -> Iterator[Error]:
    for name, each in registry.subscriptions().items():
        after: object = getattr(each, "after", 0)
        if not isinstance(after, int) or isinstance(after, bool) or after < NOW:
            yield Error(
                f"The subscription {name!r} begins after {after!r}, which is no position: one from"
                " 0 on, or subscriptions.NOW.",
                id="eventstore.E030",
            )


def _wake_ups_without_celery() -> Iterator[Error]:
    if settings.wake_workers() and find_spec("celery") is None:
        yield Error(
            "Workers are to be nudged through Celery, which is not installed: set"
            " EVENTSTORE_WAKE_WORKERS = False.",
            id="eventstore.E016",
        )


def _personal_fields_that_are_none() -> Iterator[Error]:
    for table in getattr(registry.wiring(), "PERSONAL", ()):
        for cls, names in table.items():
            known = _fields_of(cls)
            for name in names:
                if name not in known:
                    yield Error(
                        f"PERSONAL names {cls.__name__}.{name}, which is no field.",
                        id="eventstore.E017",
                    )
                elif known[name] not in (str, str | None):
                    yield Error(
                        f"PERSONAL names {cls.__name__}.{name}, which is no text: name the texts of"
                        " the class inside, so that a message without them is still one.",
                        id="eventstore.E018",
                    )


def _fields_of(cls: Any) -> dict[str, Any]:
    """Field -> its type. A read model's may be of any: nothing is made of a row that is shown."""
    if issubclass(cls, Model):
        return {field.name: str for field in cls._meta.get_fields()}
    return {field.name: field.type for field in msgspec.structs.fields(cls)}
