"""The admin's own pages, as addresses: every list, a page of each kind of thing, and every other way in."""

from urllib.parse import urlencode

from django.contrib import admin
from django.contrib.admin.utils import quote
from django.urls import reverse

OURS = ("eventstore", "orders", "payments", "inventory", "shipping")


def lists():
    return [_address(model, "changelist") for model in _models()]


def pages():
    """One for each model that has a row."""
    found = []
    for model in _models():
        registered = admin.site.get_model_admin(model)
        row = registered.get_queryset(None).order_by("pk").last()
        if row is not None:
            found.append(registered.url_of(row) or _address(model, "change", row.pk))
    return found


def everywhere():
    """Each address that the console answers, by what it is; a new one has to be named here."""
    found = {}
    for model in _models():
        registered = admin.site.get_model_admin(model)
        row = registered.get_queryset(None).order_by("pk").last()
        assert row is not None, f"there is a {model._meta.model_name} to look at"
        for pattern in registered.get_urls():
            if pattern.name:
                found |= _named(pattern.name, registered, row)
    return found


# Those that belong to no row: their queries, if they want any.
APART = {"eventstore_overview": "", "eventstore_doctor": ""}


def _named(name, registered, row):
    kind = name.removeprefix(f"{registered.opts.app_label}_{registered.opts.model_name}_")
    if name in APART:
        return {name: reverse(f"admin:{name}") + APART[name]}
    if kind == "changelist":
        return {f"{name} {query}": f"{reverse(f'admin:{name}')}{query}" for query in _questions(registered, row)}
    if kind in ("change", "history", "delete"):
        page = registered.url_of(row) or reverse(f"admin:{name.replace(kind, 'change')}", args=[quote(row.pk)])
        return {name: page.replace("/change/", f"/{kind}/")}
    if kind == "act":
        chosen = urlencode({"id": row.pk, "name": row.pk})
        return {f"{name} {word}": f"{reverse(f'admin:{name}', args=[word])}?{chosen}" for word in registered.acts}
    assert kind == "add", f"tests/admin/everything.py does not say how to ask for {name}"
    return {name: reverse(f"admin:{name}")}


def _questions(registered, row):
    """A list as it is, further down, searched, and by each of its filters."""
    yield from ("", "?p=2")
    if registered.search_fields:
        yield f"?{urlencode({'q': row.pk})}"
        yield "?q=customer-1"
    for each in registered.list_filter:
        for choice, _ in each(None, {}, registered.model, registered).lookup_choices:
            yield f"?{urlencode({each.parameter_name: choice})}"


def _models():
    return [model for model in admin.site._registry if model._meta.app_label in OURS]


def _address(model, view, *args):
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{view}", args=args)
