"""What each context publishes to other systems: types, kinds, addresses, keys, schemas."""

from collections.abc import Mapping

from eventstore import registry
from eventstore.messages import EventNotification, IntegrationEvent, StateTransfer
from eventstore.messaging import kafka, rabbitmq
from eventstore.subscriptions import Publication

from .source import code, heading, table

INTRODUCTION = (
    "Each publication translates domain events of its context into integration events. They go to"
    " subscribers in the same process and, by one relay for each broker of the settings, to Kafka"
    " and RabbitMQ; see [Brokers](../guide/brokers.md). Schemas are in `schemas/<type>/`, each as"
    " JSON Schema (`.schema.json`) and Avro (`.avsc`), with an example. The fields are listed under"
    " [Events](events.md#integration-events)."
)
KINDS: Mapping[type[IntegrationEvent], str] = {
    EventNotification: "notification: ids alone",
    StateTransfer: "state transfer: the whole state",
    IntegrationEvent: "integration event",
}
COLUMNS = ("type", "kind", "routing key on RabbitMQ", "schema")


def page() -> str:
    sections = [heading("Publications", INTRODUCTION)]
    for name, publication in registry.of_kind(Publication).items():
        context = name.partition(".")[0]
        types = {
            type_: cls
            for type_, cls in registry.published_types().items()
            if type_.partition(".")[0] == context
        }
        rows = [
            (
                f"[{code(type_)}](events.md#{type_.replace('.', '')})",
                kind(cls),
                code(rabbitmq.routing_key(type_)),
                code(f"schemas/{type_}/v{registry.schema_version_of(type_)}"),
            )
            for type_, cls in types.items()
        ]
        facts = [
            f"Topic on Kafka: {code(kafka.topic_of(next(iter(types))))}.",
            f"Key: the id of the aggregate, of the streams {_streams(publication)}.",
            f"Translated from {_domain_events(publication)}.",
        ]
        sections.append(f"## {code(name)}\n\n{' '.join(facts)}\n\n{table(COLUMNS, rows)}")
    return "\n".join(sections)


def kind(cls: type[IntegrationEvent]) -> str:
    return next(about for base, about in KINDS.items() if issubclass(cls, base))


def _streams(publication: Publication) -> str:
    categories = [
        category
        for category, aggregate in registry.aggregates().items()
        if set(aggregate.evolve) & set(publication.handles)
    ]
    return ", ".join(code(f"{category}-…") for category in categories)


def _domain_events(publication: Publication) -> str:
    names = [registry.name_of_class(event) for event in publication.handles]
    return ", ".join(code(name) for name in names)
