"""Probes for load balancers and process managers: whether this process is alive, and whether it can
serve."""

from django.db import DatabaseError, connections
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path

from config import draining, problems


@problems.read_only
def live(request: HttpRequest) -> HttpResponse:
    return JsonResponse({"status": "live"})


@problems.read_only
def ready(request: HttpRequest) -> HttpResponse:
    """Ready: the database answers, its migrations are applied, and the process is not ending."""
    if draining.begun():
        return problems.response(request, 503, "Draining", "This process is shutting down.")
    try:
        executor = MigrationExecutor(connections["default"])
        missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
    except DatabaseError:
        return problems.response(
            request, 503, "DatabaseUnavailable", "The database does not answer."
        )
    if missing:
        return problems.response(
            request, 503, "MigrationsMissing", f"{len(missing)} migrations are not applied."
        )
    return JsonResponse({"status": "ready"})


urlpatterns = [
    path("live", live),
    path("ready", ready),
]
