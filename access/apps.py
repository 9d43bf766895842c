from typing import Any

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class AccessConfig(AppConfig):
    name = "access"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        post_migrate.connect(_create_groups, sender=self)


def _create_groups(**kwargs: Any) -> None:
    """The roles of staff exist in every migrated database. Admins assign users to them."""
    from django.contrib.auth.models import Group

    from access import authorization

    for name in authorization.GROUPS:
        Group.objects.get_or_create(name=name)
