"""What the wiring and the settings name has to exist: fields, categories, models, brokers, and the
functions of the right message."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from inspect import isfunction, ismethod
from types import SimpleNamespace
from typing import Any, get_type_hints

import msgspec
from django.conf import settings as django_settings
from django.core.checks import Error
from django.db import DEFAULT_DB_ALIAS, connections
from django.db.models import CharField, TextField
from django.utils.module_loading import import_string

from eventstore import registry, settings
from eventstore.messages import INTERNAL, foreign_classes
from eventstore.models import ReadModel
from eventstore.results import name_of
from eventstore.subscriptions import Consumer, Effect, Projection, Publication, Relay, Saga


def two_names() -> Iterator[Error]:
    """Of one class."""
    wiring, names = registry.wiring(), defaultdict[type, set[str]](set)
    for table in (*wiring.EVENTS, *wiring.COMMANDS, *getattr(wiring, "PUBLISHED", ())):
        for name, cls in table.items():
            names[cls].add(name)
    for cls, found in names.items():
        if len(found) > 1:
            yield Error(
                f"{cls.__name__} has the stored names {_listed(found)}. Keep the one under which it"
                " is stored; a former name belongs into RENAMED.",
                id="eventstore.E046",
            )


def unnamed_commands() -> Iterator[Error]:
    wiring, names = registry.wiring(), registry.names()
    decided = [command for each in wiring.AGGREGATES for command in each.decide]
    decided += [command for table in getattr(wiring, "DECISIONS", ()) for command in table]
    for command in dict.fromkeys(decided):
        if command not in names:
            yield Error(
                f"{command.__name__} is decided, but has no stored name. Add it to COMMANDS.",
                id="eventstore.E047",
            )


def wrong_identities() -> Iterator[Error]:
    for aggregate in registry.wiring().AGGREGATES:
        for command in aggregate.decide:
            if aggregate.identity not in command.__struct_fields__:
                yield Error(
                    f"The identity of the aggregate {aggregate.category!r} is"
                    f" {aggregate.identity!r}, which is not a field of {command.__name__}. Name the"
                    " field with the id of the stream.",
                    id="eventstore.E048",
                )


def wrong_keys() -> Iterator[Error]:
    """Functions that make a key and read a field that the event does not have."""
    for name, each in registry.subscriptions().items():
        keys: Iterable[tuple[type, Callable[[Any], str]]] = ()
        match each:
            case Projection(key=key) | Saga(key=key):
                keys = [(event, key) for event in each.handles if event not in INTERNAL.values()]
            case Effect(key=table):
                keys = table.items()
        for event, make in keys:
            if missing := _missing_field(make, event):
                yield Error(
                    f"The key of the subscription {name!r} reads {missing!r}, which is not a field"
                    f" of {event.__name__}.",
                    hint="Name a field that each of its events has.",
                    id="eventstore.E049",
                )


def _missing_field(make: Callable[[Any], str], event: Any) -> str:
    """The function is pure, so it can be called with an object that has the event's fields. Its
    values are not those of an event, so any other error says nothing."""
    fields = SimpleNamespace(**dict.fromkeys(event.__struct_fields__, ""))
    try:
        make(fields)
    except AttributeError as error:
        if error.obj is fields and error.name and not hasattr(event, error.name):
            return error.name
    except Exception:
        return ""
    return ""


def wrong_projections() -> Iterator[Error]:
    """Their categories and models."""
    categories, models = registry.aggregates(), defaultdict[Any, list[str]](list)
    for name, each in registry.of_kind(Projection).items():
        if each.category not in categories:
            yield Error(
                f"The projection {name!r} has the category {each.category!r}, which no aggregate"
                f" has. The categories are {_listed(categories)}.",
                hint="Use the category of the aggregate whose streams the rows are about.",
                id="eventstore.E050",
            )
        model: Any = each.model
        if not isinstance(model, type) or not issubclass(model, ReadModel):
            yield Error(
                f"The model of the projection {name!r} has to be a subclass of"
                f" eventstore.models.ReadModel, but is {model!r}.",
                id="eventstore.E051",
            )
            continue
        if model._meta.abstract or not isinstance(model._meta.pk, TextField | CharField):
            yield Error(
                f"{model.__name__}, the model of the projection {name!r}, needs a primary key of"
                " text, such as models.TextField(primary_key=True): keys are texts.",
                id="eventstore.E051",
            )
        models[model].append(name)
    for model, names in models.items():
        if len(names) > 1:
            yield Error(
                f"The projections {_listed(names)} write the same rows, of {model.__name__}: each"
                " event would be folded more than once. Give each projection its own model.",
                id="eventstore.E052",
            )


def wrong_renames() -> Iterator[Error]:
    stored = registry.types()
    for former, present in registry.renamed().items():
        if present not in stored:
            yield Error(
                f"RENAMED leads from {former!r} to {present!r}, which is not a stored name.",
                id="eventstore.E053",
            )
        if former in stored:
            yield Error(
                f"RENAMED leads from {former!r}, which is still the stored name of"
                f" {stored[former].__name__}: its events would be read as {present!r}.",
                id="eventstore.E053",
            )


def unreadable_fields() -> Iterator[Error]:
    """Of messages, and of states that are stored."""
    wiring = registry.wiring()
    classes: list[type] = [*registry.types().values(), *registry.published_types().values()]
    classes += [cls for each in registry.of_kind(Saga).values() for cls in each.contract.values()]
    classes += [type(each.initial) for each in registry.of_kind(Saga).values()]
    classes += [type(each.initial) for each in wiring.AGGREGATES if each.snapshot_every]
    for cls in dict.fromkeys(classes):
        foreign = list(foreign_classes(cls))
        for name, found in foreign:
            yield Error(
                f"{cls.__name__}.{name} has values of the class {found.__name__}: what is stored"
                " might not be read again. Derive that class from eventstore.messages.Value.",
                id="eventstore.E054",
            )
        try:
            msgspec.json.Decoder(cls)
        except TypeError as error:
            if not foreign:
                yield Error(f"{cls.__name__} cannot be read: {error}.", id="eventstore.E054")


def wrong_annotations() -> Iterator[Error]:
    """Functions in the entry of another message, and functions that do not say of which."""
    tables: list[Mapping[Any, Any]] = [
        table for each in registry.wiring().AGGREGATES for table in (each.decide, each.evolve)
    ]
    for each in registry.subscriptions().values():
        match each:
            case Projection(evolve=table) | Saga(react=table) | Publication(publish=table):
                tables.append(table)
            case Effect(perform=table, find=found):
                tables += [table, found]
    for table in tables:
        for message, function in table.items():
            yield from _compare_annotations(message, function)


def _compare_annotations(message: type, function: Any) -> Iterator[Error]:
    inner, name = function, name_of(function)
    while isinstance(inner, partial):
        inner = inner.func
    if getattr(inner, "__name__", "") == "<lambda>":
        return  # it has no annotations
    annotated = inner if isfunction(inner) or ismethod(inner) else type(inner).__call__
    try:
        hints = get_type_hints(annotated)
    except Exception as error:
        yield Error(
            f"The annotations of {name} cannot be read: {error!r}. Import the class outside of"
            " `if TYPE_CHECKING`.",
            id="eventstore.E056",
        )
        return
    given = [hint for argument, hint in hints.items() if argument != "return"]
    if not given:
        yield Error(
            f"{name} is the function for {message.__name__}, but has no annotations. Annotate the"
            " argument that gets it.",
            id="eventstore.E056",
        )
        return
    # All classes in the annotations of its arguments, also those in unions.
    taken = {part for hint in given for part in getattr(hint, "__args__", None) or (hint,)}
    if not any(isinstance(each, type) and issubclass(message, each) for each in taken):
        yield Error(
            f"{name} is the function for {message.__name__}, which is not the annotated type of any"
            " of its arguments.",
            hint="Correct the annotation, or the key of the table.",
            id="eventstore.E007",
        )


def wrong_effects() -> Iterator[Error]:
    for name, effect in registry.of_kind(Effect).items():
        for part, table in (("find", effect.find), ("key", effect.key)):
            for event in table:
                if event not in effect.perform:
                    yield Error(
                        f"`{part}` of the effect {name!r} has an entry for {event.__name__}, which"
                        " `perform` does not have.",
                        hint="Add the event to `perform`, or remove this entry.",
                        id="eventstore.E057",
                    )


def unknown_brokers() -> Iterator[Error]:
    known = settings.brokers()
    for name, each in registry.subscriptions().items():
        if isinstance(each, Relay | Consumer) and each.broker not in known:
            yield Error(
                f"The subscription {name!r} needs the broker {each.broker!r}, which"
                " EVENTSTORE_BROKERS does not have.",
                hint="Add the broker to EVENTSTORE_BROKERS, or remove it from the subscription.",
                id="eventstore.E058",
            )


def wrong_settings() -> Iterator[Error]:
    vendor = connections[DEFAULT_DB_ALIAS].vendor
    if vendor != "postgresql":
        yield Error(
            f"The default database is {vendor}. The event store needs PostgreSQL 14 or newer: set"
            " DATABASES['default']['ENGINE'] to 'django.db.backends.postgresql'.",
            id="eventstore.E055",
        )
    if not django_settings.USE_TZ:
        yield Error(
            "USE_TZ is off, but the times of events have time zones. Set USE_TZ = True.",
            id="eventstore.E055",
        )
    if settings.query_database() not in connections:
        yield Error(
            f"EVENTSTORE_QUERY_DATABASE is {settings.query_database()!r}, which DATABASES does not"
            " have.",
            id="eventstore.E055",
        )
    for setting, path in (
        ("EVENTSTORE_EVENT_BUS", settings.event_bus()),
        ("EVENTSTORE_GUARANTEES", settings.guarantees()),
    ):
        try:
            if path:
                import_string(path)
        except ImportError as error:
            yield Error(
                f"{setting} is {path!r}, which cannot be imported: {error}.", id="eventstore.E055"
            )


def _listed(names: Iterable[str]) -> str:
    return ", ".join(map(repr, sorted(names)))


CHECKS = (
    two_names,
    unnamed_commands,
    wrong_identities,
    wrong_annotations,
    wrong_keys,
    wrong_projections,
    wrong_renames,
    unreadable_fields,
    wrong_effects,
    unknown_brokers,
    wrong_settings,
)
