"""Published schemas: made from classes, kept for ever, and promises about them are checked."""

import json

import pytest
from avro.schema import parse
from django.core.management import CommandError, call_command

from eventstore import compatibility, published, registry, schemas
from eventstore.messages import Event, Value
from eventstore.store import ANY, append
from eventstore.testing import forget_everything

from .conftest import forget_wiring
from .toy import COUNTER, Closed, Counted


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
    return schemas.avro(cls, namespace="toy") | {"name": "Made"}


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
    [("NONE", True), ("FORWARD", True), ("BACKWARD", False), ("FULL", False), ("FULL_TRANSITIVE", False)],
)
def test_a_field_that_must_be_there_breaks_who_reads_old_events(mode, kept):
    assert (not list(compatibility.violations(mode, [avro_of(MadeAlone)], avro_of(MadeByMaker)))) is kept


def test_the_transitive_forms_look_at_every_version_there_was():
    history = [avro_of(MadeAlone), avro_of(MadeByMaker)]
    assert not list(compatibility.violations("BACKWARD", history, avro_of(MadeByMaker)))
    assert list(compatibility.violations("BACKWARD_TRANSITIVE", history, avro_of(MadeByMaker)))


def test_an_avro_schema_is_one_that_avro_takes_and_knows_defaults():
    parsed = parse(json.dumps(schemas.avro(Made, namespace="toy")))
    assert parsed.fullname == "toy.Made"
    assert {field.name: field.has_default for field in parsed.fields}["spare"]


def test_an_example_is_read_by_its_class():
    for name in published.event_types():
        cls = registry.published_types().get(name) or registry.types()[name]
        assert registry.codec.reader(cls, 1, {})(json.dumps(schemas.example(cls)))


def test_the_shops_schemas_are_as_its_classes_and_every_promise_is_kept():
    assert list(published.problems()) == []


@pytest.fixture
def shelf(wire, settings, tmp_path):
    """The toy world with an empty folder for its schemas; shelf(...) rewires it."""
    settings.EVENTSTORE_SCHEMAS = tmp_path
    wire()
    list(published.write())
    yield wire
    forget_wiring()
    forget_everything()


def test_what_is_released_is_never_written_again(shelf):
    assert list(published.write()) == []
    assert list(published.problems()) == []


def test_a_class_that_changed_without_a_new_version_is_found(shelf):
    class Counted(Event, frozen=True):
        counter_id: str
        amount: int = 1
        note: str = ""
        place: str = ""

    evolve = {Counted: lambda counter, event: counter, Closed: COUNTER.evolve[Closed]}
    shelf(EVENTS=[{"toy.counted": Counted, "toy.closed": Closed}], AGGREGATES=[COUNTER._replace(evolve=evolve)])
    (problem,) = published.problems()
    assert problem.startswith("toy.counted: the class is no longer what v1.avsc says (the change is FULL)")


def test_a_new_version_with_its_upcaster_is_released_beside_the_old_one(shelf, tmp_path):
    upcasters = [{"toy.counted": {1: lambda data: data | {"note": "from before"}}}]
    shelf(UPCASTERS=upcasters)
    assert [path.name for path in published.write()] == ["v2.avsc", "v2.schema.json", "v2.example.json"]
    assert list(published.problems()) == []


def test_an_upcaster_that_cannot_take_what_was_released_is_found(shelf):
    shelf(UPCASTERS=[{"toy.counted": {1: lambda data: {"counter_id": data["not there"]}}}])
    list(published.write())
    (problem,) = published.problems()
    assert "an event of version 1 cannot be read any more" in problem


def test_a_type_that_nobody_stores_any_more_is_found_until_it_is_renamed(shelf, tmp_path):
    (tmp_path / "toy.gone").mkdir()
    (problem,) = published.problems()
    assert problem.startswith("toy.gone: released, and no class")
    shelf(RENAMED={"toy.gone": "toy.counted"})
    assert list(published.problems()) == []


def test_a_broken_promise_is_found(shelf, monkeypatch):
    class Counted(Event, frozen=True):
        counter_id: str
        amount: int

    evolve = {Counted: lambda counter, event: counter, Closed: COUNTER.evolve[Closed]}
    rewired = {
        "EVENTS": [{"toy.counted": Counted, "toy.closed": Closed}],
        "AGGREGATES": [COUNTER._replace(evolve=evolve)],
        "UPCASTERS": [{"toy.counted": {1: lambda data: {"counter_id": data["counter_id"], "amount": 1}}}],
    }
    shelf(**rewired)
    list(published.write())
    assert [problem.split(",")[0] for problem in published.problems()] == []
    shelf(**rewired, COMPATIBILITY=[{"toy.counted": "FULL"}])
    assert list(published.problems()) == []


@pytest.mark.django_db(transaction=True)
def test_the_store_is_read_with_todays_code(toys, capsys):
    append("counter-a", [Counted("a", 2)], expected=ANY)
    call_command("schemas", "--store")
    assert "toy.counted v1: 1 events" in capsys.readouterr().out
    toys(EVENTS=[{"toy.closed": Closed, "toy.recounted": Counted}])
    with pytest.raises(CommandError, match=r"toy.counted v1 at position \d+: No class in the wiring"):
        call_command("schemas", "--store")
