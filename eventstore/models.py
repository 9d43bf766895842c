"""The tables, for migrations and the admin. Code writes to them by SQL in the modules that own
them."""

from typing import Any

from django.db import models
from django.db.models.functions import Mod, Now
from django.db.models.lookups import Exact, GreaterThanOrEqual


class ClockTimestamp(models.Func):
    """The current time; now() is the start of the transaction."""

    function = "clock_timestamp"
    output_field = models.DateTimeField()


class Category(models.Func):
    """The category of a stream: the part of its name before the first hyphen."""

    function = "split_part"
    template = "%(function)s(%(expressions)s, '-', 1)"
    output_field = models.TextField(db_collation="C")


class AsWritten(models.JSONField):
    """JSON stored as the original text: reading it costs a third of reading jsonb."""

    def db_type(self, connection: Any) -> str:
        return "json"

    def from_db_value(self, value: Any, expression: Any, connection: Any) -> Any:
        # psycopg has decoded it already.
        return value


class Event(models.Model):
    """The log. position: order in the whole log. version: order in the stream, from 1.

    Events are never changed or deleted. Triggers enforce it, and no setting of a session disables
    them (sql/guards.sql).
    """

    position = models.BigIntegerField(primary_key=True)
    id = models.UUIDField(unique=True)
    stream = models.TextField(db_collation="C")
    version = models.IntegerField()
    type = models.TextField(db_collation="C")
    schema_version = models.SmallIntegerField(db_default=1)
    data = AsWritten()
    correlation_id = models.UUIDField()
    causation_id = models.UUIDField(null=True)
    metadata = AsWritten()
    recorded_at = models.DateTimeField(db_default=ClockTimestamp())

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["stream", "version"], name="eventstore_one_event_per_version"
            ),
            models.CheckConstraint(
                condition=models.Q(version__gte=1), name="eventstore_versions_begin_at_one"
            ),
        ]
        indexes = [
            models.Index(
                fields=["correlation_id", "position"], name="eventstore_event_correlation"
            ),
            models.Index(fields=["type", "position"], name="eventstore_event_type"),
            models.Index(Category("stream"), "position", name="eventstore_event_category"),
            # Streams that have grown long enough for a snapshot; cheap, because few events are in
            # it.
            models.Index(
                fields=["position"],
                name="eventstore_event_milestones",
                condition=models.Q(Exact(Mod("version", 100), 0)),
            ),
            # The newest streams of a category; an entry for each stream, not for each event.
            models.Index(
                Category("stream"),
                "position",
                name="eventstore_event_streams",
                condition=models.Q(version=1),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.stream}@{self.version} {self.type}"


class Stream(Event):
    """A stream, represented by its first event."""

    class Meta:
        proxy = True

    def __str__(self) -> str:
        return self.stream


class Snapshot(models.Model):
    """A stored state. shape: of the code that folded it; code with another shape ignores it."""

    stream = models.TextField(primary_key=True, db_collation="C")
    version = models.IntegerField()
    shape = models.TextField(db_collation="C")
    state = models.JSONField()
    taken_at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return f"{self.stream}@{self.version}"


class OutboxMessage(models.Model):
    """One narrow row per message: an event, by its position only, or an outgoing message for one
    subscription, with its payload.

    topic: "event", or the name of the subscription. key: the stream, or the order key of the
    message.
    """

    position = models.BigIntegerField(primary_key=True)
    topic = models.TextField(db_collation="C")
    key = models.TextField(db_collation="C")
    type = models.TextField(db_collation="C")
    id = models.UUIDField(null=True)
    payload = AsWritten(null=True)
    metadata = AsWritten(null=True)
    created_at = models.DateTimeField(db_default=ClockTimestamp())

    class Meta:
        db_table = "eventstore_outbox"

    def __str__(self) -> str:
        return f"{self.position} {self.type} for {self.topic}"


class Subscription(models.Model):
    """The cursor of a subscription: it acknowledges all messages up to its position."""

    name = models.TextField(primary_key=True, db_collation="C")
    position = models.BigIntegerField(db_default=0)
    paused = models.BooleanField(db_default=False)
    moved_at = models.DateTimeField(db_default=Now())

    class Meta:
        # Each append checks that no cursor is at its position or after it.
        indexes = [models.Index(fields=["position"], name="eventstore_cursor_position")]

    def __str__(self) -> str:
        return self.name


class ProjectionSubscription(Subscription):
    """A subscription that folds a read model, which can be rebuilt."""

    class Meta:
        proxy = True
        verbose_name = "projection"

    def __str__(self) -> str:
        return self.name


class Parked(models.Model):
    """A message that its subscription's cursor has passed and that is not settled: it failed, waits
    behind a failed one, or is a call in progress.

    key: messages with the same key stay in order. attempts: also the fencing token of the worker
    that handles it. due_at: next attempt, or end of the lease; null for messages that wait behind
    another one with the same key, and for dead letters. copied: the number of attempts after which
    a consumer's dead letter was last copied to its dead-letter topic.
    """

    class Status(models.TextChoices):
        WAITING = "waiting"
        LEASED = "leased"
        FAILED = "failed"
        DEAD = "dead"

    subscription = models.TextField(db_collation="C")
    position = models.BigIntegerField()
    key = models.TextField(db_collation="C")
    status = models.TextField(choices=Status.choices)
    attempts = models.IntegerField(db_default=0)
    due_at = models.DateTimeField(null=True, db_default=Now())
    error = models.TextField(db_default="")
    traceback = models.TextField(db_default="")
    parked_at = models.DateTimeField(db_default=Now())
    copied = models.IntegerField(db_default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["subscription", "position"], name="eventstore_parked_once"
            )
        ]
        indexes = [
            models.Index(
                fields=["subscription", "key", "position"], name="eventstore_parked_in_order"
            ),
            models.Index(fields=["subscription", "due_at"], name="eventstore_parked_due"),
            models.Index(
                fields=["subscription", "attempts", "position"],
                condition=models.Q(status="dead", copied__lt=models.F("attempts")),
                name="eventstore_parked_uncopied",
            ),
        ]
        verbose_name_plural = "parked messages"

    def __str__(self) -> str:
        return f"{self.subscription} at {self.position} ({self.status})"


class DeliveryMarker(models.Model):
    """What a worker began on a subscription where the worker before it may have died. Deleted
    unless the worker dies.

    position: of the message, or 0 for a whole batch. times: how often it was begun.
    """

    subscription = models.TextField(primary_key=True, db_collation="C")
    position = models.BigIntegerField()
    times = models.IntegerField()
    begun_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "eventstore_delivery_marker"

    def __str__(self) -> str:
        return f"{self.subscription} at {self.position}, {self.times} times"


class SagaState(models.Model):
    """One process of a saga. deadline_at: when its current step is late, by the database's clock.

    schema_version: of the stored state.
    """

    saga = models.TextField(db_collation="C")
    key = models.TextField(db_collation="C")
    status = models.TextField(db_collation="C")
    state = models.JSONField()
    schema_version = models.SmallIntegerField(db_default=1)
    position = models.BigIntegerField()
    correlation_id = models.UUIDField()
    deadline_at = models.DateTimeField(null=True)
    started_at = models.DateTimeField(db_default=Now())
    updated_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "eventstore_saga"
        constraints = [
            models.UniqueConstraint(fields=["saga", "key"], name="eventstore_one_saga_per_key")
        ]
        indexes = [
            models.Index(
                fields=["deadline_at", "id"],
                name="eventstore_saga_deadline",
                condition=models.Q(deadline_at__isnull=False),
            ),
            # Processes that wait for an operator, however old they are.
            models.Index(
                fields=["id"],
                name="eventstore_saga_attention",
                condition=models.Q(status="NEEDS_ATTENTION"),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.saga} {self.key}: {self.status}"


class StoredResponse(models.Model):
    """The response stored under an idempotency key, in the commit of the command's events.

    scope: principal, method, URL and key, separated by spaces. fingerprint: of the request.
    """

    scope = models.TextField(primary_key=True, db_collation="C")
    fingerprint = models.TextField(db_collation="C")
    status = models.SmallIntegerField()
    headers = models.JSONField()
    body = models.TextField()
    stored_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "eventstore_stored_response"
        indexes = [models.Index(fields=["stored_at"], name="eventstore_response_stored")]

    def __str__(self) -> str:
        return f"{self.scope}: {self.status}"


class Received(models.Model):
    """A message from outside, recorded in the transaction of its effect. message_id: of its
    source."""

    source = models.TextField(db_collation="C")
    message_id = models.TextField(db_collation="C")
    received_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "eventstore_inbox"
        constraints = [
            models.UniqueConstraint(
                fields=["source", "message_id"], name="eventstore_received_once"
            )
        ]
        indexes = [models.Index(fields=["received_at"], name="eventstore_inbox_received")]
        verbose_name_plural = "received messages"

    def __str__(self) -> str:
        return f"{self.message_id} from {self.source}"


class DeferredCommand(models.Model):
    """A command that a client sent to be decided by a worker, and its outcome.

    subscription, key: where it is enqueued, and its order key; if it cannot be decided, it is
    parked under these.
    """

    id = models.UUIDField(primary_key=True)
    principal = models.TextField(db_collation="C")
    location = models.TextField()
    subscription = models.TextField(db_collation="C", db_default="")
    key = models.TextField(db_collation="C", db_default="")
    status = models.TextField(db_default="PENDING")
    version = models.IntegerField(db_default=0)
    position = models.BigIntegerField(db_default=0)
    code = models.TextField(db_default="")
    detail = models.TextField(db_default="")
    deferred_at = models.DateTimeField(db_default=Now())
    settled_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "eventstore_deferred_command"
        indexes = [models.Index(fields=["deferred_at"], name="eventstore_deferred_at")]

    def __str__(self) -> str:
        return f"{self.id}: {self.status}"


class OperatorAction(models.Model):
    """The audit log: what an operator did, when and why. Append-only."""

    at = models.DateTimeField(db_default=Now())
    who = models.TextField()
    action = models.TextField()
    subject = models.TextField()
    reason = models.TextField(db_default="")
    details = models.JSONField(default=dict)

    class Meta:
        db_table = "eventstore_operator_action"
        indexes = [models.Index(fields=["subject", "id"], name="eventstore_action_subject")]
        permissions = [
            ("operate", "Can retry, discard, pause and the like, giving a reason"),
            ("reveal", "Can see what is about a person, giving a reason"),
        ]

    def __str__(self) -> str:
        return f"{self.who} {self.action} {self.subject}"


class Rebuild(models.Model):
    """The rebuild of a read model in a second table: by whom, why, and its outcome.

    background: the workers fold it, a turn at a time; else the process that began it. swap: replace
    the live table when the fold is complete. form: of the live table and of the code when it began.
    head: the end of the log then. seconds: spent on folding. differences: from the live table, as
    the workers found them. replaced: where the replaced table is, while it is kept.
    """

    class State(models.TextChoices):
        FOLDING = "folding"
        READY = "ready"
        SWAPPED = "swapped"
        TAKEN_BACK = "taken back"
        FAILED = "failed"
        CANCELLED = "cancelled"

    subscription = models.TextField(db_collation="C")
    state = models.TextField(choices=State.choices, default=State.FOLDING)
    who = models.TextField()
    reason = models.TextField(db_default="")
    background = models.BooleanField()
    swap = models.BooleanField()
    form = models.TextField()
    head = models.BigIntegerField()
    seconds = models.FloatField(db_default=0.0)
    error = models.TextField(db_default="")
    waits_for = models.TextField(db_default="")
    differences = models.JSONField(null=True)
    replaced = models.JSONField(null=True)
    began_at = models.DateTimeField(db_default=Now())
    told_at = models.DateTimeField(db_default=Now())
    ended_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "eventstore_rebuild"
        constraints = [
            models.UniqueConstraint(
                fields=["subscription"],
                condition=models.Q(state__in=["folding", "ready"]),
                name="eventstore_one_rebuild_at_a_time",
            )
        ]

    def __str__(self) -> str:
        return f"{self.subscription}: {self.state}"


class RebuildShare(models.Model):
    """The progress of a process with its share of the keys; saved in the commit of the rows."""

    rebuild = models.ForeignKey(Rebuild, on_delete=models.CASCADE, related_name="shares")
    number = models.SmallIntegerField()
    position = models.BigIntegerField(db_default=0)
    events = models.BigIntegerField(db_default=0)

    class Meta:
        db_table = "eventstore_rebuild_share"
        constraints = [
            models.UniqueConstraint(fields=["rebuild", "number"], name="eventstore_rebuild_shares")
        ]

    def __str__(self) -> str:
        return f"{self.rebuild_id}/{self.number}"


class RelayLease(models.Model):
    """Which process publishes for a relay, and by which way. token: of the batch that it publishes;
    settled: of the last one that moved the cursor.

    way: relay, cdc, or on the way from one to the other (messaging/cdc/ways.py). pending,
    pending_bytes: its rows of the integration outbox, and the bytes of their payloads. mark,
    mark_lsn: the rows up to this number were committed before this place of the WAL.
    """

    name = models.TextField(primary_key=True, db_collation="C")
    token = models.BigIntegerField()
    settled = models.BigIntegerField(db_default=0)
    holder = models.TextField()
    until = models.DateTimeField()
    error = models.TextField(db_default="")
    failed_at = models.DateTimeField(null=True)
    way = models.TextField(db_collation="C", db_default="relay")
    pending = models.BigIntegerField(db_default=0)
    pending_bytes = models.BigIntegerField(db_default=0)
    mark = models.BigIntegerField(null=True)
    mark_lsn = models.TextField(null=True, db_collation="C")

    class Meta:
        db_table = "eventstore_relay"

    def __str__(self) -> str:
        return self.name


class IntegrationMessage(models.Model):
    """An integration event for Debezium, which reads the row from the WAL. Deleted once the
    replication slot has passed it.

    number: the order in which the relay's rows are written. position: of the domain event.
    route: the topic; behind a ~, the columns that give no header, as they are empty. The other
    columns are the message: its key (aggregate_id), its value (payload) and its headers, byte for
    byte those of the relay.
    """

    number = models.BigAutoField(primary_key=True)
    id = models.UUIDField()
    relay = models.TextField(db_collation="C")
    position = models.BigIntegerField()
    route = models.TextField(db_collation="C")
    aggregate_type = models.TextField(db_collation="C")
    aggregate_id = models.TextField(db_collation="C")
    event_type = models.TextField(db_collation="C")
    payload = models.BinaryField()
    content_type = models.TextField(db_collation="C")
    correlation_id = models.TextField(db_collation="C")
    specversion = models.TextField(null=True, db_collation="C")
    source = models.TextField(null=True, db_collation="C")
    stream = models.TextField(null=True, db_collation="C")
    time = models.TextField(null=True, db_collation="C")
    dataschema = models.TextField(null=True, db_collation="C")
    sequence = models.TextField(null=True, db_collation="C")
    previoussequence = models.TextField(null=True, db_collation="C")
    causation_id = models.TextField(null=True, db_collation="C")
    traceparent = models.TextField(null=True, db_collation="C")
    kind = models.TextField(null=True, db_collation="C")
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "eventstore_integration_outbox"
        indexes = [
            models.Index(fields=["relay", "number"], name="eventstore_integration_relay"),
        ]

    def __str__(self) -> str:
        return f"{self.event_type} {self.id}"


class ConsumerOffset(models.Model):
    """Up to where a consumer has stored the messages of one partition of Kafka, or how many of a
    queue of RabbitMQ.

    next: the offset that it reads next. found: the first offset that the topic still has, where
    next is not among them. If it is larger, the messages between the two are lost to this consumer
    until an operator decides; else the topic was made again.
    reached: up to where a reader has looked, behind the marks of transactions. broker_end: the
    offset after the last message, as a reader saw it at seen_at.
    Of a queue, broker_end is next and the messages that wait in it.
    """

    pk = models.CompositePrimaryKey("consumer", "topic", "partition")
    consumer = models.TextField(db_collation="C")
    topic = models.TextField(db_collation="C")
    partition = models.IntegerField()
    next = models.BigIntegerField()
    found = models.BigIntegerField(null=True)
    moved_at = models.DateTimeField(db_default=Now())
    reached = models.BigIntegerField(db_default=0)
    broker_end = models.BigIntegerField(null=True)
    seen_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "eventstore_consumer_offset"

    def __str__(self) -> str:
        return f"{self.consumer} {self.topic}/{self.partition}: {self.next}"


class ConsumerSequence(models.Model):
    """The sequence of the last message of a stream that a consumer has stored.

    gaps: what it has passed over, as pairs of the sequence before a gap and the last one in it.
    """

    pk = models.CompositePrimaryKey("consumer", "stream")
    consumer = models.TextField(db_collation="C")
    stream = models.TextField(db_collation="C")
    sequence = models.BigIntegerField()
    gaps = models.JSONField(default=list)

    class Meta:
        db_table = "eventstore_consumer_sequence"

    def __str__(self) -> str:
        return f"{self.consumer} {self.stream}: {self.sequence}"


class EarlyMessage(models.Model):
    """A message of a broker that came before an earlier one of its stream, and waits for it.

    previous: the sequence of the message that it waits for. until: when it is delivered without.
    """

    consumer = models.TextField(db_collation="C")
    stream = models.TextField(db_collation="C")
    sequence = models.BigIntegerField()
    previous = models.BigIntegerField()
    key = models.TextField(db_collation="C")
    payload = AsWritten()
    metadata = AsWritten()
    until = models.DateTimeField()

    class Meta:
        db_table = "eventstore_early_message"
        indexes = [
            models.Index(fields=["consumer", "stream"], name="eventstore_early_stream"),
            # Without the consumer: with it, it also seems to serve for a look for some streams.
            models.Index(fields=["until"], name="eventstore_early_until"),
        ]

    def __str__(self) -> str:
        return f"{self.consumer} {self.stream}: {self.sequence}"


class WebhookEndpoint(models.Model):
    """An address to which integration events are sent.

    owner: the principal that registered it. is_for_all: it gets the events of every owner. types:
    published types, or "*" for all. after: it gets no event up to this position of the log.
    version: of what its owner may change. salt, key_id: the secret is derived from
    both (webhooks/secrets.py); former_*: the secret that is valid beside it until former_until.
    failures: failed attempts since the last success, the first of them at failing_since.
    rest_until: nothing is sent before. served_at: when deliveries were last taken for it.
    queued, queued_bytes: its deliveries that wait. told_at: when its owner got a mail that it was
    disabled.
    """

    class Status(models.TextChoices):
        ENABLED = "enabled"
        DISABLED = "disabled"
        DELETED = "deleted"

    id = models.UUIDField(primary_key=True)
    owner = models.TextField(db_collation="C")
    is_for_all = models.BooleanField()
    url = models.TextField()
    types = models.JSONField()
    description = models.TextField(db_default="")
    after = models.BigIntegerField()
    version = models.IntegerField(db_default=1)
    status = models.TextField(choices=Status.choices, db_default=Status.ENABLED)
    disabled_reason = models.TextField(db_default="")
    disabled_at = models.DateTimeField(null=True)
    told_at = models.DateTimeField(null=True)
    salt = models.TextField()
    key_id = models.TextField()
    secret_version = models.IntegerField(db_default=1)
    former_salt = models.TextField(db_default="")
    former_key_id = models.TextField(db_default="")
    former_until = models.DateTimeField(null=True)
    failures = models.IntegerField(db_default=0)
    failing_since = models.DateTimeField(null=True)
    succeeded_at = models.DateTimeField(null=True)
    last_error = models.TextField(db_default="")
    rest_until = models.DateTimeField(db_default=Now())
    served_at = models.DateTimeField(db_default=Now())
    queued = models.IntegerField(db_default=0)
    queued_bytes = models.BigIntegerField(db_default=0)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "eventstore_webhook_endpoint"
        indexes = [
            models.Index(fields=["owner", "id"], name="eventstore_webhook_owner"),
            models.Index(
                fields=["id"],
                name="eventstore_webhook_for_all",
                condition=models.Q(is_for_all=True, status="enabled"),
            ),
            models.Index(
                fields=["rest_until"],
                name="eventstore_webhook_waiting",
                condition=models.Q(status="enabled", queued__gt=0),
            ),
            models.Index(
                fields=["disabled_at"],
                name="eventstore_webhook_disabled",
                condition=~models.Q(status="enabled"),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.id}: {self.url}"


class WebhookMessage(models.Model):
    """An integration event as it is sent to endpoints: the same bytes to each, and at each
    attempt. id: the webhook-id. key: its stream, the order key."""

    id = models.UUIDField(primary_key=True)
    type = models.TextField(db_collation="C")
    key = models.TextField(db_collation="C")
    position = models.BigIntegerField()
    body = models.TextField()
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "eventstore_webhook_message"
        indexes = [models.Index(fields=["created_at"], name="eventstore_webhook_message_age")]

    def __str__(self) -> str:
        return f"{self.id}: {self.type}"


class WebhookDelivery(models.Model):
    """A message for one endpoint.

    due_at: when it may be attempted; of a leased one, when its lease ends. attempts: begun so far;
    also the token of the lease. resent_after: the attempts begun when it was last sent again by
    hand. until: it is given up then. ended_at: when it was delivered or given up.
    """

    class Status(models.TextChoices):
        WAITING = "waiting"
        LEASED = "leased"
        DELIVERED = "delivered"
        FAILED = "failed"

    endpoint = models.ForeignKey(
        WebhookEndpoint, models.CASCADE, related_name="deliveries", db_index=False
    )
    message = models.ForeignKey(WebhookMessage, models.CASCADE, related_name="deliveries")
    key = models.TextField(db_collation="C")
    bytes = models.IntegerField()
    status = models.TextField(choices=Status.choices, db_default=Status.WAITING)
    attempts = models.IntegerField(db_default=0)
    due_at = models.DateTimeField(db_default=Now())
    until = models.DateTimeField()
    resent_after = models.IntegerField(db_default=0)
    error = models.TextField(db_default="")
    created_at = models.DateTimeField(db_default=Now())
    ended_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "eventstore_webhook_delivery"
        verbose_name_plural = "webhook deliveries"
        constraints = [
            models.UniqueConstraint(
                fields=["endpoint", "message"], name="eventstore_webhook_delivered_once"
            )
        ]
        indexes = [
            models.Index(fields=["endpoint", "id"], name="eventstore_webhook_of_endpoint"),
            models.Index(fields=["status", "id"], name="eventstore_webhook_of_status"),
            models.Index(
                fields=["endpoint", "due_at"],
                name="eventstore_webhook_due",
                condition=models.Q(status__in=["waiting", "leased"]),
            ),
            models.Index(
                fields=["endpoint", "key", "id"],
                name="eventstore_webhook_order",
                condition=models.Q(status__in=["waiting", "leased"]),
            ),
            models.Index(
                fields=["until"],
                name="eventstore_webhook_until",
                condition=models.Q(status__in=["waiting", "leased"]),
            ),
            models.Index(
                fields=["endpoint", "id"],
                name="eventstore_webhook_failed",
                condition=models.Q(status="failed"),
            ),
            models.Index(
                fields=["ended_at"],
                name="eventstore_webhook_ended",
                condition=models.Q(status__in=["delivered", "failed"]),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.id}: {self.status}"


class WebhookAttempt(models.Model):
    """One request to an endpoint. status: of the HTTP response; null if there was none. response:
    the beginning of its body."""

    delivery = models.ForeignKey(
        WebhookDelivery, models.CASCADE, related_name="tries", db_index=False
    )
    number = models.IntegerField()
    at = models.DateTimeField()
    seconds = models.FloatField()
    status = models.IntegerField(null=True)
    error = models.TextField(db_default="")
    response = models.TextField(db_default="")

    class Meta:
        db_table = "eventstore_webhook_attempt"
        constraints = [
            models.UniqueConstraint(
                fields=["delivery", "number"], name="eventstore_webhook_attempt_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.delivery_id}/{self.number}"


class Heartbeat(models.Model):
    """The last sign of life of a process. backend: its PostgreSQL process id."""

    kind = models.TextField(db_collation="C")
    name = models.TextField(db_collation="C")
    backend = models.IntegerField()
    at = models.DateTimeField()

    class Meta:
        db_table = "eventstore_heartbeat"
        constraints = [
            models.UniqueConstraint(fields=["kind", "name"], name="eventstore_one_heartbeat_each")
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


class Sample(models.Model):
    """The lag of a subscription at a time, or of all subscriptions if it has no name. Kept for
    about a day.

    slot: number of the half minute since 1970. events, seconds: how far it was behind.
    """

    pk = models.CompositePrimaryKey("subscription", "slot")
    subscription = models.TextField(db_collation="C")
    slot = models.IntegerField()
    at = models.DateTimeField()
    position = models.BigIntegerField()
    events = models.BigIntegerField()
    seconds = models.FloatField()

    class Meta:
        db_table = "eventstore_sample"
        indexes = [models.Index(fields=["slot"], name="eventstore_sample_slot")]

    def __str__(self) -> str:
        return f"{self.subscription or 'all'} at {self.at}"


class RegisteredSchema(models.Model):
    """A schema of the registry. One id is one text for ever: triggers refuse to change or delete a
    row (sql/guards.sql). One without a version was deleted permanently, and its id stays unused.

    type: AVRO or JSON. text: JSON. digest: SHA-256 of its canonical form and its references.
    normalized: the same of its normal form. guid: made of the digest.
    """

    id = models.IntegerField(primary_key=True)
    guid = models.UUIDField(db_index=True)
    type = models.TextField(db_collation="C")
    text = models.TextField()
    digest = models.BinaryField(db_index=True)
    normalized = models.BinaryField()
    registered_at = models.DateTimeField(db_default=ClockTimestamp())

    class Meta:
        db_table = "eventstore_schema"
        constraints = [
            models.CheckConstraint(
                condition=models.Q(id__gt=0), name="eventstore_schema_id_is_positive"
            )
        ]

    def __str__(self) -> str:
        return f"{self.type} {self.id}"


class SchemaReference(models.Model):
    """A schema uses a name that a version of a subject defines. Never changed or deleted, as it
    belongs to the schema."""

    pk = models.CompositePrimaryKey("schema", "name")
    schema = models.ForeignKey(RegisteredSchema, on_delete=models.PROTECT, related_name="+")
    name = models.TextField(db_collation="C")
    subject = models.TextField(db_collation="C")
    version = models.IntegerField()

    class Meta:
        db_table = "eventstore_schema_reference"
        indexes = [models.Index(fields=["subject", "version"], name="eventstore_schema_referenced")]

    def __str__(self) -> str:
        return f"{self.schema_id} uses {self.name}"


class SubjectVersion(models.Model):
    """A version of a subject of the registry. deleted: softly, so it can still be read."""

    pk = models.CompositePrimaryKey("subject", "version")
    subject = models.TextField(db_collation="C")
    version = models.IntegerField()
    schema = models.ForeignKey(RegisteredSchema, on_delete=models.PROTECT, related_name="+")
    deleted = models.BooleanField(db_default=False)
    registered_at = models.DateTimeField(db_default=ClockTimestamp())

    class Meta:
        db_table = "eventstore_subject_version"
        constraints = [
            models.CheckConstraint(
                condition=models.Q(version__gt=0), name="eventstore_version_is_positive"
            )
        ]

    def __str__(self) -> str:
        return f"{self.subject} {self.version}"


class SubjectSetting(models.Model):
    """The compatibility level and the mode of a subject, or of all subjects if it has no name. NULL
    stands for the setting of all, and in that for the default."""

    subject = models.TextField(primary_key=True, db_collation="C")
    compatibility = models.TextField(null=True)
    mode = models.TextField(null=True)

    class Meta:
        db_table = "eventstore_subject_setting"

    def __str__(self) -> str:
        return self.subject or "all subjects"


class ReadModel(models.Model):
    """Abstract base of read models.

    version: of the row's own stream. position: of the last event folded into the row.
    """

    version = models.IntegerField(default=0)
    position = models.BigIntegerField(default=0)
    updated_at = models.DateTimeField(null=True)

    class Meta:
        abstract = True


class SandboxCall(models.Model):
    """Abstract base of the tables of sandboxes: what a real provider would store of a call, by its
    key.

    done_at: the number of the attempt that succeeds; larger than any attempt for never. done:
    whether it has succeeded.
    """

    key = models.TextField(primary_key=True)
    tries = models.IntegerField()
    done_at = models.IntegerField()
    done = models.GeneratedField(
        expression=GreaterThanOrEqual(models.F("tries"), models.F("done_at")),
        output_field=models.BooleanField(),
        db_persist=True,
    )
    entered_at = models.DateTimeField(db_default=Now())

    class Meta:
        abstract = True
