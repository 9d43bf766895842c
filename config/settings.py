"""Every setting, read once from the environment; but for the launcher in tools/devserver, nothing
else reads it.

What is not of its kind ends the process by a sentence, whichever it is: see the last line.
"""

import sys
from datetime import timedelta
from pathlib import Path

from config import brokers
from config.variables import DURATION, RATE, Variables
from eventstore import defaults

env = Variables()
BASE_DIR = Path(__file__).resolve().parent.parent

DEBUG = env.bool("DEBUG", default=False)
SECRET_KEY = env.str("SECRET_KEY", default="not-secret-only-for-development" if DEBUG else "")
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["127.0.0.1", "localhost", "[::1]"])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])

# Set where TLS ends in front of us: plain HTTP is sent away, cookies and the browser keep to HTTPS.
HTTPS = env.bool("HTTPS", default=False)
SECURE_SSL_REDIRECT = SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
SECURE_HSTS_SECONDS = 365 * 24 * 3600 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = HTTPS
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if HTTPS else None
SECURE_REDIRECT_EXEMPT = [r"^health/"]
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
# The prefix makes the browser refuse such a cookie from a subdomain, or over plain HTTP.
SESSION_COOKIE_NAME, CSRF_COOKIE_NAME = (
    ("__Host-session", "__Host-csrf") if HTTPS else ("session", "csrf")
)
SESSION_COOKIE_HTTPONLY = CSRF_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_AGE = 12 * 3600
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": name, "OPTIONS": options}
    for name, options in {
        "django.contrib.auth.password_validation.UserAttributeSimilarityValidator": {},
        # NIST SP 800-63B: length counts, not a mixture of characters.
        "django.contrib.auth.password_validation.MinimumLengthValidator": {"min_length": 12},
        "access.passwords.LongWithoutTheName": {"min_length": 12},
        "django.contrib.auth.password_validation.CommonPasswordValidator": {},
        "django.contrib.auth.password_validation.NumericPasswordValidator": {},
    }.items()
]
# Old keys, while what they have signed is still about.
SECRET_KEY_FALLBACKS = env.list("SECRET_KEY_FALLBACKS", default=[])

INSTALLED_APPS = [
    # Before Django's admin, whose header and front page it adds to.
    "eventstore",
    "eventstore.console",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "rest_framework",
    "knox",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "retail_import",
    "access",
    "orders",
    "payments",
    "inventory",
    "shipping",
]

MIDDLEWARE = [
    "eventstore.middleware.CorrelationMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "config.middleware.ContentSecurityPolicyMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "config.middleware.Sessions",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "config.middleware.Users",
    "config.middleware.Messages",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "access.throttling.RateLimitMiddleware",
    "config.console.BusyMiddleware",
]

PASSWORD_HASHERS = [
    "access.hashing.OneAtATime",
    "django.contrib.auth.hashers.PBKDF2SHA1PasswordHasher",
    "django.contrib.auth.hashers.Argon2PasswordHasher",
    "django.contrib.auth.hashers.BCryptSHA256PasswordHasher",
    "django.contrib.auth.hashers.ScryptPasswordHasher",
]

ROOT_URLCONF = "config.urls"
# Each side of the API can be deployed alone.
SIDES = ["commands", "queries"]
API_SIDES = env.choices("API_SIDES", SIDES, default=SIDES)
WSGI_APPLICATION = "config.wsgi.application"
# Seconds that a client may be silent in the middle of a request, or take nothing of an answer.
WEB_SILENT_SECONDS = env.float("WEB_SILENT_SECONDS", default=10.0, least=0.1)
# Of one web process; its limit of open files counts, too.
WEB_CONNECTIONS = env.int("WEB_CONNECTIONS", default=5000, least=1)
# Seconds from SIGTERM on in which readiness says "draining" while everything is still served.
WEB_DRAIN_SECONDS = env.float("WEB_DRAIN_SECONDS", default=5.0)
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "DIRS": [BASE_DIR / "config" / "templates"],
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

DATABASES = {
    "default": env.database("DATABASE_URL", default="postgresql://postgres@127.0.0.1:5432/orders")
}
told_to_both = defaults.connection(
    # 0 for a transaction pooler that cannot keep them.
    prepare_threshold=env.int("DATABASE_PREPARE_THRESHOLD", default=2) or None,
    idle_in_transaction=env.form("DATABASE_IDLE_IN_TRANSACTION_TIMEOUT", DURATION, default="10s"),
    lock_timeout=env.form("DATABASE_LOCK_TIMEOUT", DURATION, default="10s"),
    jit=env.choice("DATABASE_JIT", ("off", "on"), default="off"),
    name=defaults.process_name(sys.argv),
)
DATABASES["default"] |= {
    # A new connection costs as much as several queries, so each process keeps its own.
    "CONN_MAX_AGE": None,
    "CONN_HEALTH_CHECKS": True,
    "ATOMIC_REQUESTS": False,
    # Such a cursor is a session's, and behind a transaction pooler its rest would be asked of
    # another.
    "DISABLE_SERVER_SIDE_CURSORS": True,
    # What the address says for itself, such as sslmode, holds.
    "OPTIONS": defaults.joined(told_to_both, DATABASES["default"].get("OPTIONS", {})),
}
if env.str("QUERY_DATABASE_URL", default=""):
    replica = env.database("QUERY_DATABASE_URL", default="")
    # A replica that follows the log; nothing is ever written there.
    read_only = {"options": "-c default_transaction_read_only=on"}
    options = defaults.joined(told_to_both, replica.get("OPTIONS", {}), read_only)
    DATABASES["queries"] = DATABASES["default"] | replica | {"OPTIONS": options}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True
STATIC_URL = "static/"
STATIC_ROOT = BASE_DIR / ".static"
STATICFILES_DIRS = [BASE_DIR / "config" / "static"]

REST_FRAMEWORK = {
    "DEFAULT_SCHEMA_CLASS": "eventstore.api.openapi.Schema",
    "DEFAULT_AUTHENTICATION_CLASSES": ["access.bearer.BearerAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "eventstore.api.negotiation.Negotiation",
    "DEFAULT_PARSER_CLASSES": ["eventstore.api.parsers.StrictJSONParser"],
    "EXCEPTION_HANDLER": "config.problems.exception_handler",
    "DEFAULT_THROTTLE_CLASSES": ["access.throttling.User"],
    # No rate is no limit.
    "DEFAULT_THROTTLE_RATES": {
        "user": env.form("THROTTLE_USER", RATE, default="") or None,
        # Attempts to log in, at the API and the console together: of an address, and at an account.
        "login": env.form("THROTTLE_LOGIN", RATE, default="20/min") or None,
        "account": (
            env.form("THROTTLE_ACCOUNT", RATE, default=env.str("THROTTLE_LOGIN", default="20/min"))
            or None
        ),
    },
    # How many proxies of our own stand in front; with none, nobody's X-Forwarded-For is believed.
    "NUM_PROXIES": env.int("NUM_PROXIES", default=0),
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Orders",
    "DESCRIPTION": (
        "Commands change something, queries tell something; "
        "[what is told over WebSockets](/api/docs/events/) has a page of its own."
    ),
    "VERSION": "1",
    "OAS_VERSION": "3.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_AUTHENTICATION": (),
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "POSTPROCESSING_HOOKS": ["config.api.examples.add"],
    "APPEND_COMPONENTS": {"securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}}},
}
TOKEN_DAYS = env.int("TOKEN_DAYS", default=30, least=1, most=36500)
REST_KNOX = {"AUTH_HEADER_PREFIX": "Bearer", "TOKEN_TTL": timedelta(days=TOKEN_DAYS)}

# "orchestration" or "choreography": see PROCESSES in config/wiring.py.
ORDER_PROCESS = env.choice(
    "ORDER_PROCESS", ("orchestration", "choreography"), default="orchestration"
)

# What config/guarantees.py looks at. Outside of development a stand-in serves only where it is
# named.
EVENTSTORE_GUARANTEES = "config.guarantees.GUARANTEES"
STAND_IN = "sandbox" if DEBUG else ""
# Who takes the money, and who carries the parcels.
PAYMENT_GATEWAY = env.choice("PAYMENT_GATEWAY", ("sandbox", "stripe"), default=STAND_IN)
CARRIER = env.choice("CARRIER", ("sandbox",), default=STAND_IN)
# Whether the demo's accounts, whose password is public, may be here.
ALLOW_DEMO = env.bool("ALLOW_DEMO", default=DEBUG)
STRIPE_SECRET_KEY = env.str("STRIPE_SECRET_KEY", default="")
STRIPE_BASE_URL = env.address(
    "STRIPE_BASE_URL", ("https", "http"), default="https://api.stripe.com"
)
STRIPE_TIMEOUT_SECONDS = env.float("STRIPE_TIMEOUT_SECONDS", default=20.0, least=0.1, most=60)
# Of whoever may call us; several while one is exchanged for another. Without any, that door is
# shut.
STRIPE_WEBHOOK_SECRETS = env.list("STRIPE_WEBHOOK_SECRETS", default=[])
CARRIER_WEBHOOK_SECRETS = env.list("CARRIER_WEBHOOK_SECRETS", default=[])

EVENTSTORE_WIRING = "config.wiring"
# What the console says on top of each page, so that nobody takes one shop for another.
EVENTSTORE_ENVIRONMENT = env.str("ENVIRONMENT", default="development" if DEBUG else "")
# Seconds for which rows stay in the outbox after every subscription has passed them.
EVENTSTORE_OUTBOX_RETENTION = env.float("OUTBOX_RETENTION", default=0.0)
EVENTSTORE_QUERY_DATABASE = "queries" if "queries" in DATABASES else "default"
EVENTSTORE_LONGEST_WAIT = env.float("QUERY_LONGEST_WAIT", default=5.0)
# Of one web process: requests that wait for a read model at once, each in a thread, in all and of
# one user.
EVENTSTORE_MOST_WAITING = env.int("QUERY_MOST_WAITING", default=4, least=0)
EVENTSTORE_MOST_WAITING_PER_USER = env.int("QUERY_MOST_WAITING_PER_USER", default=2, least=0)
# Bytes that a page of a list, a history or an export is made of; a larger one ends early, with its
# "next".
EVENTSTORE_PAGE_BYTES = env.int("PAGE_BYTES", default=1 << 20, least=1)
# Bytes of states that a process remembers, as they would be packed; in memory they take several
# times as many.
EVENTSTORE_REMEMBERED_BYTES = env.int("REMEMBERED_BYTES", default=16 << 20)
EVENTSTORE_MAX_MESSAGE_BYTES = env.int("MAX_MESSAGE_BYTES", default=1 << 20, least=1)
EVENTSTORE_IDEMPOTENCY_KEY_REQUIRED = env.bool("IDEMPOTENCY_KEY_REQUIRED", default=False)
EVENTSTORE_RESPONSE_RETENTION = env.float("ANSWERS_KEPT_DAYS", default=30.0)
# Days for which a message from outside is known again.
EVENTSTORE_INBOX_RETENTION = env.float("INBOX_KEPT_DAYS", default=30.0)
EVENTSTORE_EVENT_BUS = "eventstore.messaging.event_bus.InProcessBus"
EVENTSTORE_SCHEMAS = BASE_DIR / "schemas"
# The brokers that integration events are published to; none unless one is named.
EVENTSTORE_BROKERS = brokers.from_environment(env)
EVENTSTORE_EVENT_SOURCE = env.str("EVENT_SOURCE", default="/orders")
# Where the files of schemas/ can be read; without it, events name no schema.
EVENTSTORE_SCHEMA_ADDRESS = env.str("SCHEMA_ADDRESS", default="")
EVENTSTORE_CLOUDEVENTS_MODE = env.choice(
    "CLOUDEVENTS_MODE", ("binary", "structured"), default="binary"
)
# Seconds between two looks of a socket server: at the end of the log, and at whether tokens are
# still good.
EVENTSTORE_LIVE_POLL = env.float("LIVE_POLL_SECONDS", default=0.05, least=0.001)
EVENTSTORE_LIVE_RECHECK = env.float("LIVE_RECHECK_SECONDS", default=5.0, least=0.01)
# Of one process: in all, and of one user.
EVENTSTORE_LIVE_SOCKETS = env.int("LIVE_SOCKETS", default=1000)
EVENTSTORE_LIVE_SOCKETS_PER_USER = env.int("LIVE_SOCKETS_PER_USER", default=20)
# Off only for processes that run where no broker is: the poll delivers all the same.
EVENTSTORE_WAKE_WORKERS = env.bool("EVENTSTORE_WAKE_WORKERS", default=True)

# Set for measurements only: a server without fsync loses what it has acknowledged.
EVENTSTORE_ALLOW_UNSAFE_DATABASE = env.bool("ALLOW_UNSAFE_DATABASE", default=False)

REDIS = ("redis", "rediss", "unix")
REDIS_URL = env.address("REDIS_URL", REDIS, default="redis://127.0.0.1:6379/0")
CELERY_BROKER_URL = env.address(
    "CELERY_BROKER_URL",
    (*REDIS, "redis+socket", "sentinel", "amqp", "amqps", "pyamqp", "memory"),
    default=REDIS_URL,
)
# A name of one's own, where several platforms share a broker.
CELERY_TASK_DEFAULT_QUEUE = env.str("CELERY_QUEUE", default="celery")
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_SERIALIZER = "json"
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
# Celery closes Django's connection around every task; this many tasks share one.
CELERY_DB_REUSE_MAX = 1000
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
# One that hangs is killed before the broker gives its task to another.
CELERY_TASK_TIME_LIMIT = 50
CELERY_BROKER_TRANSPORT_OPTIONS = defaults.transport(CELERY_BROKER_URL)
CELERY_BEAT_SCHEDULE = defaults.beat_schedule(
    poll_seconds=env.float("POLL_SECONDS", default=1.0, least=0.01)
)

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {
        "correlation": {"()": "eventstore.middleware.CorrelationFilter"},
        "clients_fault": {"()": "config.logs.ClientsFault"},
    },
    "formatters": {
        "line": {
            "format": (
                "%(asctime)s %(levelname)s %(name)s [%(correlation_id)s %(request_id)s] %(message)s"
            )
        }
    },
    "handlers": {
        "stderr": {
            "class": "logging.StreamHandler",
            "formatter": "line",
            "filters": ["correlation", "clients_fault"],
        }
    },
    "root": {"handlers": ["stderr"], "level": env.choice("LOG_LEVEL", LEVELS, default="INFO")},
    # A task is a nudge, and one a second is no news.
    "loggers": {
        name: {"level": "WARNING"}
        for name in (
            "celery.worker.strategy",
            "celery.worker.request",
            "celery.app.trace",
            "celery.beat",
        )
    },
}

env.refuse()
