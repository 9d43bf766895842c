"""Permissions of the console for Django groups: to view, to operate, to reveal personal data."""

from django.contrib import admin
from django.contrib.auth.models import Group, Permission
from django.contrib.contenttypes.models import ContentType

from eventstore.models import OperatorAction

from .read_only import ReadOnlyAdmin

OPERATE, REVEAL = "operate", "reveal"


def grant(group: str, *more: str) -> None:
    """Let a group, created if missing, see every page of the console. more: OPERATE, REVEAL.

    Members must also be staff to log in.
    """
    pages = admin.site._registry.items()
    models = [model for model, page in pages if isinstance(page, ReadOnlyAdmin)]
    kinds = ContentType.objects.get_for_models(*models, for_concrete_models=False)
    to_view = [f"view_{model._meta.model_name}" for model in models]
    known, _ = Group.objects.get_or_create(name=group)
    known.permissions.add(
        *Permission.objects.filter(content_type__in=kinds.values(), codename__in=to_view),
        *Permission.objects.filter(
            content_type=ContentType.objects.get_for_model(OperatorAction), codename__in=more
        ),
    )
