"""The schema files in the repository: a folder for each stored type, three files for each version
ever released."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from eventstore import codec, registry, settings

from . import compatibility, generation
from .generation import Schema


class Release(NamedTuple):
    """A released version of a stored type."""

    name: str
    version: int
    avro: Schema
    example: Schema


def folder() -> Path:
    return settings.schemas()


def write() -> Iterator[Path]:
    """Write the missing files; existing ones are never overwritten. Yields the new paths."""
    for name in event_types():
        for path, content in _files(name).items():
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(content)
                yield path


def problems() -> Iterator[str]:
    """Every disagreement of classes, released schemas and declared modes, as a sentence."""
    for name in event_types():
        for path, content in _files(name).items():
            if not path.exists():
                yield f"{name}: {path.name} is missing. Run manage.py schemas --write."
            elif path.read_text() != content and path.suffix == ".avsc":
                change = compatibility.classify(json.loads(path.read_text()), _avro(name))
                yield (
                    f"{name}: the class no longer matches {path.name} (the change is {change})."
                    " Raise its schema version by an upcaster, or delete the files if that version"
                    " was never released."
                )
        version, mode = registry.schema_version_of(name), mode_of(name)
        earlier = [release.avro for release in released(name) if release.version < version]
        for why in compatibility.violations(mode, earlier, _avro(name)):
            yield f"{name}: version {version} is declared {mode}, but {why}."
    for path in sorted(folder().glob("*/")):
        # Released files must stay, because the log may hold events of their version for ever.
        there = {file.name for file in path.iterdir()}
        last = max(map(_version_of, path.iterdir()), default=0)
        for version in range(1, last):
            for form in ("avsc", "schema.json", "example.json"):
                if (file := f"v{version}.{form}") not in there:
                    yield (
                        f"{path.name}: {file} was released and is missing. Restore it from the"
                        " history."
                    )
        yield from _unreadable_examples(path.name)


def released(name: str) -> Sequence[Release]:
    """All versions of a type that have a schema and an example, oldest first."""
    paths = sorted(folder().joinpath(name).glob("v*.avsc"), key=_version_of)
    return [
        Release(
            name,
            _version_of(path),
            json.loads(path.read_text()),
            json.loads(_example_of(path).read_text()),
        )
        for path in paths
        if _example_of(path).exists()
    ]


def earlier(name: str, form: str) -> list[str]:
    """The texts of a type's released versions before the present one, oldest first. form: avsc or
    schema.json."""
    paths = folder().joinpath(name).glob(f"v*.{form}")
    released_ = {_version_of(path): path for path in paths}
    present = registry.schema_version_of(name)
    return [path.read_text() for version, path in sorted(released_.items()) if version < present]


def event_types() -> Sequence[str]:
    return sorted(
        [
            *(name for table in registry.wiring().EVENTS for name in table),
            *registry.published_types(),
        ]
    )


def mode_of(name: str) -> str:
    return next(
        (table[name] for table in registry.compatibilities() if name in table),
        compatibility.DEFAULT,
    )


def _files(name: str) -> dict[Path, str]:
    cls, version = _class_of(name), registry.schema_version_of(name)
    return {
        folder() / name / f"v{version}.avsc": _pretty(_avro(name)),
        folder() / name / f"v{version}.schema.json": _pretty(generation.json_schema(cls)),
        folder() / name / f"v{version}.example.json": _pretty(generation.example(cls)),
    }


def _unreadable_examples(folder_name: str) -> Iterator[str]:
    """The present code must read the example of every released version, under a former name too."""
    name = registry.renamed().get(folder_name, folder_name)
    if name not in event_types():
        yield (
            f"{folder_name}: the type was released, but no class has this stored name any more."
            " List it in RENAMED."
        )
        return
    for release in released(folder_name):
        try:
            read = codec.reader(_class_of(name), release.version, registry.upcasters(name))
            read(json.dumps(release.example))
        except ValueError as error:
            yield (
                f"{folder_name}: events of version {release.version} cannot be read any more:"
                f" {error}"
            )


def _avro(name: str) -> Schema:
    return generation.avro(_class_of(name), namespace=name.partition(".")[0])


def _class_of(name: str) -> type:
    return registry.published_types().get(name) or registry.types()[name]


def _version_of(path: Path) -> int:
    return int(path.name.split(".")[0].removeprefix("v"))


def _example_of(path: Path) -> Path:
    return path.with_name(f"v{_version_of(path)}.example.json")


def _pretty(content: Any) -> str:
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"
