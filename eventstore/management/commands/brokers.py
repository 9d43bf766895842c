"""manage.py brokers [--create [--tap]]: whether each broker has what the relays need."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from eventstore import settings
from eventstore.messaging import brokers, relay
from eventstore.messaging.transport import BrokerProblem


class Command(BaseCommand):
    help = "Say which topics and exchanges the relays need and lack, or create them."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--create", action="store_true", help="create what is missing")
        parser.add_argument(
            "--tap",
            action="store_true",
            help="with --create, on RabbitMQ: also a queue that keeps the last messages of all",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.brokers():
            self.stdout.write("No broker is configured: set KAFKA_BOOTSTRAP_SERVERS, RABBITMQ_URL.")
        problems = []
        for name in settings.brokers():
            try:
                administration, relays = brokers.administration(name), relay.published_by(name)
                if options["create"]:
                    for made in administration.create(relays, tap=options["tap"]):
                        self.stdout.write(f"{name}: created {made}")
                elif missing := administration.missing(relays):
                    raise CommandError(
                        f"{name} lacks {', '.join(missing)}; create it: manage.py brokers --create"
                    )
                self.stdout.write(f"{name}: has all that {len(relays)} relays need")
            except BrokerProblem as problem:
                problems.append(f"{name}: {type(problem).__name__}: {problem}")
        if problems:
            raise CommandError("\n".join(problems))
