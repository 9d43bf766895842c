"""All settings, read once from the environment. Only the launcher in tools/devserver reads it as
well.

An invalid value ends the process with an error message; see the last line.
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

# Set behind a proxy that terminates TLS: plain HTTP is redirected, and cookies are for HTTPS only.
HTTPS = env.bool("HTTPS", default=False)
SECURE_SSL_REDIRECT = SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
SECURE_HSTS_SECONDS = 365 * 24 * 3600 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = HTTPS
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if HTTPS else None
SECURE_REDIRECT_EXEMPT = [r"^health/"]
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
# With the prefix, browsers reject such a cookie from a subdomain or over plain HTTP.
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
        # NIST SP 800-63B: require length, not a mixture of characters.
        "django.contrib.auth.password_validation.MinimumLengthValidator": {"min_length": 12},
        "access.passwords.LongWithoutTheName": {"min_length": 12},
        "django.contrib.auth.password_validation.CommonPasswordValidator": {},
        "django.contrib.auth.password_validation.NumericPasswordValidator": {},
    }.items()
]
# Old keys, until what they signed has expired.
SECRET_KEY_FALLBACKS = env.list("SECRET_KEY_FALLBACKS", default=[])

INSTALLED_APPS = [
    # Before Django's admin, whose templates it extends.
    "eventstore",
    "eventstore.console",
    "eventstore.messaging",
    "eventstore.webhooks",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "rest_framework",
    "corsheaders",
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
    "corsheaders.middleware.CorsMiddleware",
    "config.middleware.ContentSecurityPolicyMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "config.middleware.BodilessMiddleware",
    "config.middleware.OptionalSlashMiddleware",
    "config.middleware.Sessions",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "config.middleware.Users",
    "config.middleware.Messages",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "config.middleware.RateLimitMiddleware",
    "config.middleware.BusyMiddleware",
    "config.middleware.UnstorableMiddleware",
]

# Pages of these origins may call the API from a browser, with a token; cookies are never sent.
CORS_ALLOWED_ORIGINS = env.origins("CORS_ALLOWED_ORIGINS", default=[])
CORS_URLS_REGEX = r"^/api/"
CORS_ALLOW_METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS")
CORS_ALLOW_HEADERS = (
    "authorization",
    "content-type",
    "idempotency-key",
    "if-match",
    "if-none-match",
    "min-position",
    "prefer",
    "traceparent",
    "tracestate",
    "x-correlation-id",
    "x-min-version",
    "x-request-id",
    "x-reveal-reason",
)
CORS_EXPOSE_HEADERS = (
    "ETag",
    "Idempotent-Replayed",
    "Link",
    "Location",
    "Min-Position",
    "Preference-Applied",
    "RateLimit",
    "RateLimit-Policy",
    "Restarted-After",
    "Retry-After",
    "WWW-Authenticate",
    "X-Answered-From",
    "X-Correlation-ID",
    "X-Min-Version",
    "X-Projection-Lag",
    "X-Projection-Position",
    "X-Request-ID",
)

AUTHENTICATION_BACKENDS = ["access.accounts_backend.NormalizedNames"]
PASSWORD_HASHERS = [
    "access.hashing.OneAtATime",
    "django.contrib.auth.hashers.PBKDF2SHA1PasswordHasher",
    "django.contrib.auth.hashers.Argon2PasswordHasher",
    "django.contrib.auth.hashers.BCryptSHA256PasswordHasher",
    "django.contrib.auth.hashers.ScryptPasswordHasher",
]

ROOT_URLCONF = "config.urls"
# The command side and the query side can be deployed separately.
SIDES = ["commands", "queries"]
API_SIDES = env.choices("API_SIDES", SIDES, default=SIDES)
WSGI_APPLICATION = "config.wsgi.application"
# Seconds for which a client may send nothing within a request, or read nothing of a response.
WEB_SILENT_SECONDS = env.float("WEB_SILENT_SECONDS", default=10.0, least=0.1)
# Of one web process. Its limit of open files may allow fewer.
WEB_CONNECTIONS = env.int("WEB_CONNECTIONS", default=5000, least=1)
# Seconds after SIGTERM in which readiness fails while everything is still served.
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
shared_options = defaults.connection(
    # 0 for a transaction pooler without prepared statements.
    prepare_threshold=env.int("DATABASE_PREPARE_THRESHOLD", default=2) or None,
    idle_in_transaction=env.form("DATABASE_IDLE_IN_TRANSACTION_TIMEOUT", DURATION, default="10s"),
    lock_timeout=env.form("DATABASE_LOCK_TIMEOUT", DURATION, default="10s"),
    jit=env.choice("DATABASE_JIT", ("off", "on"), default="off"),
    name=defaults.process_name(sys.argv),
)
DATABASES["default"] |= {
    # A new connection costs as much as several queries, so each process keeps its connections.
    "CONN_MAX_AGE": None,
    "CONN_HEALTH_CHECKS": True,
    "ATOMIC_REQUESTS": False,
    # A server-side cursor belongs to a session; behind a transaction pooler, FETCH may reach
    # another session.
    "DISABLE_SERVER_SIDE_CURSORS": True,
    # Options in DATABASE_URL, such as sslmode, take precedence.
    "OPTIONS": defaults.joined(shared_options, DATABASES["default"].get("OPTIONS", {})),
}
if env.str("QUERY_DATABASE_URL", default=""):
    replica = env.database("QUERY_DATABASE_URL", default="")
    # A read-only replica.
    read_only = {"options": "-c default_transaction_read_only=on"}
    options = defaults.joined(shared_options, replica.get("OPTIONS", {}), read_only)
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
    "DEFAULT_AUTHENTICATION_CLASSES": ["access.admission.BearerAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "eventstore.api.requests.Negotiation",
    "DEFAULT_PARSER_CLASSES": ["eventstore.api.requests.StrictJSONParser"],
    "EXCEPTION_HANDLER": "config.problems.exception_handler",
    "DEFAULT_THROTTLE_CLASSES": ["access.admission.UserThrottle"],
    # None is no limit.
    "DEFAULT_THROTTLE_RATES": {
        "user": env.form("THROTTLE_USER", RATE, default="") or None,
        # Login attempts at the API and the console together: by address, and by account.
        "login": env.form("THROTTLE_LOGIN", RATE, default="20/min") or None,
        "account": (
            env.form("THROTTLE_ACCOUNT", RATE, default=env.str("THROTTLE_LOGIN", default="20/min"))
            or None
        ),
    },
    # Trusted proxies in front of the API. With 0, X-Forwarded-For is ignored.
    "NUM_PROXIES": env.int("NUM_PROXIES", default=0),
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Orders",
    "DESCRIPTION": (
        "Commands change state, queries read it. "
        "[Events over WebSockets](/api/docs/events/) are described on a separate page."
    ),
    "VERSION": "1",
    "OAS_VERSION": "3.1.0",
    # Relative to the address of the document.
    "SERVERS": [{"url": "/", "description": "The server of this document"}],
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_AUTHENTICATION": (),
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "POSTPROCESSING_HOOKS": [
        "config.api.examples.add",
        "config.api.docs.name_codes",
        "config.api.webhooks_section.add",
        "eventstore.api.openapi_components.share",
        "config.api.docs.without_slashes",
    ],
    "APPEND_COMPONENTS": {"securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}}},
}
TOKEN_DAYS = env.int("TOKEN_DAYS", default=30, least=1, most=36500)
REST_KNOX = {"AUTH_HEADER_PREFIX": "Bearer", "TOKEN_TTL": timedelta(days=TOKEN_DAYS)}

# "orchestration" or "choreography": see PROCESSES in config/wiring.py.
ORDER_PROCESS = env.choice(
    "ORDER_PROCESS", ("orchestration", "choreography"), default="orchestration"
)

# Checked by config/guarantees.py. Outside of development, a sandbox has to be named.
EVENTSTORE_GUARANTEES = "config.guarantees.GUARANTEES"
SANDBOX = "sandbox" if DEBUG else ""
PAYMENT_GATEWAY = env.choice("PAYMENT_GATEWAY", ("sandbox", "stripe"), default=SANDBOX)
CARRIER = env.choice("CARRIER", ("sandbox",), default=SANDBOX)
# Whether accounts with the demo's public password are allowed.
ALLOW_DEMO = env.bool("ALLOW_DEMO", default=DEBUG)
STRIPE_SECRET_KEY = env.str("STRIPE_SECRET_KEY", default="")
STRIPE_BASE_URL = env.address(
    "STRIPE_BASE_URL", ("https", "http"), default="https://api.stripe.com"
)
STRIPE_TIMEOUT_SECONDS = env.float("STRIPE_TIMEOUT_SECONDS", default=20.0, least=0.1, most=60)
# Signing secrets of webhooks; several during a rotation. Without any, the webhook is disabled.
STRIPE_WEBHOOK_SECRETS = env.list("STRIPE_WEBHOOK_SECRETS", default=[])
CARRIER_WEBHOOK_SECRETS = env.list("CARRIER_WEBHOOK_SECRETS", default=[])

EVENTSTORE_WIRING = "config.wiring"
# Shown on every page of the console, to tell environments apart.
EVENTSTORE_ENVIRONMENT = env.str("ENVIRONMENT", default="development" if DEBUG else "")
# Seconds for which rows stay in the outbox after every subscription has processed them.
EVENTSTORE_OUTBOX_RETENTION = env.float("OUTBOX_RETENTION", default=0.0)
EVENTSTORE_QUERY_DATABASE = "queries" if "queries" in DATABASES else "default"
EVENTSTORE_LONGEST_WAIT = env.float("QUERY_LONGEST_WAIT", default=5.0)
# Requests of one web process that wait for a read model at once, each in a thread: in total, and of
# one user.
EVENTSTORE_MOST_WAITING = env.int("QUERY_MOST_WAITING", default=4, least=0)
EVENTSTORE_MOST_WAITING_PER_USER = env.int("QUERY_MOST_WAITING_PER_USER", default=2, least=0)
# Bytes of a page of a list, a history or an export. A larger page ends early, with a "next".
EVENTSTORE_PAGE_BYTES = env.int("PAGE_BYTES", default=1 << 18, least=1)
# Bytes of states that a process caches, measured as serialized; in memory they take several times
# as many.
EVENTSTORE_REMEMBERED_BYTES = env.int("REMEMBERED_BYTES", default=16 << 20)
EVENTSTORE_MAX_MESSAGE_BYTES = env.int("MAX_MESSAGE_BYTES", default=1 << 20, least=1)
EVENTSTORE_IDEMPOTENCY_KEY_REQUIRED = env.bool("IDEMPOTENCY_KEY_REQUIRED", default=False)
EVENTSTORE_RESPONSE_RETENTION = env.float("ANSWERS_KEPT_DAYS", default=30.0)
# Days for which the id of a webhook message is remembered.
EVENTSTORE_INBOX_RETENTION = env.float("INBOX_KEPT_DAYS", default=30.0)
EVENTSTORE_EVENT_BUS = "eventstore.messaging.event_bus.InProcessBus"
EVENTSTORE_SCHEMAS = BASE_DIR / "schemas"
# The brokers that integration events are published to: those that the environment names.
EVENTSTORE_BROKERS = brokers.from_environment(env)
# The schema registry of another system, for what consumers read. Without it they use our own.
EVENTSTORE_SCHEMA_REGISTRY = brokers.schema_registry(env)
EVENTSTORE_EVENT_SOURCE = env.str("EVENT_SOURCE", default="/orders")
EVENTSTORE_SCHEMA_ADDRESS = env.str("SCHEMA_ADDRESS", default="")
# Where partners reach our schema registry, such as https://shop.example/api/registry.
EVENTSTORE_REGISTRY_ADDRESS = env.address("REGISTRY_ADDRESS", ("http", "https"), default="")
EVENTSTORE_CLOUDEVENTS_MODE = env.choice(
    "CLOUDEVENTS_MODE", ("binary", "structured"), default="binary"
)
# Change data capture: the replication slot that Debezium reads from, and Kafka Connect's address.
EVENTSTORE_CDC_SLOT = env.form(
    "CDC_SLOT",
    ("[a-z0-9_]{1,63}", "lower-case letters, digits and underscores"),
    default="orders_outbox",
)
EVENTSTORE_CDC_CONNECT_URL = env.address("CDC_CONNECT_URL", ("http", "https"), default="")
EVENTSTORE_PROBLEM_TYPES = "urn:problem-type:orders:"
# Commands and queries may be served by different processes.
EVENTSTORE_COMMAND_STATUS_URL = "/api/queries/commands/"
# Seconds between two polls of a socket server: of the log, and of the tokens.
EVENTSTORE_LIVE_POLL = env.float("LIVE_POLL_SECONDS", default=0.05, least=0.001)
EVENTSTORE_LIVE_RECHECK = env.float("LIVE_RECHECK_SECONDS", default=5.0, least=0.01)
# Sockets of one process: in total, and of one user.
EVENTSTORE_LIVE_SOCKETS = env.int("LIVE_SOCKETS", default=1000)
EVENTSTORE_LIVE_SOCKETS_PER_USER = env.int("LIVE_SOCKETS_PER_USER", default=20)
# Off only for processes without a broker. Workers poll all the same.
EVENTSTORE_FAST_PATH = env.bool("EVENTSTORE_FAST_PATH", default=True)
EVENTSTORE_WAKE_WORKERS = env.bool("EVENTSTORE_WAKE_WORKERS", default=True)

# Webhooks to the endpoints that customers register. Their secrets are derived from these keys; the
# first is for new secrets. Without any, from SECRET_KEY and SECRET_KEY_FALLBACKS.
EVENTSTORE_WEBHOOK_KEYS = env.list("WEBHOOK_KEYS", default=[])
# Of one call, from the look-up of the name to the last byte.
EVENTSTORE_WEBHOOK_TIMEOUT = env.float("WEBHOOK_TIMEOUT_SECONDS", default=15.0, least=0.1, most=60)
# Calls in progress: of one worker process, and of one endpoint in all processes together.
EVENTSTORE_WEBHOOK_CALLS = env.int("WEBHOOK_CALLS", default=16, least=1, most=256)
EVENTSTORE_WEBHOOK_CALLS_PER_ENDPOINT = env.int("WEBHOOK_CALLS_PER_ENDPOINT", default=4, least=1)
EVENTSTORE_WEBHOOK_BODY_BYTES = env.int("WEBHOOK_BODY_BYTES", default=256 << 10, least=1)
EVENTSTORE_WEBHOOK_QUEUE_BYTES = env.int("WEBHOOK_QUEUE_BYTES", default=16 << 20, least=1)
EVENTSTORE_WEBHOOK_RETRY = env.float("WEBHOOK_RETRY_HOURS", default=24.0, most=168)
EVENTSTORE_WEBHOOK_PATIENCE = env.float("WEBHOOK_DISABLE_AFTER_DAYS", default=3.0, most=365)
EVENTSTORE_WEBHOOK_RETENTION = env.float("WEBHOOK_KEPT_DAYS", default=14.0, most=3650)
EVENTSTORE_WEBHOOK_OVERLAP = env.float("WEBHOOK_OVERLAP_HOURS", default=24.0, most=720)
EVENTSTORE_WEBHOOK_ENDPOINTS_PER_OWNER = env.int("WEBHOOK_ENDPOINTS_PER_OWNER", default=10)
# For development: endpoints without TLS, at other ports, or in networks that are not public.
EVENTSTORE_WEBHOOK_ALLOW_HTTP = env.bool("WEBHOOK_ALLOW_HTTP", default=False)
EVENTSTORE_WEBHOOK_PORTS = env.ports("WEBHOOK_PORTS", default=[443, 8443])
EVENTSTORE_WEBHOOK_NETWORKS = env.networks("WEBHOOK_ALLOWED_NETWORKS", default=[])
EVENTSTORE_WEBHOOK_CA_FILE = env.file("WEBHOOK_CA_FILE", default="")

# Mails to the owners of endpoints that were disabled. Without a server, none is sent.
EMAIL_URL = env.address(
    "EMAIL_URL",
    ("smtp", "smtp+tls", "smtp+ssl", "consolemail", "filemail", "dummymail"),
    default="consolemail://" if DEBUG else "dummymail://",
)
vars().update(env.email_url_config(EMAIL_URL))
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = env.str("EMAIL_FROM", default="orders@localhost")

# For measurements only: a server without fsync loses committed transactions.
EVENTSTORE_ALLOW_UNSAFE_DATABASE = env.bool("ALLOW_UNSAFE_DATABASE", default=False)

REDIS = ("redis", "rediss", "unix")
REDIS_URL = env.address("REDIS_URL", REDIS, default="redis://127.0.0.1:6379/0")
CELERY_BROKER_URL = env.address(
    "CELERY_BROKER_URL",
    (*REDIS, "redis+socket", "sentinel", "amqp", "amqps", "pyamqp", "memory"),
    default=REDIS_URL,
)
# A name for each platform that shares a broker.
CELERY_TASK_DEFAULT_QUEUE = env.str("CELERY_QUEUE", default="celery")
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_SERIALIZER = "json"
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
# Celery closes Django's database connection after so many tasks.
CELERY_DB_REUSE_MAX = 1000
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
# Seconds. A hanging task is killed before the broker redelivers it.
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
    # Wake-up tasks run every second; don't log them at INFO.
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

env.exit_if_invalid()
