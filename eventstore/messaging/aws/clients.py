"""Clients of AWS, names of topics and queues there, and what its errors mean.

Credentials come from boto3's own chain (environment, files, role of the machine or the container),
and never from our settings.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any, NamedTuple

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from eventstore.messaging.transport import BrokerUnreachable, TopicMissing

CONNECT_SECONDS, READ_SECONDS, ATTEMPTS = 3.0, 6.0, 2
# Of SNS, SQS and EventBridge: of one message, and of all of one request. In bytes.
MOST_BYTES = 256 << 10
# Entries of one request.
MOST_ENTRIES = 10
FIFO = ".fifo"
OTHERS = re.compile(r"[^A-Za-z0-9_-]")
MISSING = (
    "NotFound",
    "NotFoundException",
    "ResourceNotFoundException",
    "QueueDoesNotExist",
    "AWS.SimpleQueueService.NonExistentQueue",
)


class Options(NamedTuple):
    """endpoint: of another server than AWS; "" for AWS. fifo: whether SNS keeps the order of each
    aggregate. bus: of EventBridge. visibility_seconds: how long SQS hides a message that a reader
    has taken. receive_limit: after so many attempts to store it, a message is a dead letter."""

    region: str
    endpoint: str = ""
    fifo: bool = True
    bus: str = "domain-events"
    visibility_seconds: int = 30
    receive_limit: int = 20


class Clients:
    """Of one thread."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.session = boto3.session.Session(region_name=options.region)

    @cached_property
    def sns(self) -> Any:
        return self._client("sns")

    @cached_property
    def sqs(self) -> Any:
        return self._client("sqs")

    @cached_property
    def events(self) -> Any:
        return self._client("events")

    @cached_property
    def account(self) -> tuple[str, str]:
        """The partition of AWS, such as "aws" or "aws-cn", and the account."""
        arn = self._client("sts").get_caller_identity()["Arn"].split(":")
        return arn[1], arn[4]

    def arn(self, service: str, name: str) -> str:
        partition, account = self.account
        return f"arn:{partition}:{service}:{self.options.region}:{account}:{name}"

    def topic_arn(self, topic: str) -> str:
        return self.arn("sns", topic_name(topic, fifo=self.options.fifo))

    def close(self) -> None:
        for name in ("sns", "sqs", "events"):
            if name in vars(self):
                getattr(self, name).close()

    def _client(self, service: str) -> Any:
        config = Config(
            connect_timeout=CONNECT_SECONDS,
            read_timeout=READ_SECONDS,
            retries={"total_max_attempts": ATTEMPTS, "mode": "standard"},
        )
        return self.session.client(
            service, endpoint_url=self.options.endpoint or None, config=config
        )


def topic_of(type_: str) -> str:
    return f"events.{type_.partition('.')[0]}"


def topic_name(topic: str, *, fifo: bool) -> str:
    """Of SNS, which allows no dots: events.orders is events-orders.fifo."""
    return OTHERS.sub("-", topic) + (FIFO if fifo else "")


def queue_name(consumer: str, *, fifo: bool) -> str:
    return OTHERS.sub("-", consumer) + (FIFO if fifo else "")


def dead_letter_queue(consumer: str, *, fifo: bool) -> str:
    return OTHERS.sub("-", consumer) + "-dlq" + (FIFO if fifo else "")


def code_of(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


@contextmanager
def naming_problems() -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        if code_of(error) in MISSING:
            raise TopicMissing(f"{error}; create it: manage.py brokers --create") from error
        raise BrokerUnreachable(str(error)) from error
    except (BotoCoreError, OSError) as error:
        raise BrokerUnreachable(f"{type(error).__name__}: {error}") from error
