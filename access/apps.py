from typing import Any

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class AccessConfig(AppConfig):
    name = "access"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        post_migrate.connect(_make_groups, sender=self)


def _make_groups(**kwargs: Any) -> None:
    """The staff roles exist wherever the database does; who is in them, an admin says."""
    from django.contrib.auth.models import Group

    from access import permissions

    for name in permissions.GROUPS:
        Group.objects.get_or_create(name=name)
