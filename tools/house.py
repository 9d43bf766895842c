"""make house: figures on the structure of the code. The last line of output is one JSON object.

most_flat_modules   modules in the folder with the most modules
import_circles      groups of modules that import each other, also by imports in functions
post_files          files of ours that POST /api/commands/orders/ runs through
post_returns        how often it returns to a file that it had left
query_files         files of ours that GET /api/queries/orders/ID/ runs through
one_caller_share    share of private functions that are referenced exactly once
core_files          files in the reading list of the README
core_lines          their lines
function_median     lines of a function, from def to its end; also function_p90 and function_max
sql_outside_owner   constants with writing SQL outside of the module that has most of its table's
"""

import ast
import json
import os
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from statistics import median, quantiles
from typing import Any

ROOT = Path(__file__).parent.parent
PACKAGES = (
    "eventstore",
    "orders",
    "payments",
    "inventory",
    "shipping",
    "retail_import",
    "access",
    "config",
)
SQL = re.compile(r"\b(SELECT|INSERT INTO|UPDATE|DELETE FROM)\b")
WRITTEN = re.compile(
    r"\b(?:INSERT INTO|UPDATE|DELETE FROM) ((?:eventstore|orders|payments|inventory|shipping)_\w+)"
)
CORE = re.compile(r"^\d+\. `([\w/]+\.py)`", re.MULTILINE)

Trees = dict[str, tuple[Path, ast.Module]]


def main() -> None:
    trees = _trees()
    lengths = sorted(
        node.end_lineno - node.lineno + 1 for node in _functions(trees) if node.end_lineno
    )
    core = [ROOT / name for name in CORE.findall((ROOT / "README.md").read_text())]
    post, query = _entered()
    figures = {
        "most_flat_modules": max(Counter(path.parent for path, _ in trees.values()).values()),
        "import_circles": len(_circles(_imports(trees))),
        "post_files": len(set(post)),
        "post_returns": len(post) - len(set(post)),
        "query_files": len(set(query)),
        "one_caller_share": round(_one_caller_share(trees), 2),
        "core_files": len(core),
        "core_lines": sum(len(path.read_text().splitlines()) for path in core),
        "function_median": median(lengths),
        "function_p90": quantiles(lengths, n=10)[-1],
        "function_max": lengths[-1],
        "sql_outside_owner": len(_outside_owner(trees)),
    }
    for circle in _circles(_imports(trees)):
        print("circle:", " ".join(sorted(circle)))
    for name in _outside_owner(trees):
        print("sql outside its table's owner:", name)
    for name, value in figures.items():
        print(f"{name:20}{value}")
    print(json.dumps(figures))


def _trees() -> Trees:
    """Module name -> its file and syntax tree, without migrations."""
    found = {}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            if "migrations" not in path.parts:
                name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(
                    ".__init__"
                )
                found[name] = (path, ast.parse(path.read_text()))
    return found


def _functions(trees: Trees) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for _, tree in trees.values():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield node


def _one_caller_share(trees: Trees) -> float:
    """References by name within the module, the only place where private functions are used."""
    private = once = 0
    for _, tree in trees.values():
        names = Counter(
            node.id if isinstance(node, ast.Name) else node.attr
            for node in ast.walk(tree)
            if isinstance(node, ast.Name | ast.Attribute)
        )
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef) and re.match("_[^_]", node.name):
                private += 1
                once += names[node.name] == 1
    return once / private


def _imports(trees: Trees) -> dict[str, set[str]]:
    found: dict[str, set[str]] = defaultdict(set)
    for name, (path, tree) in trees.items():
        package = name if path.name == "__init__.py" else name.rpartition(".")[0]
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom):
                up = (
                    package.split(".")[: len(package.split(".")) - node.level + 1]
                    if node.level
                    else []
                )
                source = ".".join([*up, *([node.module] if node.module else [])])
                for alias in node.names:
                    whole = f"{source}.{alias.name}"
                    target = whole if whole in trees else source
                    if target in trees and target != name:
                        found[name].add(target)
    return found


def _circles(imports: dict[str, set[str]]) -> list[set[str]]:
    reach = {name: _reached(imports, name) for name in imports}
    circles: list[set[str]] = []
    for name in sorted(imports):
        circle = {other for other in reach[name] if name in reach.get(other, ())}
        if circle and not any(name in known for known in circles):
            circles.append(circle | {name})
    return circles


def _reached(imports: dict[str, set[str]], name: str) -> set[str]:
    seen, left = set[str](), [name]
    while left:
        for each in imports.get(left.pop(), ()):
            if each not in seen:
                seen.add(each)
                left.append(each)
    return seen


def _outside_owner(trees: Trees) -> list[str]:
    """Constants that write to a table, in another module than most constants that write to it."""
    writers: dict[str, Counter[str]] = defaultdict(Counter)
    constants: list[tuple[str, str, str]] = []
    for module, (_, tree) in trees.items():
        for name, text in _constants(tree):
            for table in set(WRITTEN.findall(text)):
                writers[table][module] += 1
                constants.append((table, module, name))
    owner = {
        table: min(modules, key=lambda each: (-modules[each], each))
        for table, modules in writers.items()
    }
    return sorted(
        f"{module}.{name} ({table})" for table, module, name in constants if module != owner[table]
    )


def _constants(tree: ast.Module) -> Iterator[tuple[str, str]]:
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            text = " ".join(each.value for each in ast.walk(node.value) if _is_text(each))  # type: ignore[attr-defined]
            if node.targets[0].id.isupper() and SQL.search(text):
                yield node.targets[0].id, " ".join(text.split())


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _entered() -> tuple[list[str], list[str]]:
    """The files that placing an order runs through, with repetitions; and those of the query for
    it."""
    import django

    django.setup()
    from django.core.management import call_command
    from django.test.utils import setup_test_environment

    from eventstore.testing import drain

    setup_test_environment()
    call_command("migrate", verbosity=0)
    client, body = _customer()
    path = "/api/commands/orders/"
    # The first request fills caches; it is not counted.
    client.post(path, body, content_type="application/json")
    responses: list[Any] = []
    post = _files(
        lambda: responses.append(client.post(path, body, content_type="application/json"))
    )
    found = responses[0]["Location"]
    drain()
    client.get(found)
    return post, _files(lambda: responses.append(client.get(found)))


def _customer() -> tuple[Any, dict[str, Any]]:
    from django.contrib.auth.models import User
    from django.test import Client
    from knox.models import AuthToken

    from eventstore.commands import bus
    from eventstore.money import Money
    from orders.commands import ListProduct

    bus.dispatch(ListProduct("CUP", "A cup", Money(450, "EUR")))
    _, token = AuthToken.objects.create(User.objects.create_user("ada"))
    address = {
        "name": "Ada",
        "street": "Square 1",
        "city": "London",
        "postcode": "SW1Y 4JH",
        "country": "GB",
    }
    body = {
        "items": [{"sku": "CUP", "quantity": 1}],
        "address": address,
        "payment_method": "tok_visa",
    }
    return Client(HTTP_AUTHORIZATION=f"Bearer {token}"), body


def _files(act: Any) -> list[str]:
    entered: list[str] = []

    def profile(frame: Any, event: str, _: Any) -> None:
        name = frame.f_code.co_filename
        if event == "call" and name.startswith(OURS) and (not entered or entered[-1] != name):
            entered.append(name)

    sys.setprofile(profile)
    try:
        act()
    finally:
        sys.setprofile(None)
    return entered


OURS = tuple(f"{ROOT / package}{os.sep}" for package in PACKAGES)

if __name__ == "__main__":
    main()
