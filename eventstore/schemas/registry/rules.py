"""A document as its library understands it, and whether two of them are compatible."""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import fastavro
from avro.errors import AvroException
from avro.name import Names
from avro.schema import make_avsc_object
from jsonschema.exceptions import SchemaError
from jsonschema.validators import Draft202012Validator, validator_for

from eventstore.schemas import compatibility

from . import avro_rules, json_references, json_rules
from .documents import AVRO, DEEPEST, MOST_REFERENCES, Document, Reference
from .errors import INVALID_SCHEMA, RegistryError

# Of a library's message.
MOST_CHARACTERS = 500
AVRO_ERRORS = (
    AvroException,
    fastavro.schema.SchemaParseException,
    fastavro.schema.UnknownType,
)
# What libraries say of a client's values -> in words of JSON. Within quotation marks it is a text.
PYTHON = re.compile(r"<class '(\w+)'>|(?<!['\w])(None|True|False)(?!['\w])")
WORDS = {
    "NoneType": "null",
    "bool": "a boolean",
    "int": "a number",
    "float": "a number",
    "str": "a text",
    "list": "an array",
    "dict": "an object",
    "None": "null",
    "True": "true",
    "False": "false",
}
Find = Callable[[Reference], Document]


class Parsed(NamedTuple):
    """schema: an avro.schema.Schema or a json_rules.Source."""

    type: str
    schema: Any


class Part(NamedTuple):
    """A document that another one refers to."""

    reference: Reference
    document: Document


def parse(document: Document, find: Find) -> Parsed:
    """find: the document of a reference. Raises RegistryError, also what find raises."""
    if document.type == AVRO:
        parts = [*(each.document for each in closure(document, find)), document]
        names, schema = Names(), None
        # By both libraries: one compares schemas, with the other one clients encode, and it also
        # checks defaults.
        try:
            for each in parts:
                names.default_namespace = None
                schema = make_avsc_object(json.loads(each.text), names)
            for_fastavro(parts)
        except Exception as error:  # noqa: BLE001  whatever a library raises: the text is at fault
            raise RegistryError(INVALID_SCHEMA, _reason(error)) from None
        if why := next(avro_rules.faults(schema), ""):
            raise RegistryError(INVALID_SCHEMA, why[:MOST_CHARACTERS])
        return Parsed(AVRO, schema)
    sources: dict[tuple[str, int], json_rules.Source] = {}
    for part in closure(document, find):
        sources[part.reference.subject, part.reference.version] = _source(part.document, sources)
    source = _source(document, sources)
    _check(source)
    return Parsed(document.type, source)


def closure(document: Document, find: Find) -> list[Part]:
    """All that the document refers to, each once, and behind what it refers to itself. Raises
    RegistryError."""
    found: dict[tuple[str, int], Part] = {}

    def visit(reference: Reference, depth: int) -> None:
        key = (reference.subject, reference.version)
        if key in found:
            return
        if depth > DEEPEST or len(found) >= MOST_REFERENCES:
            raise RegistryError(INVALID_SCHEMA, f"more than {MOST_REFERENCES} references in all")
        referenced = find(reference)
        for each in referenced.references:
            visit(each, depth + 1)
        found[key] = Part(reference, referenced)

    for each in document.references:
        visit(each, 1)
    return list(found.values())


def for_fastavro(parts: Iterable[Document]) -> Any:
    """The last of the documents as fastavro has it; it may use the names of those before it."""
    names: dict[str, Any] = {}
    found: Any = None
    for document in parts:
        found = fastavro.parse_schema(json.loads(document.text), named_schemas=names)
    return found


def incompatibilities(reader: Parsed, writer: Parsed) -> list[str]:
    """Why the reader cannot read data of the writer, as sentences."""
    if reader.type != writer.type:
        return [f"the reader's type is {reader.type}, the writer's {writer.type}"]
    if reader.type == AVRO:
        return compatibility.incompatibilities(reader.schema, writer.schema)
    try:
        return json_rules.narrowings(reader.schema, writer.schema)
    except json_rules.TooComplex:
        return ["the two schemas are too complex to compare"]


def _reason(error: Exception) -> str:
    """What a library does not expect itself says nothing to a client."""
    return _said(str(error)) if isinstance(error, AVRO_ERRORS) else "it is not an Avro schema"


def _said(message: str) -> str:
    """Libraries quote whole schemas, as Python writes them."""
    said = PYTHON.sub(lambda found: WORDS.get(found[1] or found[2], "another"), message)
    return said[:MOST_CHARACTERS]


def _check(source: json_rules.Source) -> None:
    """Raises RegistryError."""
    if isinstance(source.root, Mapping) and not isinstance(source.root.get("$schema", ""), str):
        raise RegistryError(INVALID_SCHEMA, "$.$schema is not a text")
    dialect = _well_formed(source.root)
    try:
        references = json_references.References(source)
    except json_references.Nowhere as error:
        raise RegistryError(INVALID_SCHEMA, error) from None
    if references.has_circle():
        raise RegistryError(INVALID_SCHEMA, "its references lead in a circle")
    for stray in references.strays:
        _well_formed(stray, dialect)
    # Comparing reads the keywords of all dialects. In draft 4, two of them are booleans.
    others = json_rules.COMPARED - dialect.VALIDATORS.keys()
    foreign = others - {"exclusiveMinimum", "exclusiveMaximum"}
    for schema, _ in references.schemas:
        if found := {name: schema[name] for name in foreign & schema.keys()}:
            _well_formed(found, Draft202012Validator)


def _well_formed(schema: Any, dialect: Any = None) -> Any:
    """The dialect's validator, by default of the dialect that the schema names. Raises
    RegistryError."""
    try:
        validator = dialect or validator_for(schema)
        validator.check_schema(schema)
    except SchemaError as error:
        why = _said(f"{error.json_path}: {error.message}")
        raise RegistryError(INVALID_SCHEMA, why) from None
    except RecursionError:
        raise RegistryError(INVALID_SCHEMA, f"it is deeper than {DEEPEST} levels") from None
    except Exception:  # noqa: BLE001  whatever the library raises: the text is at fault
        raise RegistryError(INVALID_SCHEMA, "it is not a JSON Schema") from None
    return validator


def _source(
    document: Document, sources: Mapping[tuple[str, int], json_rules.Source]
) -> json_rules.Source:
    """sources: of what it refers to, by subject and version."""
    root = json.loads(document.text)
    if not isinstance(root, Mapping | bool):
        raise RegistryError(INVALID_SCHEMA, "a JSON Schema is an object, true or false")
    named = {each.name: sources[each.subject, each.version] for each in document.references}
    return json_rules.Source(root, named)
