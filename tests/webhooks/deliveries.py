"""What tests do with deliveries in the database."""

from eventstore import registry
from eventstore.delivery import step
from eventstore.models import WebhookDelivery, WebhookEndpoint
from eventstore.postgres import execute
from eventstore.subscriptions import Webhooks

SUBSCRIPTION = "webhooks"


def fill():
    """Owe what is ahead of the subscription, without sending anything."""
    assert isinstance(registry.subscriptions()[SUBSCRIPTION], Webhooks)
    while step.step(SUBSCRIPTION):
        pass


def make_due():
    """As if the time of every delay and of every rest were over."""
    execute("UPDATE eventstore_webhook_delivery SET due_at = now() WHERE ended_at IS NULL").close()
    execute("UPDATE eventstore_webhook_endpoint SET rest_until = now()").close()


def age(table, column, days, **where):
    """Move a time into the past."""
    condition = " AND ".join(f"{name} = %s" for name in where) or "true"
    execute(
        f"UPDATE eventstore_webhook_{table} SET {column} = {column} - make_interval(days => %s)"
        f" WHERE {condition}",
        [days, *where.values()],
    ).close()


def states(endpoint):
    """Type and status of each delivery, in order."""
    found = WebhookDelivery.objects.filter(endpoint=endpoint).order_by("id")
    return list(found.values_list("message__type", "status"))


def statuses(endpoint):
    return [status for _, status in states(endpoint)]


def counted(endpoint):
    """The counters of an endpoint, after a check that they are true."""
    found = WebhookEndpoint.objects.get(pk=endpoint)
    waiting = WebhookDelivery.objects.filter(endpoint=endpoint, status__in=("waiting", "leased"))
    sizes = list(waiting.values_list("bytes", flat=True))
    assert (found.queued, found.queued_bytes) == (len(sizes), sum(sizes))
    return found
