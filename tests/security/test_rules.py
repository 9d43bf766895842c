"""Rules that a general linter cannot know; each lists its exceptions with their reasons."""

import ast
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = (
    "config",
    "eventstore",
    "orders",
    "payments",
    "inventory",
    "shipping",
    "retail_import",
    "access",
    "examples",
    "tools/devserver",
)
FILES = sorted(
    file
    for package in PACKAGES
    for file in (ROOT / package).rglob("*.py")
    if "migrations" not in file.parts
)
# Modules that decide or fold; they take the time from the message.
PURE = (
    "aggregate.py",
    "saga.py",
    "policies.py",
    "quantities.py",
    "payment.py",
    "partial_refunds.py",
    "stock.py",
    "reservation.py",
    "restocking.py",
    "shipment.py",
)


class Rule(NamedTuple):
    """why: what goes wrong otherwise. broken: node, file -> whether it breaks the rule. allowed:
    exceptions, file -> reason."""

    why: str
    broken: Callable[[ast.AST, Path], bool]
    allowed: dict[str, str] = {}


def name_of(node: ast.AST) -> str:
    """a.b.c of an expression that consists of names."""
    if isinstance(node, ast.Attribute):
        return f"{name_of(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def calls(*names: str) -> Callable[[ast.AST, Path], bool]:
    """A call of a function by its whole name, or of a method by .name."""
    return lambda node, _: (
        isinstance(node, ast.Call)
        and any(
            called.endswith(name) if name.startswith(".") else called == name
            for name in names
            for called in [name_of(node.func)]
        )
    )


def mentions(*names: str) -> Callable[[ast.AST, Path], bool]:
    return lambda node, _: (
        (isinstance(node, ast.Name) and node.id in names)
        or (isinstance(node, ast.Attribute) and node.attr in names)
        or (
            isinstance(node, ast.ImportFrom)
            and (node.module in names or any(each.name in names for each in node.names))
        )
        or (isinstance(node, ast.Import) and any(each.name in names for each in node.names))
    )


def passes(name: str, value: object) -> Callable[[ast.AST, Path], bool]:
    return lambda node, _: (
        isinstance(node, ast.keyword)
        and node.arg == name
        and isinstance(node.value, ast.Constant)
        and node.value.value == value
    )


def asks_the_network_without_a_limit(node: ast.AST, _: Path) -> bool:
    return (
        isinstance(node, ast.Call)
        and name_of(node.func)
        in {f"httpx.{each}" for each in ("Client", "AsyncClient", "get", "post", "put", "request")}
        and not any(keyword.arg in ("timeout", None) for keyword in node.keywords)
    )


def filters_by_names_of_the_client(node: ast.AST, _: Path) -> bool:
    """filter(**request.…) and order_by(request.…): the client would name the columns."""
    if not (
        isinstance(node, ast.Call)
        and name_of(node.func).rpartition(".")[2] in ("filter", "exclude", "order_by")
    ):
        return False
    given = [*node.args, *(keyword.value for keyword in node.keywords if keyword.arg is None)]
    return any("request" in name_of(part) for each in given for part in ast.walk(each))


def puts_a_value_into_sql(node: ast.AST, _: Path) -> bool:
    """SQL may be built of constants and quoted names at import; values are parameters."""
    if not (
        isinstance(node, ast.Call) and name_of(node.func).rpartition(".")[2] in ("execute", "rows")
    ):
        return False
    return bool(node.args) and isinstance(node.args[0], ast.JoinedStr | ast.BinOp)


def looks_at_the_clock(node: ast.AST, file: Path) -> bool:
    return file.name in PURE and calls(
        "datetime.now", "time.time", "timezone.now", ".utcnow", ".today"
    )(node, file)


def leaves_the_fields_open(node: ast.AST, _: Path) -> bool:
    return (
        isinstance(node, ast.Assign)
        and any(name_of(target) in ("fields", "exclude") for target in node.targets)
        and (
            name_of(node.targets[0]) == "exclude"
            or (isinstance(node.value, ast.Constant) and node.value.value == "__all__")
        )
    )


RULES = {
    "raw SQL": Rule(
        "SQL is written in eventstore, with parameters", calls(".raw", ".extra", "RawSQL")
    ),
    "values in SQL": Rule("values go in as parameters", puts_a_value_into_sql),
    "unescaped HTML": Rule(
        "use format_html, which escapes",
        calls("mark_safe", "SafeString", "SafeText", ".mark_safe"),
        {"eventstore/console/formatting.py": "a dash for nothing"},
    ),
    "pickle": Rule(
        "who can write it can run code", mentions("pickle", "cPickle", "dill", "marshal", "shelve")
    ),
    "yaml": Rule("yaml.load builds objects", calls("yaml.load", "yaml.unsafe_load")),
    "no CSRF": Rule(
        "a page of another site could act for a user",
        mentions("csrf_exempt"),
        {"config/problems.py": "read_only lets nothing but GET and HEAD through"},
    ),
    "no login": Rule(
        "everybody could ask",
        mentions("AllowAny"),
        {
            "access/auth.py": "who logs in has no token yet",
            "eventstore/api/webhooks.py": "providers sign",
        },
    ),
    "open fields": Rule("a new column would be shown or written unasked", leaves_the_fields_open),
    "unverified TLS": Rule("anybody could answer", passes("verify", False)),
    "no timeout": Rule(
        "a silent provider would hold a thread for ever", asks_the_network_without_a_limit
    ),
    "columns by name": Rule(
        "a client would choose what is compared", filters_by_names_of_the_client
    ),
    "a clock in decisions": Rule(
        "the same history would decide otherwise tomorrow", looks_at_the_clock
    ),
    "eval": Rule("text would be run", calls("eval", "exec", "compile")),
    "a shell": Rule("an argument could be a command", passes("shell", True)),
    "environment": Rule(
        "settings are read in config/settings.py",
        mentions("environ", "getenv"),
        {
            "config/variables.py": "here they are read, each by its kind",
            "tools/devserver/environment.py": "what children get",
            "config/celery.py": "names the settings",
            "eventstore/operations/replay/versions.py": "finds the folder of the settings",
            "config/wsgi.py": "names the settings",
            "config/live.py": "names the settings",
            "examples/loyalty/settings.py": "another service reads its own",
            "examples/loyalty/manage.py": "names its settings",
            "examples/rooms/manage.py": "names its settings",
        },
    ),
}


def broken(rule: Rule) -> Iterator[str]:
    for file in FILES:
        name = str(file.relative_to(ROOT))
        if name not in rule.allowed:
            yield from (
                f"{name}:{getattr(node, 'lineno', '?')}"
                for node in ast.walk(ast.parse(file.read_text()))
                if rule.broken(node, file)
            )


@pytest.mark.parametrize("name", RULES)
def test_nobody_breaks_the_rule(name):
    assert list(broken(RULES[name])) == [], RULES[name].why


WRONG = {
    "raw SQL": "Order.objects.raw('SELECT 1')",
    "values in SQL": "rows(f'SELECT {key}')",
    "unescaped HTML": "mark_safe(name)",
    "pickle": "import pickle",
    "yaml": "yaml.load(text)",
    "no CSRF": "@csrf_exempt\ndef view(): ...",
    "no login": "permission_classes = [AllowAny]",
    "open fields": "fields = '__all__'",
    "unverified TLS": "httpx.get(url, verify=False, timeout=1)",
    "no timeout": "httpx.post(url)",
    "columns by name": "rows.filter(**request.query_params)",
    "a clock in decisions": "placed_at = datetime.now(UTC)",
    "eval": "eval(text)",
    "a shell": "subprocess.run(line, shell=True)",
    "environment": "os.environ['SECRET_KEY']",
}


@pytest.mark.parametrize("name", RULES)
def test_each_rule_sees_what_it_is_about(name):
    assert any(
        RULES[name].broken(node, Path("aggregate.py")) for node in ast.walk(ast.parse(WRONG[name]))
    )


@pytest.mark.parametrize("name", RULES)
def test_no_exception_outlives_its_reason(name):
    alone = RULES[name]._replace(allowed={})
    assert {found.partition(":")[0] for found in broken(alone)} == set(RULES[name].allowed)
