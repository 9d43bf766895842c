"""Webhooks: deliveries that no worker sends, disabled endpoints, secrets without a key."""

from collections.abc import Iterator
from datetime import timedelta

from eventstore.webhooks import overview

from .findings import CRITICAL, WARNING, Finding, Limits

# A disabled endpoint is reported for so long; after that its owner knows.
LATELY = timedelta(days=7)


def late(limits: Limits) -> Iterator[Finding]:
    found = overview.late(limits.webhook)
    if found:
        first, seconds = found[0]
        yield Finding(
            check="webhooks-late",
            severity=WARNING,
            what=f"Webhooks to {len(found)} endpoints are due and not sent, the oldest for"
            f" {seconds:.0f} s, to {first}.",
            culprit="the workers: none sends, or WEBHOOK_CALLS is too small for the slow endpoints",
            why="Receivers get events late; after a day, deliveries are given up.",
            mend="Start more workers, or raise WEBHOOK_CALLS; manage.py browse webhookendpoint"
            " shows which endpoints are slow.",
        )


def disabled(limits: Limits) -> Iterator[Finding]:
    for each in overview.disabled(LATELY):
        yield Finding(
            check="webhook-disabled",
            severity=WARNING,
            what=f"The webhook endpoint {each.id} was disabled ({each.reason}): {each.error}",
            culprit=each.url,
            why="Its receiver gets no events. A mail was sent to its owner, if the address is"
            " known.",
            mend=f"Tell its owner; enable it in the console when it is repaired, or delete it:"
            f" /admin/eventstore/webhookendpoint/{each.id}/change/",
        )


def unsignable(limits: Limits) -> Iterator[Finding]:
    found = overview.unsignable()
    if found:
        yield Finding(
            check="webhook-key",
            severity=CRITICAL,
            what=f"The secrets of {len(found)} webhook endpoints cannot be derived, the first of"
            f" {found[0]}: their key is not in the settings.",
            culprit="WEBHOOK_KEYS, or SECRET_KEY without the former one in SECRET_KEY_FALLBACKS",
            why="Nothing can be sent to these endpoints.",
            mend="Add the former key at the end of WEBHOOK_KEYS, or rotate the secret of each"
            " endpoint.",
        )


CHECKS = (late, disabled, unsignable)
