"""Read the code without running it: modules, docstrings, comments, calls; and write Markdown."""

import ast
import re
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[2]
ENGINE = "eventstore"
UNREAD = {"migrations", "tools"}

Function = ast.FunctionDef | ast.AsyncFunctionDef


class Module(NamedTuple):
    """name: dotted. text: the source, for comments."""

    name: str
    path: Path
    tree: ast.Module
    text: str

    @property
    def where(self) -> str:
        return str(self.path.relative_to(ROOT))

    @property
    def is_package(self) -> bool:
        return self.path.name == "__init__.py"


class Name(NamedTuple):
    """A public name of a module. signature: with the arguments of a function. is_value: neither a
    function nor a class."""

    name: str
    signature: str
    about: str
    is_value: bool = False


@cache
def project() -> dict[str, Any]:
    """What pyproject.toml says of the tools."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]  # type: ignore[no-any-return]


def packages() -> tuple[str, ...]:
    """The project's own packages: those that mypy checks."""
    return tuple(each for each in project()["mypy"]["files"] if each not in UNREAD)


@cache
def modules(package: str) -> tuple[Module, ...]:
    """All modules of a package in the order of their names, without migrations."""
    paths = sorted((ROOT / package).rglob("*.py"))
    return tuple(_read(path) for path in paths if UNREAD.isdisjoint(path.parts[len(ROOT.parts) :]))


def all_modules() -> Iterator[Module]:
    for package in packages():
        yield from modules(package)


def module(name: str) -> Module:
    path = ROOT / name.replace(".", "/")
    return _read(path / "__init__.py" if path.is_dir() else path.with_suffix(".py"))


def about(node: ast.Module | ast.ClassDef | Function) -> str:
    """The first paragraph of the docstring, on one line."""
    return " ".join((ast.get_docstring(node) or "").partition("\n\n")[0].split())


def public_names(module: Module) -> Iterator[Name]:
    """Functions, classes and constants that a module defines, in the order of the file."""
    for node in module.tree.body:
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                found = Name(node.name, signature(node), about(node))
            case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
                found = Name(name, name, comment_above(module, node), is_value=True)
            case _:
                continue
        if not found.name.startswith("_"):
            yield found


def signature(node: Function | ast.ClassDef) -> str:
    """name(arguments), without types and defaults; of a class, its name."""
    if isinstance(node, ast.ClassDef):
        return node.name
    given = node.args
    names = [each.arg for each in (*given.posonlyargs, *given.args)]
    if given.vararg:
        names.append(f"*{given.vararg.arg}")
    elif given.kwonlyargs:
        names.append("*")
    names += [each.arg for each in given.kwonlyargs]
    names += [f"**{given.kwarg.arg}"] if given.kwarg else []
    return f"{node.name}({', '.join(names)})"


def comment_above(module: Module, node: ast.AST) -> str:
    """The comment on the lines directly above a statement, or at the end of its line."""
    lines, number = module.text.splitlines(), node.lineno - 1  # type: ignore[attr-defined]
    found: list[str] = []
    while number and (line := lines[number - 1].strip()).startswith("#"):
        found.insert(0, line.lstrip("# "))
        number -= 1
    if not found and "  # " in lines[node.lineno - 1]:  # type: ignore[attr-defined]
        found = [lines[node.lineno - 1].rpartition("  # ")[2]]  # type: ignore[attr-defined]
    return " ".join(found)


def calls(tree: ast.AST, *names: str) -> Iterator[ast.Call]:
    """Calls of a function or class of one of these names, however it was imported."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else None
            if (called or getattr(node.func, "id", None)) in names:
                yield node


def arguments(call: ast.Call, *names: str) -> dict[str, ast.expr]:
    """Name -> value, of arguments by position and by name."""
    given = dict(zip(names, call.args, strict=False))
    return given | {each.arg: each.value for each in call.keywords if each.arg}


def text_of(node: ast.expr | None) -> str:
    """What a text says; whatever is put into it while the program runs is an ellipsis."""
    match node:
        case ast.Constant(value=str(value)):
            return re.sub(r"\{\d+\}", "…", value)
        case ast.JoinedStr(values=parts):
            return "".join(text_of(part) for part in parts)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return text_of(left) + text_of(right)
        case None:
            return ""
    return "…"


def heading(title: str, *paragraphs: str) -> str:
    note = "<!-- Generated by `make reference` from the code. Change the code, not this page. -->"
    return "\n\n".join([f"# {title}", note, *paragraphs]) + "\n"


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines) + "\n"


def code(text: str) -> str:
    """As code; with two backticks around a text that has one."""
    fence = "``" if "`" in text else "`"
    return f"{fence} {text} {fence}" if len(fence) == 2 else f"`{text}`" if text else ""


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


@cache
def _read(path: Path) -> Module:
    name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    text = path.read_text()
    return Module(name, path, ast.parse(text), text)
