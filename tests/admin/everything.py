"""The admin's own pages, as addresses: every list, and a page of each kind of thing that there is."""

import re

from django.apps import apps
from django.contrib import admin
from django.urls import reverse

# What Django gives every list, and we beside it.
COMMON = {"", "add/", *(f"KEY/{view}" for view in ("", "change/", "reveal/", "history/", "delete/"))}

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


def routes():
    """The address of every view of the console, with KEY for what it is about, APP/MODEL for what each list has."""
    found = set()
    for resolver in admin.site.get_urls():
        app, _, model = str(resolver.pattern).strip("/").partition("/")
        if app in OURS and model:
            registered = admin.site._registry[apps.get_model(app, model)]
            found |= {
                _address_of(app, model, str(each.pattern), word)
                for each in resolver.url_patterns
                for word in _words(registered)
            }
    return found


def _words(registered):
    return getattr(registered, "acts", None) or [""]


def _address_of(app, model, pattern, word):
    pattern = pattern.replace("<slug:word>", word)
    own = re.sub(r"<\w+:\w+>", "KEY", pattern)
    return f"APP/MODEL/{own}" if own in COMMON else f"{app}/{model}/{own}"


def models():
    return [model for model in admin.site._registry if model._meta.app_label in OURS]


def _address(model, view, *args):
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{view}", args=args)
