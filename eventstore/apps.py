from django.apps import AppConfig
from django.db.backends.signals import connection_created
from django.db.models.signals import post_migrate


class EventStoreConfig(AppConfig):
    name = "eventstore"
    verbose_name = "Event store"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from . import checks, guarantees, outbox, postgres  # noqa: F401  the first two register themselves

        connection_created.connect(postgres.begin_read_committed)
        connection_created.connect(postgres.name_statements_by_text)
        post_migrate.connect(lambda **_: outbox.enlist(), sender=self, weak=False)
