"""The chores themselves; when each is due stands in chores.CHORES."""

from . import answers, heartbeats, inbox, left, outbox, rebuilding, samples, settings, states, watching

CLEARED_AT_ONCE = 100_000
REBUILD_SECONDS = 5.0


def clear_outbox() -> None:
    outbox.clear(retention=settings.outbox_retention(), limit=CLEARED_AT_ONCE)


def rebuild() -> None:
    rebuilding.work(seconds=REBUILD_SECONDS)


def watch() -> None:
    watching.warn()
    heartbeats.note(heartbeats.BEAT)
    heartbeats.forget()
    samples.take()


def forget_answers() -> None:
    """And what became of commands that clients have left here."""
    answers.forget(older_than=settings.answers_kept())
    left.forget(older_than=settings.answers_kept())


def forget_received() -> None:
    inbox.forget(older_than=settings.inbox_kept())


def take_snapshots() -> None:
    states.take_snapshots()
