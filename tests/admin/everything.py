"""The addresses of the console: every list, a page of each kind of row, and every other view."""

import re
from urllib.parse import urlencode

from django.apps import apps
from django.contrib import admin
from django.contrib.admin.utils import quote
from django.urls import reverse

# Views of every list: Django's and ours.
COMMON = {
    "",
    "add/",
    *(f"KEY/{view}" for view in ("", "change/", "reveal/", "history/", "delete/")),
}

OURS = ("eventstore", "orders", "payments", "inventory", "shipping", "access")


def lists():
    return [_address(model, "changelist") for model in models()]


def pages():
    """One page for each model that has a row."""
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
        found += [
            registered.url_of(row) or _address(model, "change", row.pk)
            for row in registered.get_queryset(None)
        ]
    return found


def routes():
    """The address of every view, with KEY for the row and APP/MODEL for views that every list
    has."""
    found = set()
    for resolver in admin.site.get_urls():
        app, _, model = str(resolver.pattern).strip("/").partition("/")
        if app in OURS and model:
            registered = admin.site._registry[apps.get_model(app, model)]
            found |= {
                _address_of(app, model, str(each.pattern), act)
                for each in resolver.url_patterns
                for act in _acts(registered)
            }
    return found


def _acts(registered):
    return getattr(registered, "acts", None) or [""]


def _address_of(app, model, pattern, act):
    pattern = pattern.replace("<slug:act>", act)
    own = re.sub(r"<\w+:\w+>", "KEY", pattern)
    return f"APP/MODEL/{own}" if own in COMMON else f"{app}/{model}/{own}"


def everywhere():
    """Name -> address of every view; add a new kind of view to _named."""
    found = {}
    for model in models():
        registered = admin.site.get_model_admin(model)
        row = registered.get_queryset(None).order_by("pk").last()
        assert row is not None, f"there is a {model._meta.model_name} to look at"
        for pattern in registered.get_urls():
            if pattern.name:
                found |= _named(pattern.name, registered, row)
    return found


# Views without a row: their queries.
APART = {
    "eventstore_overview": "",
    "eventstore_doctor": "",
    "eventstore_search": "?q=customer-1",
    "eventstore_event_export": "?since=2020-01-01T00:00:00",
    # Without a query it would export the whole log.
    "eventstore_event_ndjson": "?q=stock-CUP",
}


def _named(name, registered, row):
    kind = name.removeprefix(f"{registered.opts.app_label}_{registered.opts.model_name}_")
    if name in APART:
        return {name: reverse(f"admin:{name}") + APART[name]}
    if kind == "changelist":
        return {
            f"{name} {query}": f"{reverse(f'admin:{name}')}{query}"
            for query in _questions(registered, row)
        }
    if kind == "correlation":
        return {name: reverse(f"admin:{name}", args=[row.correlation_id])}
    if kind == "given":
        return {name: reverse(f"admin:{name}", args=[quote(row.stream)])}
    if kind in ("change", "history", "delete", "reveal", "fixture"):
        page = registered.url_of(row) or reverse(
            f"admin:{name.replace(kind, 'change')}", args=[quote(row.pk)]
        )
        return {name: page.replace("/change/", f"/{kind}/")}
    if kind == "act":
        if registered.opts.model_name == "subscription":  # not each of them can be reset
            row = registered.get_queryset(None).get(pk="orders.catalogue")
        chosen = urlencode({"id": row.pk, "name": row.pk})
        return {
            f"{name} {act}": f"{reverse(f'admin:{name}', args=[act])}?{chosen}"
            for act in registered.acts
        }
    assert kind == "add", f"tests/admin/everything.py does not say how to ask for {name}"
    return {name: reverse(f"admin:{name}")}


def _questions(registered, row):
    """Queries of a list: none, page 2, the next stretch, a search, and each of its filters."""
    yield from ("", "?p=2", f"?{urlencode({'beyond': row.pk})}")
    if registered.search_fields:
        yield f"?{urlencode({'q': row.pk})}"
        yield "?q=customer-1"
    for each in registered.list_filter:
        if not issubclass(each, admin.SimpleListFilter):
            yield "?since=2020-01-01T00:00:00&until=2999-01-01T00:00:00"
            continue
        for choice, _ in each(None, {}, registered.model, registered).lookup_choices:
            yield f"?{urlencode({each.parameter_name: choice})}"


def models():
    return [model for model in admin.site._registry if model._meta.app_label in OURS]


def _address(model, view, *args):
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{view}", args=args)
