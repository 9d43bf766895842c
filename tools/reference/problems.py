"""The codes of the problem details (RFC 9457) that the API and the web server answer with."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple, TypeGuard

from django.conf import settings
from rest_framework import exceptions

from .source import Module, about, all_modules, calls, code, heading, module, table, text_of

INTRODUCTION = (
    "Every error is `application/problem+json`. `code` is stable; programs decide by it."
    " `detail` is for people; `errors` names the parts of the request at fault. `type` is"
    " `{prefix}` and the code, but for 429, which is the registered `{registered}`. A code that"
    " several contexts use has a line for each."
)
# Where a rule of the business turns a command down.
REJECTED, FRAMEWORK = "CommandRejected", "APIException"
# Codes with the status of another library's response.
CALLERS_STATUS = {"NoSocket": "400, 405, 426, 500, 505"}
UNREADABLE = "The web server cannot read the request, or cannot serve it now."


class Class(NamedTuple):
    name: str
    bases: tuple[str, ...]
    about: str
    status: int | None
    where: str


class Row(NamedTuple):
    status: str
    code: str
    about: str
    where: str


def page() -> str:
    handler, _ = _handlers()
    texts = [each.value for each in ast.walk(handler.tree) if isinstance(each, ast.Constant)]
    prefix = settings.EVENTSTORE_PROBLEM_TYPES
    registered = next(text for text in texts if "iana.org" in str(text))
    by_status: dict[str, list[Row]] = defaultdict(list)
    for row in sorted(_rows(), key=lambda row: (row.status, row.code, row.where)):
        by_status[row.status].append(row)
    columns = ("code", "meaning", "where")
    sections = [
        f"## {status}\n\n"
        + table(columns, ((code(row.code), row.about, code(row.where)) for row in rows))
        for status, rows in by_status.items()
    ]
    introduction = INTRODUCTION.format(prefix=prefix, registered=registered)
    return "\n".join([heading("Problem types", introduction), *sections])


def _handlers() -> tuple[Module, Module]:
    """The platform's own, and the engine's, which it builds on."""
    ours = settings.REST_FRAMEWORK["EXCEPTION_HANDLER"].rpartition(".")[0]
    return module(ours), module("eventstore.api.problems")


def _modules() -> Iterator[Module]:
    """Other projects have problems of their own."""
    return (each for each in all_modules() if not each.where.startswith("examples/"))


def _rows() -> set[Row]:
    """Of a code that several sources have, only those of the first of them."""
    found: dict[tuple[str, str], set[Row]] = {}
    for source in (_of_our_classes, _of_literals, _of_framework, _of_web_server):
        rows = set(source())
        known = set(found)
        for row in rows:
            if (row.status, row.code) not in known:
                found.setdefault((row.status, row.code), set()).add(row)
    return {row for rows in found.values() for row in rows}


def _of_our_classes() -> Iterator[Row]:
    yield from _of_cases()
    for each in _subclasses(FRAMEWORK):
        yield Row(str(each.status), each.name, each.about, each.where)


def _of_cases() -> Iterator[Row]:
    """What the exception handler makes of classes that are none of the framework's."""
    nodes = (each for handler in _handlers() for each in ast.walk(handler.tree))
    for case in (each for each in nodes if isinstance(each, ast.match_case)):
        names = [
            ast.unparse(each.cls).rpartition(".")[2]
            for each in ast.walk(case.pattern)
            if isinstance(each, ast.MatchClass)
        ]
        made = (each for part in case.body for each in ast.walk(part) if isinstance(each, ast.Call))
        for call in made:
            # Problem, or what makes one: a status, a code that is the error's name, a detail.
            match call.args:
                case [ast.Constant(value=int(status)), ast.Name() | ast.Attribute(), detail, *_]:
                    rejected = names == [REJECTED]
                    for each in _subclasses(REJECTED) if rejected else map(_known, names):
                        if each and FRAMEWORK not in each.bases:
                            said = text_of(detail).strip("… ") or each.about
                            yield Row(str(status), each.name, said, each.where)


def _of_framework() -> Iterator[Row]:
    for cls in vars(exceptions).values():
        if cls is not exceptions.APIException and _is_exception(cls):
            detail = str(getattr(cls, "default_detail", ""))
            yield Row(str(cls.status_code), cls.__name__, detail, "rest_framework/exceptions.py")


def _is_exception(cls: object) -> TypeGuard[type[exceptions.APIException]]:
    return isinstance(cls, type) and issubclass(cls, exceptions.APIException)


def _of_literals() -> Iterator[Row]:
    """Answers of views and middleware that raise nothing."""
    for source in _modules():
        for call in calls(source.tree, "response", "Problem", "retry"):
            match call.args:
                case [ast.Constant(value=int(status)), ast.Constant(value=str(name)), detail, *_]:
                    yield Row(str(status), name, text_of(detail), source.where)
                case [_, ast.Constant(value=int(status)), ast.Constant(value=str(name)), detail]:
                    yield Row(str(status), name, text_of(detail), source.where)
                case [_, ast.Name(), ast.Constant(value=str(name)), detail] if name.isalpha():
                    # The status is its caller's.
                    yield Row(CALLERS_STATUS[name], name, _said(source, detail), source.where)


def _said(source: Module, node: ast.expr) -> str:
    """A text, or the text that a name was given."""
    for each in ast.walk(source.tree):
        match each:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                if isinstance(node, ast.Name) and name == node.id:
                    return text_of(value)
    return text_of(node)


def _of_web_server() -> Iterator[Row]:
    """What cannot be read never comes to a view."""
    for source in _modules():
        for node in source.tree.body:
            match node:
                case ast.Assign(targets=[ast.Name(id="EARLY_CODES")], value=ast.Dict() as codes):
                    for status, name in ast.literal_eval(codes).items():
                        yield Row(str(status), name, UNREADABLE, source.where)


@cache
def _classes() -> dict[str, list[Class]]:
    found: dict[str, list[Class]] = defaultdict(list)
    for source in _modules():
        for node in source.tree.body:
            if isinstance(node, ast.ClassDef):
                bases = tuple(ast.unparse(base).rpartition(".")[2] for base in node.bases)
                values = {
                    each.targets[0].id: each.value
                    for each in node.body
                    if isinstance(each, ast.Assign) and isinstance(each.targets[0], ast.Name)
                }
                said = about(node) or text_of(values.get("default_detail"))
                status = _status(values.get("status_code"))
                found[node.name].append(Class(node.name, bases, said, status, source.where))
    return found


def _status(node: ast.expr | None) -> int | None:
    """404, or status.HTTP_404_NOT_FOUND."""
    number = re.search(r"\d+", ast.unparse(node)) if node else None
    return int(number[0]) if number else None


def _known(name: str) -> Class | None:
    return next(iter(_classes().get(name, ())), None)


def _subclasses(base: str) -> Iterator[Class]:
    """Direct and indirect ones."""
    for each in (each for same in _classes().values() for each in same):
        if base in each.bases:
            yield each
            yield from _subclasses(each.name)
