"""DJANGO_SETTINGS_MODULE=examples.rooms.settings celery -A examples.rooms worker (and beat)"""

from celery import Celery

app = Celery("rooms")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
