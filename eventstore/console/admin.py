"""A window on the machinery, and the few things that people do by hand. One module for each subject."""

from django.apps import apps
from django.core.exceptions import ImproperlyConfigured

if not apps.is_installed("django.contrib.admin"):
    raise ImproperlyConfigured("The console, and commands that show its pages, need django.contrib.admin installed.")

from . import (  # noqa: E402, F401  each registers itself
    events,
    operator_actions,
    outbox,
    parked,
    projections,
    sagas,
    streams,
    subscriptions,
)
