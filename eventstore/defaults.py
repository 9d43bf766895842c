"""Recommended values for a project's settings. The settings import this module, so it imports
nothing of Django."""

from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any

from eventstore.delivery.chores import CHORES

# TCP keepalive: after 10 s of silence, 3 probes at intervals of 3 s; then the other end counts as
# gone.
SILENCE = {"keepalives_idle": 10, "keepalives_interval": 3, "keepalives_count": 3}
UNANSWERED_MS = 20_000

# Management command -> the kind of process that it is.
MANAGED = {"work": "worker", "relay": "relay", "runserver": "web"}


def connection(
    *,
    prepare_threshold: int | None = 2,
    idle_in_transaction: str = "10s",
    lock_timeout: str = "10s",
    jit: str = "off",
    name: str = "",
) -> dict[str, Any]:
    """OPTIONS of the database.

    prepare_threshold: statements are prepared after so many runs; None for a pooler without
    prepared statements. idle_in_transaction: an appender holds the fence until it commits, so one
    that stops in the middle is disconnected after this time. jit: the statements are short and run
    thousands of times, so compiling one costs more than it saves. name: of the process in
    pg_stat_activity (see process_name); PGAPPNAME and the database URL take precedence. It is a
    parameter of the connection, so a pooler passes it on.

    If a machine or network disappears silently, a client would wait as long as the kernel
    retransmits, a quarter of an hour or more. So both ends give up after 20 seconds: the client a
    statement or a new connection, the server the locks of an unreachable client. This does not
    apply to Unix domain sockets.
    """
    server = {
        # For single statements, whatever the database or the role has as default; transactions set
        # it when they begin.
        "default_transaction_isolation": "read\\ committed",
        "idle_in_transaction_session_timeout": idle_in_transaction,
        "lock_timeout": lock_timeout,
        "jit": jit,
        **{f"tcp_{name}": value for name, value in SILENCE.items()},
        "tcp_user_timeout": UNANSWERED_MS,
    }
    return {
        "prepare_threshold": prepare_threshold,
        "connect_timeout": UNANSWERED_MS // 1000,
        **SILENCE,
        "tcp_user_timeout": UNANSWERED_MS,
        "fallback_application_name": name,
        "options": " ".join(f"-c {name}={value}" for name, value in server.items()),
    }


def process_name(arguments: Sequence[str]) -> str:
    """The kind of a process by its sys.argv: web, worker, beat, live, relay, or the command that it
    runs."""
    program, *rest = arguments or [""]
    path = PurePath(program)
    name = path.parent.name if path.name == "__main__.py" else path.stem
    command = next((each for each in rest if not each.startswith("-")), "")
    match name:
        case "gunicorn" | "uvicorn" | "uwsgi" | "wsgi":
            return "web"
        case "celery":
            return next((each for each in ("worker", "beat") if each in rest), name)
        case "manage" | "django-admin":
            return MANAGED.get(command, f"manage.py {command}".strip())
    return name or "python"


def joined(*options: Mapping[str, Any]) -> dict[str, Any]:
    """OPTIONS from several sources as one: the last value wins, except that the server options of
    all are combined."""
    server = " ".join(each["options"] for each in options if each.get("options"))
    return {name: value for each in options for name, value in each.items()} | {"options": server}


def beat_schedule(*, poll_seconds: float = 1.0) -> dict[str, Any]:
    """CELERY_BEAT_SCHEDULE: the poll, which makes delivery certain, and the chores."""
    return {
        "poll": _every(poll_seconds, "eventstore.deliver"),
        **{chore.task: _every(chore.seconds, chore.task) for chore in CHORES},
    }


def transport(broker_url: str) -> dict[str, Any]:
    """CELERY_BROKER_TRANSPORT_OPTIONS. visibility_timeout: after these seconds, the broker delivers
    the task of a killed worker again. Tasks take a few seconds, so it may be short."""
    if not broker_url.startswith("redis"):
        return {"confirm_publish": True}
    return {
        "visibility_timeout": 60,
        "socket_timeout": 5,
        "socket_connect_timeout": 1,
        "socket_keepalive": True,
        "health_check_interval": 10,
        "unacked_restore_interval": 1,
        "unacked_restore_throttle": 1,
    }


def _every(seconds: float, task: str) -> dict[str, Any]:
    # If no worker took it, it expires when the next one is due.
    return {"task": task, "schedule": seconds, "options": {"expires": seconds}}
