from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("api/", include("examples.rooms.api")),
    path("admin/", admin.site.urls),
]
