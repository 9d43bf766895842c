import logging
from typing import Any

from django.apps import AppConfig, apps
from django.core.management import CommandError
from django.db import connections, router
from django.db.backends.signals import connection_created
from django.db.migrations.recorder import MigrationRecorder
from django.db.models.signals import post_migrate, pre_migrate

logger = logging.getLogger(__name__)

# One of the migrations before release 0.1.0, which squashed them.
EARLIER = ("eventstore", "0002_append_and_fence")


class EventStoreConfig(AppConfig):
    name = "eventstore"
    verbose_name = "Event store"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from eventstore.guarantees import wiring  # noqa: F401  the package registers its checks, too
        from eventstore.outbox import cursors
        from eventstore.postgres import (
            begin_read_committed,
            name_statements_by_text,
            write_arrays,
        )

        connection_created.connect(begin_read_committed)
        connection_created.connect(name_statements_by_text)
        connection_created.connect(write_arrays)
        pre_migrate.connect(_refuse_earlier, sender=self)
        post_migrate.connect(lambda **_: cursors.ensure_cursors(), sender=self, weak=False)
        post_migrate.connect(_register_schemas, sender=self)


def _register_schemas(*, plan: Any = None, **_: Any) -> None:
    """After migrate, and not after a flush: the registry has the published schemas from the first
    start. Later versions are registered by the same way, or by manage.py schemas --register."""
    if plan is None:
        return
    try:
        from eventstore.schemas.registry import published
    except ModuleNotFoundError:  # the extra "registry" is not installed
        return
    for each in published.register_all():
        if each.problem:
            logger.warning("%s is not registered: %s", each.subject, each.problem)


def _refuse_earlier(*, using: str, **_: Any) -> None:
    connection = connections[using]
    if connection.vendor != "postgresql":
        if router.allow_migrate_model(using, apps.get_model("eventstore", "Event")):
            raise CommandError(
                f"The tables of eventstore cannot be created in {using!r}, which is"
                f" {connection.vendor}: they need PostgreSQL. If only the default database has"
                " them, say so in a router (DATABASE_ROUTERS)."
            )
        return
    if EARLIER in MigrationRecorder(connections[using]).applied_migrations():
        raise CommandError(
            "This database was created before release 0.1.0, which squashed the migrations. It was"
            " not changed. Use an empty database; `make clean-data` deletes the one of `make run`."
        )
