"""Who sees the console, who acts in it, and who sees what is about a person, as groups of Django's
own."""

from collections.abc import Sequence

from django.contrib import admin
from django.contrib.auth.models import Group, Permission
from django.contrib.contenttypes.models import ContentType

from eventstore.models import OperatorAction

from .read_only import ReadOnlyAdmin

OPERATE, REVEAL = "operate", "reveal"


def grant(group: str, *more: str) -> None:
    """Let a group see every page of the console. more: OPERATE, REVEAL. Its members are staff as
    well."""
    known, _ = Group.objects.get_or_create(name=group)
    known.permissions.add(*_viewing(), *_more(more))


def _viewing() -> list[Permission]:
    models = [
        model
        for model, registered in admin.site._registry.items()
        if isinstance(registered, ReadOnlyAdmin)
    ]
    kinds = ContentType.objects.get_for_models(*models, for_concrete_models=False)
    names = [f"view_{model._meta.model_name}" for model in models]
    return list(Permission.objects.filter(content_type__in=kinds.values(), codename__in=names))


def _more(names: Sequence[str]) -> list[Permission]:
    kind = ContentType.objects.get_for_model(OperatorAction)
    return list(Permission.objects.filter(content_type=kind, codename__in=names))
