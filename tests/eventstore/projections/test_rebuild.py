"""A read model is folded anew beside the live one: to its end, cut off, called off, compared, and
taken back."""

import gc
import os
import signal
import subprocess
import sys
import threading
import weakref
from collections import defaultdict
from contextlib import contextmanager

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, models, transaction

from eventstore import codec, log, registry
from eventstore.log import ANY, append
from eventstore.models import Event, OperatorAction, OutboxMessage, Parked, Subscription
from eventstore.operations import lag
from eventstore.postgres import execute, rows
from eventstore.projections import rebuild
from eventstore.projections.rebuild import fold, run, shadow_table
from eventstore.projections.rebuild import swap as swapping
from eventstore.subscriptions import Projection
from eventstore.testing import drain
from tests.eventstore import toy
from tests.eventstore.concurrently import in_thread, until
from tests.eventstore.toy import Closed, Counted, Tally

NAME = "toy.tallies"

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("toys", "no_tables_left"),
]


@pytest.fixture
def small_pages(monkeypatch):
    monkeypatch.setattr(fold, "PAGE", 10)
    monkeypatch.setattr(fold, "ROWS", 10)


def count(events=60, counters=7):
    for number in range(events):
        append(
            f"counter-{number % counters}", [Counted(str(number % counters), number)], expected=ANY
        )


def fold_of_the_log():
    totals, heard = defaultdict(int), defaultdict(list)
    for message in log.read_log():
        if isinstance(message.body, Counted):
            totals[message.body.counter_id] += message.body.amount
            heard[message.body.counter_id].append(message.body.amount)
        else:
            totals.pop(message.body.counter_id, None)
            heard.pop(message.body.counter_id, None)
    return {key: (totals[key], heard[key]) for key in totals}


def live():
    return {each.counter_id: (each.total, each.heard) for each in Tally.objects.all()}


def spoil():
    Tally.objects.update(total=models.F("total") + 1000)


# To its end


def test_the_rebuilt_rows_are_the_fold_of_the_log():
    count()
    drain()
    before = list(Tally.objects.order_by("pk").values())
    spoil()
    done = rebuild.rebuild(NAME, who="ada", reason="wrong totals")
    assert (done.state, done.events, done.who) == ("swapped", 60, "ada")
    assert list(Tally.objects.order_by("pk").values()) == before
    assert OperatorAction.objects.get(action="rebuild").reason == "wrong totals"


def test_the_subscription_goes_on_behind_what_was_folded(small_pages):
    count()
    rebuild.rebuild(NAME)
    assert live() == fold_of_the_log()
    assert {each.name: each.events for each in lag.lags()}[NAME] == 0
    count(5)
    drain()
    assert live() == fold_of_the_log()


def test_rows_that_end_and_begin_again_are_written_over_checkpoints(small_pages):
    for number in range(40):
        append(f"counter-{number % 3}", [Counted(str(number % 3), number)], expected=ANY)
        if number % 5 == 0:
            append(f"counter-{number % 3}", [Closed(str(number % 3))], expected=ANY)
    rebuild.rebuild(NAME)
    assert live() == fold_of_the_log()


def test_what_is_hard_to_write_comes_through_as_a_subscription_would_have_written_it():
    hard = ["a\\b", "tab\there", "line\nbreak\r", "\\N", "", "é ☃", '{"json": 1}', "\u2028"]
    for number, note in enumerate(hard):
        append(f"counter-{number}", [Counted(str(number), 1, note)], expected=ANY)
    drain()
    before = list(Tally.objects.order_by("pk").values())
    rebuild.rebuild(NAME)
    assert list(Tally.objects.order_by("pk").values()) == before
    assert [each["note"] for each in before] == hard


def test_an_empty_log_makes_an_empty_table_and_twice_is_no_harm():
    for _ in range(2):
        assert rebuild.rebuild(NAME).state == "swapped"
    assert live() == {}
    count(3)
    for _ in range(2):
        rebuild.rebuild(NAME)
    assert live() == fold_of_the_log()


def test_several_processes_fold_the_same_as_one(small_pages):
    count(100, counters=23)
    assert rebuild.rebuild(NAME, processes=3).events == 100
    assert live() == fold_of_the_log()


def test_memory_holds_so_many_rows_and_no_more(small_pages, monkeypatch):
    count(400, counters=200)
    held, write = [], fold.Rows.write

    def watched(self):
        held.append(len(self.changed) + len(self.written))
        write(self)

    monkeypatch.setattr(fold.Rows, "write", watched)
    rebuild.rebuild(NAME)
    assert live() == fold_of_the_log()
    assert max(held) <= 2 * (fold.ROWS + fold.PAGE)


def test_cycles_that_a_function_makes_are_collected_at_each_checkpoint(small_pages, monkeypatch):
    class Cycle:
        def __init__(self):
            self.itself = self

    count(400, counters=200)
    alive, held, frozen = weakref.WeakSet(), [], gc.get_freeze_count()
    fold_event, write = fold.projections.fold_event, fold.Rows.write

    def cycling(*args):
        alive.add(Cycle())
        return fold_event(*args)

    def watched(self):
        held.append(len(alive))
        write(self)

    monkeypatch.setattr(fold.projections, "fold_event", cycling)
    monkeypatch.setattr(fold.Rows, "write", watched)
    rebuild.rebuild(NAME)
    assert len(held) > 10
    assert max(held) <= 2 * (fold.ROWS + fold.PAGE)
    assert gc.get_freeze_count() == frozen


def test_nothing_but_its_own_rows_is_written(monkeypatch, toys):
    toys({**toy.SUBSCRIPTIONS, "toy.round": toy.ROUND, "toy.effect": toy.EFFECT})
    count(20)

    def armed(*args, **kwargs):
        raise AssertionError("a rebuild wrote into the log or the outbox")

    monkeypatch.setattr(log, "write", armed)
    monkeypatch.setattr(toy, "no_call", armed)
    before = (Event.objects.count(), OutboxMessage.objects.count())
    places = dict(Subscription.objects.exclude(name=NAME).values_list("name", "position"))
    rebuild.rebuild(NAME)
    assert (Event.objects.count(), OutboxMessage.objects.count()) == before
    assert dict(Subscription.objects.exclude(name=NAME).values_list("name", "position")) == places


@pytest.mark.parametrize("name", ["toy", "toy.round", "toy.nobody"])
def test_only_a_projection_is_rebuilt(toys, name):
    toys({**toy.SUBSCRIPTIONS, "toy.round": toy.ROUND})
    with pytest.raises(rebuild.NotAProjection):
        rebuild.rebuild(name)


# Errors stop it


def test_an_event_that_cannot_be_folded_stops_it_and_is_named():
    count(5)
    append("counter-x", [Counted("x", 1, "boom")], expected=ANY)
    position = log.fence()
    drain()
    before = live()
    with pytest.raises(rebuild.RebuildFailed, match=f"toy.counted at position {position}: Boom"):
        rebuild.rebuild(NAME)
    (record,) = rebuild.latest(NAME)
    assert record.state == "failed"
    assert f"position {position}" in record.error
    assert live() == before
    assert not shadow_table.exists("rebuild.toy_tally")


def test_a_row_that_the_table_refuses_stops_it_and_is_named():
    append("counter-x", [Counted("x", -5)], expected=ANY)
    with pytest.raises(
        rebuild.RebuildFailed, match="row 'x' as of position .*toy_never_below_zero"
    ):
        rebuild.rebuild(NAME)


def test_an_event_that_nobody_knows_is_not_passed_over(toys):
    count(3)
    toys(RENAMED={"toy.counted": "toy.unheard_of"})
    with pytest.raises(rebuild.RebuildFailed, match="toy.unheard_of"):
        rebuild.rebuild(NAME)


def test_it_can_be_rebuilt_once_the_code_is_mended(toys):
    append("counter-x", [Counted("x", 7, "boom")], expected=ANY)
    drain()
    assert Parked.objects.count() == 1
    mended = {
        **toy.TALLIES.evolve,
        Counted: lambda row, event: row | {"total": row["total"] + event.amount},
    }
    toys({"toy": toy.SUBSCRIPTIONS["toy"], NAME: toy.TALLIES._replace(evolve=mended)})
    rebuild.rebuild(NAME)
    assert Tally.objects.get().total == 7
    assert Parked.objects.count() == 0


# Cut off, refused, called off


def die_rebuilding(*numbers):
    settings = connection.settings_dict
    account, server = "{USER}:{PASSWORD}".format_map(settings), "{HOST}:{PORT}".format_map(settings)
    url = f"postgresql://{account}@{server}/{settings['NAME']}"
    ended = subprocess.run(
        [sys.executable, "-m", f"{__package__}.rebuilding_to_death", NAME, *map(str, numbers)],
        env=os.environ | {"DATABASE_URL": url, "EVENTSTORE_WAKE_WORKERS": "0"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.returncode == -signal.SIGKILL, ended.stderr


def test_killed_with_minus_nine_it_goes_on_where_it_was(wire):
    count(60, counters=30)
    die_rebuilding(3)
    wire()
    (cut_off,) = rebuild.latest(NAME)
    assert (cut_off.state, cut_off.events) == ("folding", 30)
    assert live() == {}
    registry.wiring.cache_clear()
    done = until(lambda: rebuild_when_the_lock_is_gone())
    assert (done.id, done.events) == (cut_off.id, 60)
    assert live() == fold_of_the_log()


def test_killed_while_others_fold_for_it_all_of_them_end_and_it_goes_on_where_each_was(wire):
    count(300, counters=90)
    die_rebuilding(2, 3)  # and those that are left: its output is theirs, and is read to the end
    wire()
    (cut_off,) = rebuild.latest(NAME)
    assert (cut_off.state, cut_off.shares) == ("folding", 3)
    assert 0 < cut_off.events < 300
    assert live() == {}
    registry.wiring.cache_clear()
    done = until(lambda: rebuild_when_the_lock_is_gone())
    assert (done.id, done.events) == (cut_off.id, 300)
    assert live() == fold_of_the_log()


def test_a_share_whose_process_is_killed_is_gone_on_with(small_pages, monkeypatch):
    count(300, counters=90)
    with monkeypatch.context() as patch, pytest.raises(rebuild.ShareLost):
        patch.setattr(fold.Fold, "checkpoint", then_killed(fold.Fold.checkpoint))
        rebuild.rebuild(NAME, processes=3)
    (cut_off,) = rebuild.latest(NAME)
    assert cut_off.state == "folding"
    assert 0 < cut_off.events < 300
    done = rebuild.rebuild(NAME)
    assert (done.id, done.events) == (cut_off.id, 300)
    assert live() == fold_of_the_log()


def then_killed(commit):
    """In each process of its own: the first checkpoint is its last."""
    us = os.getpid()

    def deadly(*args):
        commit(*args)
        if os.getpid() != us:
            os.kill(os.getpid(), signal.SIGKILL)

    return deadly


def rebuild_when_the_lock_is_gone():
    try:
        return rebuild.rebuild(NAME)
    except rebuild.AlreadyRebuilding:
        return None


def test_what_other_code_has_folded_is_folded_anew(small_pages, monkeypatch):
    count(60, counters=30)
    leave_half_done()
    monkeypatch.setattr(run, "_fingerprint", lambda subject: "another")
    done = rebuild.rebuild(NAME)
    assert done.events == 60
    assert [each.state for each in rebuild.latest(NAME)] == ["swapped", "cancelled"]
    assert live() == fold_of_the_log()


def leave_half_done():
    rebuild.request(NAME, who="ada")
    rebuild.work(seconds=0)
    (half,) = rebuild.latest(NAME)
    assert 0 < half.events < 60


def test_workers_fold_a_requested_one_turn_by_turn(small_pages):
    count(60, counters=30)
    rebuild.request(NAME, who="ada", reason="from the console")
    turns = 0
    while rebuild.work(seconds=0):
        turns += 1
    assert turns > 3
    assert live() == fold_of_the_log()
    assert rebuild.latest(NAME)[0].state == "swapped"


def test_a_second_one_at_the_same_time_is_refused():
    with run._exclusive_lock(NAME):
        for act in (rebuild.rebuild, lambda name: rebuild.request(name, who="ada")):
            with pytest.raises(rebuild.AlreadyRebuilding):
                in_thread(act, NAME).result(10)


def test_called_off_by_a_person_elsewhere_it_leaves_the_live_table_as_it_was(small_pages):
    count(60, counters=30)
    spoil()
    before, reported = live(), []

    def call_off(now):
        reported.append(now)
        if len(reported) == 2:
            in_thread(lambda: rebuild.cancel(NAME, who="bob", reason="not now")).result(10)

    with pytest.raises(rebuild.Stopped):
        in_thread(lambda: rebuild.rebuild(NAME, on_checkpoint=call_off)).result(20)
    assert rebuild.latest(NAME)[0].state == "cancelled"
    assert live() == before
    assert not shadow_table.exists("rebuild.toy_tally")


def test_ctrl_c_leaves_the_live_table_as_it_was(small_pages):
    count(60, counters=30)

    def interrupt(now):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rebuild.rebuild(NAME, on_checkpoint=interrupt)
    assert rebuild.latest(NAME)[0].state == "cancelled"
    assert live() == {}
    rebuild.rebuild(NAME)
    assert live() == fold_of_the_log()


# Compared, and taken back


def test_the_differences_are_listed_and_nothing_is_swapped(capsys):
    count(14, counters=2)
    drain()
    Tally.objects.filter(pk="0").update(total=1000)
    Tally.objects.filter(pk="1").delete()
    Tally.objects.create(pk="ghost")
    with pytest.raises(SystemExit) as ended:
        call_command("rebuild_projection", NAME, "--diff", "--json")
    assert ended.value.code == 1
    lines = [codec.decode_json(line) for line in capsys.readouterr().out.splitlines()[1:]]
    assert {(each["key"], each["column"]) for each in lines[:-1]} == {
        ("0", "total"),
        ("1", ""),
        ("ghost", ""),
    }
    total = next(each for each in lines[:-1] if each["key"] == "0")
    assert (total["old"], total["new"]) == (1000, sum(range(0, 14, 2)))
    assert lines[-1] == {"differences": 3}
    assert "ghost" in live()
    rebuild.rebuild(NAME)
    assert live() == fold_of_the_log()


def test_workers_compare_what_they_folded_and_wait_for_a_word():
    count(14, counters=2)
    drain()
    Tally.objects.filter(pk="0").update(total=1000)
    found = rebuild.request(NAME, who="ada", swap=False)
    while rebuild.work(seconds=5):
        assert rebuild.latest(NAME)[0].state == "ready", "and not swapped"
    (reported,) = rebuild.found_differences(found.id).first
    assert (reported["key"], reported["column"], reported["old"]) == ("0", "total", 1000)
    assert live()["0"][0] == 1000
    rebuild.request_swap(NAME, who="ada")
    rebuild.work(seconds=5)
    assert live() == fold_of_the_log()


def test_more_differences_than_anybody_reads_are_cut_off(monkeypatch):
    monkeypatch.setattr(run, "MAX_DIFFERENCES", 3)
    count(14)
    drain()
    Tally.objects.update(total=1000)
    found = rebuild.request(NAME, who="ada", swap=False)
    rebuild.work(seconds=5)
    reported = rebuild.found_differences(found.id)
    assert (len(reported.first), reported.is_cut) == (3, True)


def test_a_comparison_that_killed_its_worker_is_not_begun_by_the_next(monkeypatch):
    found = rebuild.request(NAME, who="ada", swap=False)
    with monkeypatch.context() as patch, pytest.raises(SystemExit):
        patch.setattr(run.diff, "differences", _killed)
        rebuild.work(seconds=5)
    assert not rebuild.work(seconds=5)
    assert "--diff" in rebuild.found_differences(found.id).trouble
    rebuild.request_comparison(NAME, who="ada", reason="at night")
    assert rebuild.work(seconds=5)
    assert rebuild.found_differences(found.id) == rebuild.DiffReport([])


def _killed(*_):
    raise SystemExit


def test_a_table_that_is_right_has_no_differences_while_its_subscription_goes_on():
    count(20)
    drain()
    rebuild.rebuild(NAME, swap=False)
    count(20)
    drain()
    count(5)
    assert list(rebuild.differences(NAME)) == []
    count(5)
    drain()
    assert list(rebuild.differences(NAME)) == []


def test_taken_back_the_earlier_table_is_folded_on_from_where_it_stood():
    count(10)
    drain()
    spoil()
    rebuild.rebuild(NAME)
    count(10)
    drain()
    rebuild.roll_back(NAME, who="ada", reason="the old one was better")
    assert rebuild.latest(NAME)[0].state == "taken back"
    assert sum(total for total, _ in live().values()) == 7000 + sum(range(10))
    drain()
    assert {
        key: (total - 1000, heard) for key, (total, heard) in live().items()
    } == fold_of_the_log()
    rebuild.roll_back(NAME, who="ada", reason="it was not")
    assert rebuild.latest(NAME)[0].state == "swapped"
    drain()
    assert live() == fold_of_the_log()


def test_taken_back_a_subscription_has_its_parked_messages_again(toys):
    append("counter-x", [Counted("x", 7, "boom")], expected=ANY)
    append("counter-x", [Counted("x", 1)], expected=ANY)
    drain()
    parked = list(Parked.objects.order_by("position").values_list("position", "status", "attempts"))
    mended = {
        **toy.TALLIES.evolve,
        Counted: lambda row, event: row | {"total": row["total"] + event.amount},
    }
    toys({"toy": toy.SUBSCRIPTIONS["toy"], NAME: toy.TALLIES._replace(evolve=mended)})
    rebuild.rebuild(NAME)
    assert Tally.objects.get().total == 8
    rebuild.roll_back(NAME, who="ada", reason="a try")
    assert (
        list(Parked.objects.order_by("position").values_list("position", "status", "attempts"))
        == parked
    )
    Parked.objects.filter(status="failed").update(
        due_at=Subscription.objects.get(name=NAME).moved_at
    )
    drain()
    assert Tally.objects.get().total == 8


def test_a_forgotten_table_cannot_be_taken_back():
    rebuild.rebuild(NAME)
    rebuild.forget(NAME, who="ada")
    with pytest.raises(rebuild.NothingKept):
        rebuild.roll_back(NAME, who="ada", reason="too late")


# The table


def names_of(table):
    return rows(
        "SELECT relname, relkind::text, relacl::text FROM pg_class WHERE oid = %s::regclass OR oid"
        " IN (SELECT indexrelid FROM pg_index WHERE indrelid = %s::regclass) ORDER BY relname",
        [table, table],
    )


def test_names_rights_and_rules_are_as_before():
    execute("DROP ROLE IF EXISTS toy_reader").close()
    execute("CREATE ROLE toy_reader").close()
    try:
        execute("GRANT SELECT ON toy_tally TO toy_reader").close()
        execute(
            "CREATE UNIQUE INDEX toy_by_hand ON toy_tally (lower(counter_id)) WHERE total > 3"
        ).close()
        before, form = names_of("toy_tally"), shadow_table.form("public.toy_tally")
        rebuild.rebuild(NAME)
        assert names_of("toy_tally") == before
        assert shadow_table.form("public.toy_tally") == form
        assert "toy_by_hand" in form
        assert "toy_never_below_zero" in form
    finally:
        execute("DROP TABLE IF EXISTS rebuild_kept.toy_tally").close()
        execute("DROP INDEX toy_by_hand").close()
        execute("DROP OWNED BY toy_reader").close()
        execute("DROP ROLE toy_reader").close()


def test_a_rebuilt_table_can_be_migrated():
    count(4)
    rebuild.rebuild(NAME)
    field = models.TextField(default="", db_index=True)
    field.set_attributes_from_name("place")
    field.model = Tally
    renamed = models.TextField(default="")
    renamed.set_attributes_from_name("remark")
    renamed.model = Tally
    note = Tally._meta.get_field("note")
    with connection.schema_editor() as editor:
        editor.remove_constraint(Tally, Tally._meta.constraints[0])
        editor.add_constraint(Tally, Tally._meta.constraints[0])
        editor.remove_index(Tally, Tally._meta.indexes[0])
        editor.add_field(Tally, field)
        editor.alter_field(Tally, note, renamed)
    with connection.schema_editor() as editor:
        editor.alter_field(Tally, renamed, note)
        editor.remove_field(Tally, field)
        editor.add_index(Tally, Tally._meta.indexes[0])
    with pytest.raises(rebuild.NothingKept, match="migrated"):
        call_kept_of_another_form()
    rebuild.rebuild(NAME)
    assert live() == fold_of_the_log()


def call_kept_of_another_form():
    execute("CREATE INDEX toy_later ON toy_tally (total)").close()
    try:
        rebuild.roll_back(NAME, who="ada", reason="a try")
    finally:
        execute("DROP INDEX toy_later").close()


def test_a_migration_in_the_middle_is_found_out(small_pages, monkeypatch):
    count(20)
    swap = swapping._swap

    def migrated_first(*args):
        in_thread(lambda: execute("CREATE INDEX toy_later ON toy_tally (total)").close()).result(10)
        swap(*args)

    monkeypatch.setattr(swapping, "_swap", migrated_first)
    try:
        with pytest.raises(rebuild.RebuildFailed, match="migrated during the rebuild"):
            rebuild.rebuild(NAME)
    finally:
        execute("DROP INDEX toy_later").close()


def test_a_table_that_a_view_reads_is_not_replaced():
    execute("CREATE VIEW toy_view AS SELECT * FROM toy_tally").close()
    try:
        with pytest.raises(rebuild.NotRebuildable, match="the view toy_view reads it"):
            rebuild.rebuild(NAME)
    finally:
        execute("DROP VIEW toy_view").close()


def test_a_table_that_does_not_fit_its_model_is_not_rebuilt():
    execute("ALTER TABLE toy_tally ADD COLUMN stray text").close()
    try:
        with pytest.raises(rebuild.NotRebuildable, match="stray"):
            rebuild.rebuild(NAME)
    finally:
        execute("ALTER TABLE toy_tally DROP COLUMN stray").close()


# While the shop is open


def test_a_reader_who_does_not_end_is_named_and_lets_others_read(another, monkeypatch):
    monkeypatch.setattr(swapping, "PAUSE_SECONDS", (0.01, 0.05))
    count(5)
    drain()
    spoil()
    reader, other = another(), another()
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM toy_tally")
    rebuilt = in_thread(rebuild.rebuild, NAME)
    until(
        lambda: any("SELECT * FROM toy_tally" in each.waits_for for each in rebuild.latest()),
        seconds=10,
    )
    other.execute("SET statement_timeout = '2s'")
    for _ in range(20):
        other.execute("SELECT count(*) FROM toy_tally").fetchone()
    count(3)
    drain()
    reader.execute("COMMIT")
    rebuilt.result(20)
    assert live() == fold_of_the_log()


class Under:
    """Everything at once: a writer, a worker, and readers whose statements are prepared."""

    def __init__(self, another):
        self.over, self.another, self.troubles, self.reads = threading.Event(), another, [], 0

    @contextmanager
    def load(self):
        jobs = [
            in_thread(self.guarded, job) for job in (self.write, self.work, self.read, self.read)
        ]
        try:
            yield self
        finally:
            self.over.set()
            for job in jobs:
                job.result(30)

    def guarded(self, job):
        try:
            job()
        except Exception as error:  # noqa: BLE001
            self.troubles.append(error)

    def write(self):
        number = 0
        while not self.over.is_set():
            number += 1
            append(f"counter-{number % 50}", [Counted(str(number % 50), 1)] * 5, expected=ANY)

    def work(self):
        from eventstore.delivery import step

        while not self.over.is_set():
            step.step(NAME, limit=200)

    def read(self):
        """Whoever has seen a row at a position never sees it at an earlier one, nor with a total
        that it never had."""
        connection, last = self.another(), {}
        while not self.over.is_set():
            for key, position, total, heard in connection.execute(
                "SELECT counter_id, position, total, heard FROM toy_tally", prepare=True
            ).fetchall():
                if position < last.get(key, 0) or total != sum(heard):
                    raise AssertionError(
                        f"{key} went back from {last.get(key)} to {position}, or is {total}"
                    )
                last[key] = position
            missing = set(last) - {
                row[0] for row in connection.execute("SELECT counter_id FROM toy_tally")
            }
            if missing:
                raise AssertionError(f"{missing} were there and are gone")
            whole = connection.execute(
                "SELECT to_jsonb(row) FROM toy_tally AS row", prepare=True
            ).fetchall()
            self.reads += len(whole)


def test_under_full_load_no_reader_sees_an_error_or_anything_stale(another):
    count(500, counters=50)
    drain()
    with Under(another).load() as under:
        until(lambda: under.reads or under.troubles, seconds=60)
        for _ in range(3):
            assert rebuild.rebuild(NAME).state == "swapped"
            seen = under.reads
            until(lambda seen=seen: under.reads > seen or under.troubles, seconds=60)
    assert under.troubles == []
    drain()
    assert live() == fold_of_the_log()


def test_the_command_says_what_it_did_and_refuses_what_makes_no_sense(capsys):
    count(3)
    call_command("rebuild_projection", "--all", "--json")
    assert codec.decode_json(capsys.readouterr().out)["state"] == "swapped"
    call_command("rebuild_projection", "--status")
    assert "swapped, position" in capsys.readouterr().out
    for arguments in (
        [],
        ["nobody"],
        [NAME, "--rollback"],
        [NAME, "--cancel"],
        [NAME, "--diff", "--cancel"],
    ):
        with pytest.raises(CommandError):
            call_command("rebuild_projection", *arguments)
    assert isinstance(registry.subscriptions()[NAME], Projection)
    assert not transaction.get_connection().in_atomic_block
