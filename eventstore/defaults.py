"""What a project's settings may take over from us as it is; they import this, so it imports nothing
of Django."""

from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any

from eventstore.delivery.chores import CHORES

# Seconds, and how many questions: 10 + 3 × 3 from the last word that came until the other end is
# taken for gone.
SILENCE = {"keepalives_idle": 10, "keepalives_interval": 3, "keepalives_count": 3}
UNANSWERED_MS = 20_000

# Commands that are one of the processes.
MANAGED = {"work": "worker", "runserver": "web"}


def connection(
    *,
    prepare_threshold: int | None = 2,
    idle_in_transaction: str = "10s",
    lock_timeout: str = "10s",
    jit: str = "off",
    name: str = "",
) -> dict[str, Any]:
    """OPTIONS of the database.

    prepare_threshold: the engine's statements are planned once; None for a pooler that cannot keep
    them. idle_in_transaction: who appended holds the fence until it commits; one that stops in the
    middle is cut off. jit: the engine's statements are short and run thousands of times; compiling
    one costs more than it ever saves. name: of the process, as pg_stat_activity shows it (see
    process_name); PGAPPNAME and the address of the database come before it. It is part of the
    connection, so a pooler passes it on.

    A machine or network that vanishes without a word would keep who waits for it as long as the
    kernel asks again, a quarter of an hour or two; so both ends give up after 20 seconds: we a
    statement or a new connection, the server the locks of who cannot be told its answer any more.
    Neither concerns a socket in the file system.
    """
    server = {
        # For a statement by itself, whatever the database or the role says; a transaction says so
        # when it begins.
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
    """What a process is, by its sys.argv: web, worker, beat, live, or the command that it runs."""
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
    """OPTIONS of several origins as one: the last has the say, and what each tells the server is
    told."""
    told = [each["options"] for each in options if each.get("options")]
    return {name: value for each in options for name, value in each.items()} | {
        "options": " ".join(told)
    }


def beat_schedule(*, poll_seconds: float = 1.0) -> dict[str, Any]:
    """CELERY_BEAT_SCHEDULE: the poll that makes delivery certain, and what is to be done every few
    seconds."""
    return {
        "poll": _every(poll_seconds, "eventstore.deliver"),
        **{chore.task: _every(chore.seconds, chore.task) for chore in CHORES},
    }


def transport(broker_url: str) -> dict[str, Any]:
    """CELERY_BROKER_TRANSPORT_OPTIONS.

    A worker that was killed gives its task back soon; tasks are nudges of a few seconds, so this
    may be short.
    """
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
    # A turn that nobody took until the next one is due is not needed any more.
    return {"task": task, "schedule": seconds, "options": {"expires": seconds}}
