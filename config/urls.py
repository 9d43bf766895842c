"""The URLs of all views."""

from django.conf import settings
from django.contrib import admin
from django.urls import include, path

admin.site.site_header = admin.site.site_title = "Orders"

urlpatterns = [
    path("health/", include("config.api.health")),
    path("api/auth/", include("access.auth")),
    *(path(f"api/{side}/", include(f"config.api.urls_{side}")) for side in settings.API_SIDES),
    path("api/webhooks/", include("config.api.urls_webhooks")),
    path("api/registry/", include("config.api.urls_registry")),
    path("api/", include("config.api.docs")),
    path("admin/", include("config.admin_login")),
    path("admin/", admin.site.urls),
]

handler400 = "config.problems.bad_request"
handler403 = "config.problems.permission_denied"
handler404 = "config.problems.not_found"
handler500 = "config.problems.server_error"
