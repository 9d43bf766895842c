"""The public names of each package of the engine."""

import ast
from collections.abc import Container, Iterable, Iterator

from .source import ENGINE, Module, Name, about, code, heading, module, modules, public_names, table

# Commands and checks have pages of their own, settings as well.
ELSEWHERE = {"management", "checks", "settings", "apps"}

INTRODUCTION = (
    "What a project imports from the engine. A package that lists its public names in `__all__` is"
    " used by the package's name (`log.append`, `sagas.react`); other modules are used by their own"
    " (`cursors.read`). Names that begin with an underscore are private to their module."
)


def page() -> str:
    """Modules at the top first, then a section for each room."""
    top = [each for each in modules(ENGINE) if each.name.count(".") == 1]
    top = [each for each in top if _last(each) not in ELSEWHERE]
    parts = [heading("Public API of eventstore", INTRODUCTION), "## At the top\n"]
    parts += [
        _listing(each) for each in top if not each.is_package and _last(each) not in ELSEWHERE
    ]
    parts += [part for room in top if room.is_package for part in _room(room)]
    return "\n".join(parts)


def _room(room: Module) -> Iterator[str]:
    yield f"## {code(room.name)}\n\n{about(room.tree)}\n"
    inside = [each for each in modules(ENGINE) if each.name.startswith(f"{room.name}.")]
    inside = [each for each in inside if ELSEWHERE.isdisjoint(each.name.split("."))]
    if any(_last(each) == "admin" for each in inside):
        # Pages: a project lists the app in INSTALLED_APPS, and imports nothing of it.
        yield table(("module", "holds"), ((code(each.name), about(each.tree)) for each in inside))
        return
    for package in (room, *(each for each in inside if each.is_package)):
        title = f"### {code(package.name)}\n\n{about(package.tree)}\n\n" if package != room else ""
        door = dict(_door(package))
        if names := [*door.values()] or [*_defined(package)]:
            yield title + _names(names)
        for each in inside:
            if not each.is_package and each.name.rpartition(".")[0] == package.name:
                yield _listing(each, door)


def _door(package: Module) -> Iterator[tuple[str, Name]]:
    """What `__all__` lists, with where it comes from."""
    listed = _listed(package)
    own = {each.name: each for each in public_names(package)}
    for node in package.tree.body:
        if isinstance(node, ast.ImportFrom) and node.level == 1 and node.module:
            source = module(f"{package.name}.{node.module}")
            own |= {each.name: each for each in public_names(source)}
    yield from ((name, own[name]) for name in listed)


def _listed(package: Module) -> list[str]:
    for node in package.tree.body:
        match node:
            case ast.Assign(targets=[ast.Name(id="__all__")], value=value):
                return sorted(ast.literal_eval(value), key=lambda name: (name.isupper(), name))
    return []


def _listing(each: Module, door: Container[str] = ()) -> str:
    """A module's functions and classes that the door does not have."""
    names = [name for name in _defined(each) if name.name not in door]
    return f"### {code(each.name)}\n\n{about(each.tree)}\n\n{_names(names)}" if names else ""


def _defined(module: Module) -> Iterator[Name]:
    """Functions and classes; what constants say is read in the code."""
    return (each for each in public_names(module) if not each.is_value)


def _names(names: Iterable[Name]) -> str:
    return table(("name", "what it is"), ((code(each.signature), each.about) for each in names))


def _last(each: Module) -> str:
    return each.name.rpartition(".")[2]
