"""What operators see of relays and consumers: in the console, by commands, and from the doctor."""

import json
from io import StringIO
from urllib.parse import quote

import pytest
from confluent_kafka.admin import AdminClient, NewPartitions
from django.core.management import CommandError, call_command

from config import wiring as shop
from eventstore import log
from eventstore.console.diagrams import causation
from eventstore.delivery import heartbeats, readers, step
from eventstore.log import append
from eventstore.messages import BrokerMessage, IntegrationEvent
from eventstore.messaging import brokers, cloudevents, publisher
from eventstore.messaging.consumers import intake
from eventstore.messaging.consumers.intake import Partition, Range, Seen
from eventstore.models import ConsumerOffset, Event, OutboxMessage, Parked
from eventstore.operations import control, doctor
from eventstore.operations.doctor import consumers as doctor_of_consumers
from eventstore.operations.doctor import relays as doctor_of_relays
from eventstore.postgres import execute
from eventstore.subscriptions import Consumer
from tests.admin.conftest import say_yes, staff  # noqa: F401
from tests.console.conftest import browser, open_as  # noqa: F401
from tests.console.test_accessibility import barriers
from tests.eventstore import toy
from tests.eventstore.toy import Count, Counted

from . import consuming, world
from .conftest import KAFKA, count, delivered, settled, until

pytestmark = pytest.mark.django_db(transaction=True)
TOPIC = Partition("events.toywatch", 0)


class Customer(IntegrationEvent, frozen=True):
    """Of another system."""

    customer_id: str
    name: str


@pytest.fixture
def watched(toys, settings, staff):  # noqa: F811
    """A relay and a consumer whose broker is away; the relay is paused."""
    settings.EVENTSTORE_BROKERS = {
        "kafka": {"TRANSPORT": KAFKA, "client": {"bootstrap.servers": "127.0.0.1:1"}}
    }
    names, parts = consuming.parts("toywatch", "kafka")
    subscriptions = parts.pop("SUBSCRIPTIONS")
    subscriptions[names.consumer] = Consumer(
        "kafka",
        ["events.toywatch"],
        {"toywatch.*": echo, "crm.*": refuse},
        contract={"crm.customer": Customer},
    )
    toys(**with_shop(subscriptions, PERSONAL=[{Customer: ("name",)}], **parts))
    (names.relay,) = names.relays
    control.pause(names.relay, who="ada")
    return names


def with_shop(subscriptions, **parts):
    """The console's addresses need the shop's wiring."""
    for name, value in vars(shop).items():
        if name.isupper() and isinstance(value, list):
            parts[name] = [*value, *parts.get(name, getattr(toy, name, ()))]
    return parts | {"subscriptions": {**shop.SUBSCRIPTIONS, **subscriptions}}


def echo(envelope):
    event = envelope.event
    return [Count(f"echo-{event.counter_id}", event.amount, world.ECHO)]


def refuse(envelope):
    raise ValueError(f"no such customer: {envelope.event.name}")


def page(client, name):
    return client.get(f"/admin/eventstore/subscription/{quote(name.replace('_', '_5F'))}/change/")


def text_of(answer):
    assert answer.status_code == 200
    return " ".join(answer.content.decode().split())


def read(consumer, messages, *, end):
    """As a reader does that is at the first offset."""
    intake.begin(consumer, [TOPIC])
    intake.store(consumer, messages, {TOPIC: Range(0, len(messages))})
    intake.note_ends(consumer, {TOPIC: Seen(0, end)})


def published(message, offset=0):
    """As the relay publishes it."""
    translator = publisher.Translator(world.PUBLICATION)
    translator.begin([message])
    (envelope,) = translator.envelopes(message)
    encoded = cloudevents.for_kafka(envelope, brokers.origin())
    headers = tuple((name.encode(), text.encode()) for name, text in encoded.headers.items())
    return BrokerMessage("kafka", TOPIC.topic, b"a", encoded.value, headers, 0, offset)


def foreign(value, **attributes):
    headers = {"ce_id": "7", "ce_source": "urn:crm", "ce_type": "crm.customer", **attributes}
    pairs = tuple((name.encode(), text.encode()) for name, text in headers.items())
    return BrokerMessage("kafka", TOPIC.topic, b"c1", value, pairs, 0, 5)


def json_of(*command):
    out = StringIO()
    call_command(*command, "--json", stdout=out)
    return json.loads(out.getvalue())


def test_a_consumer_shows_what_it_has_not_read_and_who_reads(watched, staff):  # noqa: F811
    heartbeats.forget_own()
    read(watched.consumer, [], end=12)
    heartbeats.note(heartbeats.consumer(watched.consumer))
    text = text_of(page(staff, watched.consumer))
    assert "12 messages, as its readers last saw it" in text
    assert "@" in text.partition("Read by")[2].partition("</td>")[0]
    assert "It cannot be reset: handled messages leave the outbox" in text
    assert "kafka, 12 not read" in text_of(staff.get("/admin/eventstore/subscription/"))
    overview = text_of(staff.get("/admin/eventstore/subscription/overview/"))
    assert "12 messages are not read" in overview
    (found,) = json_of("consumers")
    assert (found["behind"], found["partitions"][0]["broker_end"]) == (12, 12)
    out = StringIO()
    call_command("consumers", stdout=out)
    assert "events.toywatch/0  next 0: 12 not read" in out.getvalue()
    assert json_of("overview", watched.consumer)["broker"]["behind"] == 12
    intake.note_ends(watched.consumer, {TOPIC: Seen(12, 12)})
    assert json_of("consumers")[0]["behind"] == 0


def test_a_consumer_that_nobody_reads_for_is_said(watched, staff):  # noqa: F811
    text = text_of(page(staff, watched.consumer))
    assert f"start <code>manage.py consume {watched.consumer}</code>" in text
    overview = text_of(staff.get("/admin/eventstore/subscription/overview/"))
    assert f"{watched.consumer}: no process reads" in overview


def test_a_process_that_was_killed_does_not_count_as_a_reader(watched, staff):  # noqa: F811
    read(watched.consumer, [], end=12)
    heartbeats.forget_own()
    heartbeats.note(heartbeats.consumer(watched.consumer))
    dead = "work@elsewhere:99"
    execute(
        "INSERT INTO eventstore_heartbeat (kind, name, backend, at)"
        " VALUES (%s, %s, 0, now() - interval '35 minutes')",
        [heartbeats.consumer(watched.consumer), dead],
    ).close()
    out = StringIO()
    call_command("consumers", stdout=out)
    assert "; 1 process reads\n" in out.getvalue()
    assert dead not in text_of(page(staff, watched.consumer)).partition("Read by")[2]
    overview = text_of(staff.get("/admin/eventstore/subscription/overview/"))
    workers = overview.partition("<h2>Workers</h2>")[2]
    assert ">silent</span>" in workers.partition(dead)[2].partition("</tr>")[0]
    assert workers.count(">silent</span>") == 1
    heartbeats.sign_off(heartbeats.consumer(watched.consumer))
    heartbeats.forget_own()
    out = StringIO()
    call_command("consumers", stdout=out)
    assert "; 0 processes read; no process reads" in out.getvalue()


@pytest.mark.parametrize("moved", ["topic made again", "seek"])
def test_what_lies_beyond_the_end_is_unknown_and_not_nothing(watched, staff, moved):  # noqa: F811
    read(watched.consumer, [], end=12)
    control.seek(watched.consumer, TOPIC, 197, who="ada", reason="a try", force=True)
    intake.note_ends(watched.consumer, {TOPIC: Seen(0, 2)})
    if moved == "topic made again":
        intake.report_hole(watched.consumer, TOPIC, 0)
    (found,) = json_of("consumers")
    assert found["behind"] is None
    assert found["partitions"][0]["behind"] is None
    out = StringIO()
    call_command("consumers", stdout=out)
    assert "next 197: unknown how many are not read" in out.getvalue()
    assert "beyond the end of the partition" in out.getvalue()
    assert "Not read</th><td>unknown: a partition lacks" in text_of(page(staff, watched.consumer))
    overview = text_of(staff.get("/admin/eventstore/subscription/overview/"))
    assert f"{watched.consumer}: a partition lacks what it reads next" in overview


def test_an_offset_behind_the_end_is_sought_by_force_only(watched):
    other = Partition(TOPIC.topic, 1)
    intake.begin(watched.consumer, [TOPIC, other])
    intake.note_ends(watched.consumer, {TOPIC: Seen(0, 12), other: Seen(0, 3)})
    seek = ("consumers", "seek", watched.consumer, TOPIC.topic)

    def offsets():
        rows = ConsumerOffset.objects.filter(consumer=watched.consumer).order_by("partition")
        return list(rows.values_list("next", flat=True))

    with pytest.raises(CommandError, match="events.toywatch/0 ends before 12"):
        call_command(*seek, "0", "13", "--reason", "a try")
    with pytest.raises(CommandError, match="events.toywatch/1 ends before 3"):
        call_command(*seek, "5", "--all", "--reason", "a try")
    assert offsets() == [0, 0]
    out = StringIO()
    call_command(*seek, "2", "--all", "--reason", "a try", stdout=out)
    assert offsets() == [2, 2]
    assert f"{watched.consumer} continues in events.toywatch/1 at 2." in out.getvalue()
    call_command(*seek, "1", "13", "--reason", "a try", "--force", stdout=out)
    assert offsets() == [2, 13]
    with pytest.raises(CommandError, match="or --all"):
        call_command(*seek, "2", "--reason", "a try")


def test_an_end_that_was_seen_before_the_last_message_is_no_problem(watched):
    read(watched.consumer, [], end=0)
    intake.store(watched.consumer, [foreign(b"{}")], {TOPIC: Range(0, 6)})
    (found,) = json_of("consumers")
    assert found["behind"] == 0


def test_a_relay_that_rests_shows_the_process_that_publishes(watched, staff):  # noqa: F811
    heartbeats.forget_own()
    assert "none; start <code>manage.py relay</code>" in text_of(page(staff, watched.relay))
    heartbeats.note(heartbeats.RELAYS)
    text = text_of(page(staff, watched.relay))
    assert "@" in text.partition(">Process</th>")[2].partition("</td>")[0]


def test_a_relay_shows_its_error(watched, staff):  # noqa: F811
    execute(
        "INSERT INTO eventstore_relay (name, token, settled, holder, until, error, failed_at)"
        " VALUES (%s, 1, 0, 'here', now(), 'TopicMissing: no topic', now())",
        [watched.relay],
    ).close()
    text = text_of(page(staff, watched.relay))
    assert '<span class="es-badge es-bad">TopicMissing: no topic</span> since' in text
    assert "TopicMissing: no topic" in text_of(staff.get("/admin/eventstore/subscription/"))


def test_a_hole_is_shown_with_its_partition(watched, staff):  # noqa: F811
    read(watched.consumer, [], end=12)
    intake.report_hole(watched.consumer, TOPIC, 9)
    assert "the topic begins with 9: a hole" in text_of(page(staff, watched.consumer))
    out = StringIO()
    call_command("consumers", stdout=out)
    assert "the topic begins with 9: a hole" in out.getvalue()


def test_a_consumer_is_paused_and_not_reset(watched, staff):  # noqa: F811
    act = f"/admin/eventstore/subscription/act/pause/?name={watched.consumer}"
    assert say_yes(staff, act, "a try").status_code == 302
    answer = page(staff, watched.consumer)
    labels = [each.label for each in answer.context["buttons"]]
    assert labels == ["Resume", "Skip the next message"]
    with pytest.raises(CommandError, match="consumers seek reads them again"):
        call_command("subscriptions", "reset", watched.consumer, "0", "--reason", "a try")


def test_a_queue_of_rabbitmq_has_no_offset_to_seek(watched):
    partition = Partition(watched.consumer, 0)
    intake.begin(watched.consumer, [partition])
    intake.note_length(watched.consumer, partition, 4)
    assert json_of("consumers")[0]["behind"] == 4
    intake.store_from_queue(watched.consumer, partition, [foreign(b"{}")])
    assert json_of("consumers")[0]["behind"] == 3
    with pytest.raises(control.OperationRefused, match="never read"):
        control.seek(watched.consumer, partition, 3, who="ada", reason="a try")


def test_the_picture_shows_the_way_out_to_the_broker_and_back(watched, staff):  # noqa: F811
    append("counter-a", [Counted("a", 2)], expected=0)
    (message,) = log.read_correlated(Event.objects.get().correlation_id)
    read(watched.consumer, [published(message)], end=1)
    step.step(watched.consumer)
    step.step("toy")
    found = causation.correlation(message.metadata.correlation_id)
    first, second = found.steps
    assert second.event.stream == "counter-echo-a"
    assert second.event.causation_id not in (first.event.id, None)
    assert (first.depth, second.depth) == (0, 1)
    assert second.hop.cause == first.event.id
    assert second.hop.consumer == watched.consumer
    assert [tuple(each) for each in first.hop.relays] == [(watched.relay, "pending")]
    assert (len(found.picture.hops), len(found.picture.lines)) == (1, 0)
    execute("UPDATE eventstore_subscription SET position = %s", [message.position]).close()
    text = text_of(staff.get(f"/admin/eventstore/event/{message.position}/change/"))
    assert f">{watched.relay}</a>: published" in text
    assert f'in by consumer <a href="/admin/eventstore/subscription/{watched.consumer}' in text
    assert f"by consumer {watched.consumer}</title>" in text
    out = StringIO()
    call_command("dossier", "echo-a", stdout=out)
    assert f"toy.counted; in by consumer {watched.consumer}" in out.getvalue()


def test_a_parked_message_of_a_broker_is_readable_and_masked(
    watched,
    staff,  # noqa: F811
    monkeypatch,
):
    monkeypatch.setattr("eventstore.outbox.parked.ATTEMPTS", 1)
    value = json.dumps({"customer_id": "c1", "name": "Ada Lovelace"}).encode()
    read(watched.consumer, [foreign(value, ce_nickname="Countess")], end=1)
    step.step(watched.consumer)
    parked, message = Parked.objects.get(), OutboxMessage.objects.get(topic=watched.consumer)
    assert "Ada Lovelace" in parked.error
    for address in (f"parked/{parked.pk}", f"outboxmessage/{message.pk}"):
        text = text_of(staff.get(f"/admin/eventstore/{address}/change/"))
        assert "<code>events.toywatch</code>, partition 0, offset 5" in text
        assert "<code>crm.customer</code>" in text
        assert "c1" in text
        for secret in ("Ada", "Countess", "QWRh", "TG92ZWxhY2U"):
            assert secret not in text
    revealed = text_of(
        staff.post(f"/admin/eventstore/parked/{parked.pk}/reveal/", {"reason": "a call"})
    )
    assert "Ada Lovelace" in revealed
    assert "Countess" in revealed
    shown = json_of("dead_letters", "show", watched.consumer)
    assert (shown["message"]["partition"], shown["message"]["offset"]) == (0, 5)
    assert shown["message"]["value"] == {"customer_id": "c1", "name": "•••"}
    assert "Ada" not in json.dumps(shown)
    shown = json_of("dead_letters", "show", watched.consumer, "--reveal", "a call")
    assert shown["message"]["value"]["name"] == "Ada Lovelace"


def test_a_parked_message_that_is_no_json_is_shown_in_hexadecimal(
    watched,
    staff,  # noqa: F811
    monkeypatch,
):
    monkeypatch.setattr("eventstore.outbox.parked.ATTEMPTS", 1)
    read(watched.consumer, [foreign(b"\x01\xff")], end=1)
    step.step(watched.consumer)
    parked = Parked.objects.get()
    text = text_of(staff.get(f"/admin/eventstore/parked/{parked.pk}/change/"))
    assert "Value, 2 bytes" in text
    assert "is not Customer" in text
    answer = staff.post(f"/admin/eventstore/parked/{parked.pk}/reveal/", {"reason": "a call"})
    assert "01 ff" in text_of(answer)


def test_a_message_that_is_nested_too_deep_is_a_dead_letter_that_can_be_read(
    watched,
    staff,  # noqa: F811
):
    """It is dead at once: no retry can decode it."""
    read(watched.consumer, [foreign(b"[" * 200_000)], end=1)
    step.step(watched.consumer)
    parked = Parked.objects.get()
    assert (parked.status, parked.attempts, parked.due_at) == ("dead", 1, None)
    assert "nested deeper than 100 levels" in parked.error
    (listed,) = json_of("dead_letters", "list")
    assert listed["status"] == "dead"
    assert json_of("browse", "parked")[0]["status"] == "dead"
    assert json_of("dead_letters", "show", watched.consumer)["message"]["bytes"] == 200_000
    for address in (
        "parked/",
        f"parked/{parked.pk}/change/",
        f"subscription/{watched.consumer}/change/",
    ):
        assert "nested deeper" in text_of(staff.get(f"/admin/eventstore/{address}"))


def test_no_page_about_brokers_keeps_anybody_out(
    watched,
    staff,  # noqa: F811
    open_as,  # noqa: F811
    monkeypatch,
):
    monkeypatch.setattr("eventstore.outbox.parked.ATTEMPTS", 1)
    append("counter-a", [Counted("a", 2)], expected=0)
    (message,) = log.read_correlated(Event.objects.get().correlation_id)
    value = json.dumps({"customer_id": "c1", "name": "Ada Lovelace"}).encode()
    read(watched.consumer, [published(message), foreign(value)], end=12)
    step.step(watched.consumer)
    step.step("toy")
    intake.report_hole(watched.consumer, TOPIC, 9)
    window = open_as(staff, bypass_csp=True)
    addresses = [
        "subscription/",
        "subscription/overview/",
        f"subscription/{watched.consumer}/change/",
        f"subscription/{watched.relay.replace('@', '_40')}/change/",
        f"parked/{Parked.objects.get().pk}/change/",
        f"event/{message.position}/change/",
    ]
    found = [line for each in addresses for line in barriers(window, f"/admin/eventstore/{each}")]
    assert found == []


@pytest.fixture
def reading():
    started = []

    def start(of):
        heartbeats.forget_own()
        (reader,) = readers.readers([of.consumer])
        reader.start()
        started.append(reader)
        return reader

    yield start
    for each in started:
        each.stop()
        each.join()
    heartbeats.forget_own()


def checks():
    limits = doctor.Limits()
    both = [*doctor_of_relays.topics(limits), *doctor_of_consumers.offsets(limits)]
    return [each.check for each in both]


def behind(of):
    (found,) = json_of("consumers")
    return found["behind"]


def test_the_doctor_and_a_real_kafka(consumers, reading, kafka_server):
    """The control records of the relay's transactions do not count as lag."""
    of = consumers("kafka", partitions=1)
    assert checks() == ["deaf-consumer"]
    count(20)
    settled(of.name)
    offsets = intake.offsets()
    last = Event.objects.latest("position").position
    assert doctor_of_relays.state("kafka", offsets).newest == {of.name: last}
    reader = reading(of)
    until(lambda: delivered() and behind(of) == 0)
    until(lambda: ConsumerOffset.objects.filter(reached__gt=20).exists())
    execute("UPDATE eventstore_consumer_offset SET moved_at = now() - interval '1 hour'").close()
    assert checks() == []
    admin = AdminClient({"bootstrap.servers": kafka_server.address})
    (changed,) = admin.create_partitions([NewPartitions(of.topic, 3)]).values()
    changed.result(10)
    until(lambda: checks() == ["partitions-changed"])
    reader.stop()
    reader.join()
    count(5, first=21)
    settled(of.name)
    heartbeats.forget_own()
    heartbeats.note(heartbeats.consumer(of.consumer))  # a reader that hangs
    assert "deaf-consumer" in checks()
    for topic in (f"{of.topic}.dlq", of.topic):
        (deleted,) = admin.delete_topics([topic]).values()
        deleted.result(10)
    until(lambda: "topic-missing" in checks())
    assert "deaf-consumer" not in checks()
    administration = brokers.administration("kafka")
    administration.create({of.name: [of.type]}, brokers.readings("kafka"))
    until(lambda: checks() == ["consumer-ahead"])


def test_the_doctor_and_a_real_rabbitmq(consumers, reading):
    of = consumers("rabbitmq")
    heartbeats.forget_own()
    heartbeats.note(heartbeats.consumer(of.consumer))  # a process that hangs
    assert checks() == []
    count(5)
    settled(of.name)
    until(lambda: checks() == ["deaf-consumer"])
    reader = reading(of)
    until(lambda: delivered() and behind(of) == 0)
    assert checks() == []
    reader.stop()
    reader.join()
    administration = brokers.administration("rabbitmq")
    with administration._connection() as connection, connection.channel() as channel:
        channel.queue_delete(of.consumer)
        channel.queue_declare(of.consumer, durable=True, auto_delete=False)
    heartbeats.forget_own()
    heartbeats.note(heartbeats.consumer(of.consumer))
    assert checks() == ["queue-differs"]
    with administration._connection() as connection, connection.channel() as channel:
        channel.queue_delete(f"{of.consumer}.dlq")
    assert checks()[0] == "topic-missing"
