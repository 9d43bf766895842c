from typing import Any

from django.apps import AppConfig
from django.core.management import CommandError
from django.db import connections
from django.db.backends.signals import connection_created
from django.db.migrations.recorder import MigrationRecorder
from django.db.models.signals import post_migrate, pre_migrate

# One of the migrations before release 0.1.0, which squashed them.
EARLIER = ("eventstore", "0002_append_and_fence")


class EventStoreConfig(AppConfig):
    name = "eventstore"
    verbose_name = "Event store"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from eventstore.guarantees import wiring  # noqa: F401  the package registers its checks, too
        from eventstore.outbox import cursors
        from eventstore.postgres import begin_read_committed, name_statements_by_text

        connection_created.connect(begin_read_committed)
        connection_created.connect(name_statements_by_text)
        pre_migrate.connect(_refuse_earlier, sender=self)
        post_migrate.connect(lambda **_: cursors.ensure_cursors(), sender=self, weak=False)


def _refuse_earlier(*, using: str, **_: Any) -> None:
    if EARLIER in MigrationRecorder(connections[using]).applied_migrations():
        raise CommandError(
            "This database was created before release 0.1.0, which squashed the migrations. It was"
            " not changed. Use an empty database; `make clean-data` deletes the one of `make run`."
        )
