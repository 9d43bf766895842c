"""Who sees the console and who acts in it, as groups of Django's own."""

from django.contrib import admin
from django.contrib.auth.models import Group, Permission
from django.contrib.contenttypes.models import ContentType

from eventstore.models import OperatorAction

from .read_only import ReadOnlyAdmin


def grant(group: str, *, operate: bool = False) -> None:
    """Let a group see every page of the console, and act there if that is said. Its members are staff as well."""
    known, _ = Group.objects.get_or_create(name=group)
    known.permissions.add(*_viewing(), *(_operating() if operate else ()))


def _viewing() -> list[Permission]:
    models = [model for model, registered in admin.site._registry.items() if isinstance(registered, ReadOnlyAdmin)]
    kinds = ContentType.objects.get_for_models(*models, for_concrete_models=False)
    names = [f"view_{model._meta.model_name}" for model in models]
    return list(Permission.objects.filter(content_type__in=kinds.values(), codename__in=names))


def _operating() -> list[Permission]:
    kind = ContentType.objects.get_for_model(OperatorAction)
    return list(Permission.objects.filter(content_type=kind, codename="operate"))
