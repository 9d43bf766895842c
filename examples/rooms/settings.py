"""PostgreSQL is found by libpq's own variables: PGHOST, PGPORT, PGUSER, PGPASSWORD."""

import sys

from eventstore import defaults

SECRET_KEY = "only-for-this-example"
ALLOWED_HOSTS = ["127.0.0.1", "localhost", "testserver"]
USE_TZ = True
ROOT_URLCONF = "examples.rooms.urls"
STATIC_URL = "static/"

INSTALLED_APPS = [
    "eventstore",
    # Before Django's admin, whose templates it extends.
    "eventstore.console",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "rest_framework.authtoken",
    "drf_spectacular",
    "examples.rooms",
]
MIDDLEWARE = [
    "eventstore.middleware.CorrelationMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": "rooms",
        "CONN_MAX_AGE": None,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": defaults.connection(name=f"rooms {defaults.process_name(sys.argv)}"),
    }
}

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["rest_framework.authentication.TokenAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["eventstore.api.requests.StrictJSONParser"],
    "DEFAULT_SCHEMA_CLASS": "eventstore.api.openapi.Schema",
    "EXCEPTION_HANDLER": "eventstore.api.problems.exception_handler",
}

CELERY_BROKER_URL = "redis://127.0.0.1:6379/0"
CELERY_BROKER_TRANSPORT_OPTIONS = defaults.transport(CELERY_BROKER_URL)
CELERY_BEAT_SCHEDULE = defaults.beat_schedule()
CELERY_TASK_IGNORE_RESULT = True

EVENTSTORE_WIRING = "examples.rooms.wiring"
