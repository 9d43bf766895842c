"""How much a statement may read, and which of them may read more, or are never met, and why."""

import re
from collections.abc import Iterator, Sequence

from .watching import Look
from .world import EMPTIED, PARKED, STATES, YOUNG

# For what a statement does at all: a few looks into indexes, the catalogue, a table of
# subscriptions.
AT_LEAST = 150
# For each row that it answers or writes, lets through a LIMIT, or value that it is given: the look
# for it, and an entry in each index of its table.
FOR_EACH = 40
# What is parked is counted in a day of failures by the thousand, and each of these looks through it
# once.
ALL_PARKED = 2 * PARKED
# What a subscription passes over without hearing it, on a day of the journey: fewer rows than the
# short form's log has pages.
PASSED_OVER = 1_000
# As far as the console looks back where there is no index.
LOOKED_THROUGH = 10_000
WHOLE = 10**9

# Pattern -> how much it may read, in which states, why.
MORE: dict[str, tuple[int, Sequence[str], str]] = {
    r"^SELECT c\.relname": (2_000, STATES, "Django asks the catalogue which tables there are"),
    r"FROM pg_(attribute|constraint|class|proc|trigger|depend)|conname": (
        2_000,
        STATES,
        "the catalogue alone",
    ),
    r"^SELECT type, schema_version, count\(\*\)": (
        WHOLE,
        STATES,
        "schemas --store counts the whole log, by hand",
    ),
    r"^SELECT position, stream, data::text": (
        WHOLE,
        STATES,
        "schemas --store looks into each type, by hand",
    ),
    r"^WITH RECURSIVE subscriptions": (
        ALL_PARKED,
        STATES,
        "what is parked keeps its rows of the outbox, every ten seconds",
    ),
    r"starts_with\(stream": (WHOLE, STATES, "a rebuild reads the log from its beginning, once"),
    r"^WITH handled AS": (ALL_PARKED, STATES, "how much is parked is counted, every half minute"),
    r"^SELECT subscription, count\(\*\)": (ALL_PARKED, STATES, "the doctor counts what is parked"),
    r"jsonb_agg\(to_jsonb\(parked\)": (
        ALL_PARKED,
        STATES,
        "a swap takes along all that the subscription has parked",
    ),
    r"^DELETE FROM eventstore_parked WHERE subscription = %s$": (
        ALL_PARKED,
        STATES,
        "all that the subscription has parked",
    ),
    r"^SELECT subscription, position, key, status, attempts": (
        ALL_PARKED,
        STATES,
        "a person lists what is parked",
    ),
    r'^SELECT .*FROM "eventstore_parked"': (ALL_PARKED, STATES, "the console lists what is parked"),
    r'^SELECT .*FROM "eventstore_saga" WHERE .*"status" = ': (
        LOOKED_THROUGH,
        STATES,
        "the console's look back",
    ),
    r'^SELECT .*FROM "eventstore_saga" WHERE .*"deadline_at" IS NOT NULL': (
        LOOKED_THROUGH,
        STATES,
        (
            "those under way, for the console: they have an index, which a table of a few pages"
            " does not need"
        ),
    ),
    r'FROM "eventstore_(event|saga)" WHERE .*"(stream|key)" (IN|= )': (
        WHOLE,
        (YOUNG, EMPTIED),
        "a search in the console, until autovacuum has analysed the table: it takes a minute",
    ),
    r'FROM "(payments_sandbox_entry|eventstore_saga)"': (
        WHOLE,
        (EMPTIED,),
        "nothing deletes from these",
    ),
    r"\b(orders|payments|inventory|shipping)_[a-z_]+\b": (
        WHOLE,
        (EMPTIED,),
        (
            "a read model is emptied by `subscriptions reset` alone, by hand: slow until autovacuum"
            " has seen it full again"
        ),
    ),
    r"^SELECT saga, key, status, state": (
        WHOLE,
        STATES,
        "a person lists the processes, the longest untouched first",
    ),
    r"eventstore_check_condition\(": (
        400,
        STATES,
        "a look for each premise, an entry in each index of log and outbox",
    ),
    r'^SELECT last, used, holder|^SELECT .*FROM "eventstore_outbox" ORDER BY': (
        LOOKED_THROUGH,
        STATES,
        (
            "the first look at the outbox's end after a trim goes back over the rows that it has"
            " just deleted"
        ),
    ),
    r"position <= %s AND (type|\(topic)": (
        PASSED_OVER,
        STATES,
        "a subscription passes over what it does not hear, between two positions",
    ),
    r"strpos\(data::text": (
        WHOLE,
        STATES,
        "events that name a row from other streams are looked through, by type",
    ),
    r"mod\(version, 100\)": (
        WHOLE,
        STATES,
        "an index entry for each hundred events of a stream since the last look",
    ),
    r'^SELECT .*FROM "eventstore_(event|outbox)" WHERE': (
        LOOKED_THROUGH,
        STATES,
        "a page of the console looks back along the log for what fits its filter",
    ),
}
# Statements that no day in the shop says.
NEVER_MET: dict[str, str] = {
    "eventstore.operations.doctor.sessions.IS_PREPARED": (
        "asked of a pooler, of what one session has prepared"
    ),
    "eventstore.projections.rebuild.shadow_table.IDENTIFIER": "formats a name and reads no table",
    "eventstore.log.epochs.BEGIN": (
        "once for each epoch of the log; the ends of the log and the cursors"
    ),
    "eventstore.log.epochs.STARTED": "asked of the server alone, when a log went back",
    "eventstore.delivery.heartbeats.SIGN_OFF": "one row by its key, at the end of a process",
    "eventstore.delivery.heartbeats.IS_ALIVE": "a row for each process of the last day",
    "eventstore.messaging.relay_leases": "one row for each relay, by its key; there are a handful",
    "eventstore.messaging.cdc.slots": "slots and publications of the server, which are few",
    "eventstore.messaging.cdc.outbox": (
        "rows of one relay by relay and number, whose number is bounded (PENDING_ROWS)"
    ),
    "eventstore.operations.doctor.relays.LAST": (
        "the fence and the cursors, which are few; asked when Kafka remembers a batch"
    ),
    "eventstore.operations.replay": (
        "an operator's command before a deploy: the log from its beginning, once"
    ),
    "eventstore.outbox.parked.POSITIONS": (
        "what a relay has parked, for an operator who compares its broker"
    ),
    "eventstore.messaging.consumers.intake.NOTE_": (
        "the rows of a reader's partitions, by their key, once a second"
    ),
    "eventstore.messaging.consumers.intake.WAITING": (
        "early messages, which are few and counted up to a limit; a page of the console"
    ),
    "eventstore.webhooks.endpoints.DISABLE_OF_OWNERS": (
        "the endpoints of one account, by their index; when it has gone"
    ),
    "eventstore.commands.idempotency.FORGET_LOST": "an operator's command, once after a restore",
    "eventstore.operations.restore": "an operator's command, once after a restore",
    "eventstore.log.sequence": "an operator's command, once after a restore without sequences",
    "eventstore.sagas.interventions.FIND": "one row by its key, when a person intervenes",
    "eventstore.postgres.app_role": "said once when a role is made, of the catalogue alone",
    "eventstore.projections.rebuild.records.WAIT": (
        "one row by its id, while somebody is in the way of a swap"
    ),
    "eventstore.projections.rebuild.swap.BLOCKER": "asked of the locks alone",
}


def too_much(look: Look, state: str) -> bool:
    return look.buffers > max(AT_LEAST + FOR_EACH * look.items, _more(look.statement, state))


def exempt(name: str) -> bool:
    return any(name.startswith(each) for each in NEVER_MET)


def _more(statement: str, state: str) -> int:
    return max(_allowances(statement, state), default=0)


def _allowances(statement: str, state: str) -> Iterator[int]:
    for pattern, (buffers, states, _) in MORE.items():
        if state in states and re.search(pattern, statement):
            yield buffers
