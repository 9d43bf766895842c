"""The admin's own pages, as addresses: every list, and a page of each kind of thing that there is."""

from django.contrib import admin
from django.urls import reverse

OURS = ("eventstore", "orders", "payments", "inventory", "shipping")


def lists():
    return [_address(model, "changelist") for model in models()]


def pages():
    """One for each model that has a row."""
    found = []
    for model in models():
        registered = admin.site.get_model_admin(model)
        row = registered.get_queryset(None).order_by("pk").last()
        if row is not None:
            found.append(registered.url_of(row) or _address(model, "change", row.pk))
    return found


def everything_there_is():
    """The page of every row of every model."""
    found = []
    for model in models():
        registered = admin.site.get_model_admin(model)
        found += [registered.url_of(row) or _address(model, "change", row.pk) for row in registered.get_queryset(None)]
    return found


def models():
    return [model for model in admin.site._registry if model._meta.app_label in OURS]


def _address(model, view, *args):
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{view}", args=args)
