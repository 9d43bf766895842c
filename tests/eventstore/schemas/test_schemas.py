"""Published schemas: made from classes, kept for ever, and promises about them are checked."""

import json
import sys

import pytest
from avro.schema import parse
from django.core.management import CommandError, call_command

from eventstore import registry
from eventstore.log import ANY, append
from eventstore.messages import Event, Value, replace
from eventstore.operations import time_travel
from eventstore.postgres import rows
from eventstore.schemas import compatibility, files, generation
from eventstore.testing import forget_everything
from tests.eventstore.conftest import forget_wiring
from tests.eventstore.toy import COUNTER, Closed, Counted


class Part(Value, frozen=True):
    name: str
    size: int | None = None


class Made(Event, frozen=True):
    made_id: str
    parts: tuple[Part, ...]
    spare: Part = Part("none")


class MadeWithMaker(Event, frozen=True):
    made_id: str
    maker: str = "nobody"


class MadeByMaker(Event, frozen=True):
    made_id: str
    maker: str


class MadeAlone(Event, frozen=True):
    made_id: str


def avro_of(cls):
    return generation.avro(cls, namespace="toy") | {"name": "Made"}


@pytest.mark.parametrize(
    ("old", "new", "change"),
    [
        (MadeAlone, MadeWithMaker, "FULL"),
        (MadeWithMaker, MadeAlone, "FULL"),
        (MadeAlone, MadeByMaker, "FORWARD"),
        (MadeByMaker, MadeAlone, "BACKWARD"),
        (MadeByMaker, Made, "NONE"),
    ],
)
def test_a_change_is_called_by_who_can_read_whom(old, new, change):
    assert compatibility.classify(avro_of(old), avro_of(new)) == change


@pytest.mark.parametrize(
    ("mode", "kept"),
    [
        ("NONE", True),
        ("FORWARD", True),
        ("BACKWARD", False),
        ("FULL", False),
        ("FULL_TRANSITIVE", False),
    ],
)
def test_a_field_that_must_be_there_breaks_who_reads_old_events(mode, kept):
    assert (
        not list(compatibility.violations(mode, [avro_of(MadeAlone)], avro_of(MadeByMaker)))
    ) is kept


def test_the_transitive_forms_look_at_every_version_there_was():
    history = [avro_of(MadeAlone), avro_of(MadeByMaker)]
    assert not list(compatibility.violations("BACKWARD", history, avro_of(MadeByMaker)))
    assert list(compatibility.violations("BACKWARD_TRANSITIVE", history, avro_of(MadeByMaker)))


def test_an_avro_schema_is_one_that_avro_takes_and_knows_defaults():
    parsed = parse(json.dumps(generation.avro(Made, namespace="toy")))
    assert parsed.fullname == "toy.Made"
    assert {field.name: field.has_default for field in parsed.fields}["spare"]


def test_an_example_is_read_by_its_class():
    for name in files.event_types():
        cls = registry.published_types().get(name) or registry.types()[name]
        assert registry.codec.reader(cls, 1, {})(json.dumps(generation.example(cls)))


def test_the_shops_schemas_are_as_its_classes_and_every_promise_is_kept():
    assert list(files.problems()) == []


@pytest.fixture
def shelf(wire, settings, tmp_path):
    """The toy world with an empty folder for its schemas; shelf(...) rewires it."""
    settings.EVENTSTORE_SCHEMAS = tmp_path
    wire()
    list(files.write())
    yield wire
    forget_wiring()
    forget_everything()


def test_what_is_released_is_never_written_again(shelf):
    assert list(files.write()) == []
    assert list(files.problems()) == []


def test_a_class_that_changed_without_a_new_version_is_found(shelf):
    class Counted(Event, frozen=True):
        counter_id: str
        amount: int = 1
        note: str = ""
        place: str = ""

    evolve = {Counted: lambda counter, event: counter, Closed: COUNTER.evolve[Closed]}
    shelf(
        EVENTS=[{"toy.counted": Counted, "toy.closed": Closed}],
        AGGREGATES=[COUNTER._replace(evolve=evolve)],
    )
    (problem,) = files.problems()
    assert problem.startswith(
        "toy.counted: the class no longer matches v1.avsc (the change is FULL)"
    )


def test_a_new_version_with_its_upcaster_is_released_beside_the_old_one(shelf, tmp_path):
    upcasters = [{"toy.counted": {1: lambda data: data | {"note": "from before"}}}]
    shelf(UPCASTERS=upcasters)
    assert [path.name for path in files.write()] == ["v2.avsc", "v2.schema.json", "v2.example.json"]
    assert list(files.problems()) == []


def test_an_upcaster_that_cannot_take_what_was_released_is_found(shelf):
    shelf(UPCASTERS=[{"toy.counted": {1: lambda data: {"counter_id": data["not there"]}}}])
    list(files.write())
    (problem,) = files.problems()
    assert "events of version 1 cannot be read any more" in problem


def test_a_type_that_nobody_stores_any_more_is_found_until_it_is_renamed(shelf, tmp_path):
    (tmp_path / "toy.gone").mkdir()
    (problem,) = files.problems()
    assert problem.startswith("toy.gone: the type was released, but no class")
    shelf(RENAMED={"toy.gone": "toy.counted"})
    assert list(files.problems()) == []


def test_a_broken_promise_is_found(shelf, monkeypatch):
    class Counted(Event, frozen=True):
        counter_id: str
        amount: int

    evolve = {Counted: lambda counter, event: counter, Closed: COUNTER.evolve[Closed]}
    rewired = {
        "EVENTS": [{"toy.counted": Counted, "toy.closed": Closed}],
        "AGGREGATES": [COUNTER._replace(evolve=evolve)],
        "UPCASTERS": [
            {"toy.counted": {1: lambda data: {"counter_id": data["counter_id"], "amount": 1}}}
        ],
    }
    shelf(**rewired)
    list(files.write())
    assert [problem.split(",")[0] for problem in files.problems()] == []
    shelf(**rewired, COMPATIBILITY=[{"toy.counted": "FULL"}])
    assert list(files.problems()) == []


@pytest.mark.parametrize("kind", ["avsc", "schema.json", "example.json"])
def test_a_file_of_an_older_version_that_is_gone_is_missed(shelf, tmp_path, kind):
    shelf(UPCASTERS=[{"toy.counted": {1: dict}}])
    list(files.write())
    (tmp_path / "toy.counted" / f"v1.{kind}").unlink()
    (problem,) = files.problems()
    assert (
        problem
        == f"toy.counted: v1.{kind} was released and is missing. Restore it from the history."
    )


def test_what_was_released_under_a_name_of_the_past_is_read_as_well(shelf, tmp_path):
    released_as(tmp_path, "toy.gone", 1, Counted, {"counter_id": 5})
    shelf(RENAMED={"toy.gone": "toy.counted"})
    (problem,) = files.problems()
    assert problem.startswith("toy.gone: events of version 1 cannot be read any more")


def test_every_event_that_the_shop_ever_released_is_folded_by_its_aggregate():
    evolving = {cls: each for each in registry.aggregates().values() for cls in each.evolve}
    folded = 0
    for path in sorted(files.folder().glob("*/")):
        name = registry.renamed().get(path.name, path.name)
        for release in files.released(path.name) if name in registry.types() else ():
            event = registry.decode(path.name, release.version, json.dumps(release.example))
            aggregate = evolving[type(event)]
            assert isinstance(aggregate.fold([event]), type(aggregate.initial)), path.name
            folded += 1
    assert folded >= 20


def released_as(folder, name, version, cls, example):
    """As if an older version of the code had released it."""
    place = folder / name
    place.mkdir(exist_ok=True)
    (place / f"v{version}.avsc").write_text(json.dumps(generation.avro(cls, namespace="toy")))
    (place / f"v{version}.schema.json").write_text(json.dumps(generation.json_schema(cls)))
    (place / f"v{version}.example.json").write_text(json.dumps(example))


@pytest.mark.django_db(transaction=True)
class TestAnEventThatChangesItsForm:
    """Counts were called `number` at first; today they are `amount`, and have a unit that was
    always implied."""

    @pytest.fixture
    def before(self, toys, settings, tmp_path):
        class Counted(Event, frozen=True):
            counter_id: str
            number: int

        settings.EVENTSTORE_SCHEMAS = tmp_path
        evolve = {
            Counted: lambda counter, event: replace(counter, total=counter.total + event.number)
        }
        only = {"EVENTS": [{"toy.counted": Counted}], "DECISIONS": [], "COMMANDS": []}
        toys({}, AGGREGATES=[COUNTER._replace(decide={}, evolve=evolve)], **only)
        list(files.write())
        append("counter-a", [Counted("a", 2), Counted("a", 3)], expected=0)

    @pytest.fixture
    def today(self, toys, before):
        class Counted(Event, frozen=True):
            counter_id: str
            amount: int
            unit: str = "piece"

        def v1_to_v2(data):
            return {"counter_id": data["counter_id"], "amount": data["number"]}

        evolve = {
            Counted: lambda counter, event: replace(counter, total=counter.total + event.amount)
        }

        def wire(**parts):
            named = {
                "EVENTS": [{"toy.counted": Counted}],
                "UPCASTERS": [{"toy.counted": {1: v1_to_v2}}],
            }
            only = {
                "DECISIONS": [],
                "COMMANDS": [],
                "AGGREGATES": [COUNTER._replace(decide={}, evolve=evolve)],
            }
            toys({}, **only | named | parts)
            return Counted

        return wire

    def test_what_was_stored_in_its_first_form_is_folded_together_with_the_second(self, today):
        append("counter-a", [today()("a", 5)], expected=2)
        assert time_travel.moment("counter-a").state.total == 10
        assert [
            row for (row,) in rows("SELECT schema_version FROM eventstore_event ORDER BY version")
        ] == [1, 1, 2]

    def test_also_under_another_name(self, today):
        counted = today()
        today(
            EVENTS=[{"toy.tallied": counted}],
            UPCASTERS=[
                {
                    "toy.tallied": {
                        1: lambda data: {"counter_id": data["counter_id"], "amount": data["number"]}
                    }
                }
            ],
            RENAMED={"toy.counted": "toy.tallied"},
        )
        append("counter-a", [counted("a", 5)], expected=2)
        assert time_travel.moment("counter-a").state.total == 10
        assert [row for (row,) in rows("SELECT type FROM eventstore_event ORDER BY version")] == [
            "toy.counted",
            "toy.counted",
            "toy.tallied",
        ]

    @pytest.mark.parametrize(
        ("mode", "broken"),
        [
            ("NONE", False),
            ("BACKWARD", True),
            ("FORWARD", True),
            ("FULL", True),
            ("BACKWARD_TRANSITIVE", True),
            ("FORWARD_TRANSITIVE", True),
            ("FULL_TRANSITIVE", True),
        ],
    )
    def test_who_reads_it_by_its_schema_alone_is_promised_what_the_mode_says(
        self, today, mode, broken
    ):
        """Our own code has the upcaster; a reader elsewhere has the published schemas only."""
        today(COMPATIBILITY=[{"toy.counted": mode}])
        list(files.write())
        if broken:
            with pytest.raises(
                CommandError, match=f"toy.counted: version 2 is declared {mode}, but"
            ):
                call_command("schemas", "--check")
        else:
            call_command("schemas", "--check")

    def test_the_store_is_read_and_folded_in_both_forms(self, today, capsys):
        append("counter-a", [today()("a", 5)], expected=2)
        call_command("schemas", "--store")
        assert "toy.counted v1: 2 events\ntoy.counted v2: 1 events" in capsys.readouterr().out

    def test_without_the_upcaster_the_store_says_what_cannot_be_read_and_where(self, today):
        today(UPCASTERS=[])
        first, _ = rows("SELECT position FROM eventstore_event ORDER BY position")
        with pytest.raises(CommandError) as refused:
            call_command("schemas", "--store")
        unreadable, unfoldable = str(refused.value).splitlines()
        assert unreadable.startswith(
            f"toy.counted v1 at position {first[0]}: Stored data does not fit Counted"
        )
        assert unfoldable.startswith(
            "counter-a cannot be folded after version 0 at position 0: Undecodable"
        )

    def test_nor_can_what_was_released(self, today):
        today(UPCASTERS=[])
        problems = list(files.problems())
        assert any("events of version 1 cannot be read any more" in problem for problem in problems)


@pytest.mark.django_db(transaction=True)
def test_the_store_is_read_with_todays_code(toys, capsys):
    append("counter-a", [Counted("a", 2)], expected=ANY)
    call_command("schemas", "--store")
    assert "toy.counted v1: 1 events" in capsys.readouterr().out
    toys(EVENTS=[{"toy.closed": Closed, "toy.recounted": Counted}])
    with pytest.raises(
        CommandError, match=r"toy.counted v1 at position \d+: No class in the wiring"
    ):
        call_command("schemas", "--store")


def test_without_avro_the_command_names_the_extra(monkeypatch):
    for name in ("files", "compatibility"):
        monkeypatch.delitem(sys.modules, f"eventstore.schemas.{name}", raising=False)
        monkeypatch.delattr(f"eventstore.schemas.{name}", raising=False)
    monkeypatch.setitem(sys.modules, "avro.compatibility", None)
    with pytest.raises(CommandError, match='install the extra "schemas" of eventstore'):
        call_command("schemas", "--check")
