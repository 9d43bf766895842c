"""Variables of the environment, and settings of the engine."""

import ast
import tomllib
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from .source import (
    ENGINE,
    Module,
    about,
    calls,
    code,
    comment_above,
    heading,
    module,
    project,
    table,
)

KINDS = {
    "bool": "on or off",
    "int": "whole number",
    "float": "number",
    "str": "text",
    "list": "texts, with commas between",
    "address": "URL",
    "database": "URL of a PostgreSQL",
    "ports": "port numbers, with commas between; `*` for any",
    "origins": "origins, with scheme, with commas between",
    "networks": "networks, with commas between",
    "file": "path of a file",
}
# Not django.conf's: it has no name while a test overrides a setting.
SETTINGS: str = project()["django-stubs"]["django_settings_module"]
# Reads variables for the settings module.
BROKERS = f"{SETTINGS.rpartition('.')[0]}.brokers"
# What the settings module says in no comment, or shorter.
MEANINGS = tomllib.loads(Path(__file__).with_name("meanings.toml").read_text())
READS = (*KINDS, "choice", "choices", "form")

VARIABLES = (
    "Read once, when a process starts. A value of the wrong kind ends the process with a message"
    " that names the variable; all wrong ones are named at once."
)
OF_THE_ENGINE = (
    "Django settings of a project that uses the engine. Only those without a default are required."
    " The platform sets them from the variable in the last column."
)


class Variable(NamedTuple):
    """setting: the Django setting that takes it, if there is one alone."""

    name: str
    kind: str
    default: str
    setting: str
    about: str


def page() -> str:
    variables: dict[str, Variable] = {}
    for found in _variables():
        variables.setdefault(found.name, found)  # a later one reads it as another's default
    rows = ((code(each.name), each.kind, each.default, each.about) for each in variables.values())
    taken = {each.setting: each.name for each in variables.values()}
    return "\n".join(
        [
            heading("Settings"),
            f"## Variables of the environment\n\n{VARIABLES}\n",
            table(("variable", "kind", "default", "meaning"), rows),
            f"## Settings of the engine\n\n{OF_THE_ENGINE}\n",
            table(
                ("setting", "type", "default", "meaning", "variable"),
                ((*row, code(taken.get(name, ""))) for name, row in _engine().items()),
            ),
        ]
    )


def _variables() -> Iterator[Variable]:
    """In the order of the files. Without a comment there, the engine's docstring says the meaning,
    or MEANINGS below."""
    yield from _variables_of(module(SETTINGS))
    yield from _variables_of(module(BROKERS))


def _variables_of(settings: Module) -> Iterator[Variable]:
    engine = _engine()
    for statement in settings.tree.body:
        for call in _reads(statement):
            name = call.args[0].value  # type: ignore[attr-defined]
            setting = _target(statement)
            said = comment_above(settings, _line_of(statement, call))
            if setting in engine:
                said = engine[setting][-1]
            yield Variable(
                name, _kind(call), _default(settings, call), setting, MEANINGS.get(name, said)
            )


def _reads(statement: ast.stmt) -> Iterator[ast.Call]:
    for call in calls(statement, *READS):
        match call:
            case ast.Call(func=ast.Attribute(value=ast.Name(id="env")), args=[ast.Constant(), *_]):
                yield call


def _target(statement: ast.stmt) -> str:
    match statement:
        case ast.Assign(targets=[ast.Name(id=name)]):
            return name
    return ""


def _line_of(statement: ast.stmt, call: ast.Call) -> ast.AST:
    """Where its comment is: above the entry of a table, or above the whole statement."""
    return call if isinstance(getattr(statement, "value", None), ast.Dict) else statement


def _kind(call: ast.Call) -> str:
    method, given = call.func.attr, {each.arg: each.value for each in call.keywords}  # type: ignore[attr-defined]
    if method in ("choice", "choices"):
        names = ", ".join(code(each) for each in _choices(call.args[1]))
        return f"one of {names}" if method == "choice" else f"some of {names}"
    if method == "form":
        return str(_evaluated(call.args[1])[1])
    bounds = [f"at least {_evaluated(given['least'])}"] if "least" in given else []
    bounds += [f"at most {_evaluated(given['most'])}"] if "most" in given else []
    return ", ".join([KINDS[method], *bounds])


def _choices(node: ast.expr) -> Any:
    return _evaluated(node)


def _evaluated(node: ast.expr) -> Any:
    """In the names of the settings modules."""
    names = vars(import_module(BROKERS)) | vars(import_module(SETTINGS))
    return eval(ast.unparse(node), dict(names))  # noqa: S307  our own settings modules


def _default(settings: Module, call: ast.Call) -> str:
    """As the environment would say it."""
    node = next((each.value for each in call.keywords if each.arg == "default"), None)
    if isinstance(node, ast.Name):
        assigned = {_target(each): getattr(each, "value", None) for each in settings.tree.body}
        node = assigned.get(node.id) or node
    match node:
        case None:
            return ""
        case ast.IfExp(test=ast.Name(id=switch), body=ast.Constant(value=value)):
            return f"{code(str(value))} under {code(switch)}"
        case ast.Call(args=[ast.Constant(value=name), *_]):
            return f"as {code(str(name))}"
    value = _evaluated(node)
    match value:
        case bool():
            return "on" if value else "off"
        case list():
            return code(",".join(map(str, value)))
    return code(str(value))


def _engine() -> dict[str, tuple[str, str, str, str]]:
    """Setting -> its cells."""
    found = {}
    for node in module(f"{ENGINE}.settings").tree.body:
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            for call in calls(node, "getattr", "_required"):
                name, default = _read(call)
                found[name] = (
                    code(name),
                    code(_type(node.returns)) if node.returns else "",
                    code(default) or "required",
                    about(node),
                )
    return found


def _type(returned: ast.expr) -> str:
    """A setting for a duration is a number of days or seconds."""
    name = ast.unparse(returned)
    return "float" if name == "timedelta" else name


def _read(call: ast.Call) -> tuple[str, str]:
    literals = [each for each in call.args if not isinstance(each, ast.Name)]
    name, *rest = (ast.unparse(each) for each in literals)
    values = [str(eval(each, {})) if "<<" in each else each for each in rest]  # noqa: S307  a literal
    return ast.literal_eval(name), "".join(values)
