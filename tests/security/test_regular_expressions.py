"""Each regular expression in the code takes linear time, also on hostile strings.

The expressions are collected from the code. Patterns that are built at run time are listed here.
"""

import ast
import importlib
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from re import _constants as sre
from re import _parser as parser
from time import thread_time
from typing import NamedTuple

import pytest
from django.urls import get_resolver

from config.variables import DURATION, RATE
from eventstore.api.serializers import KEY, LINES, ONE_LINE

from .test_rules import FILES, ROOT, name_of

METHODS = ("match", "fullmatch", "search", "sub", "subn", "split", "findall", "finditer")
# Classes that take a pattern, and the method they use it with.
VALIDATORS = {
    "RegexValidator": "search",
    "Characters": "search",
    "RegexField": "search",
    "re_path": "search",
}

# Patterns that are built at run time: file and source -> a pattern of that form.
MADE = {
    'eventstore/api/requests.py: rf"[0-9]{{1,{digits}}}"': "[0-9]{1,18}",
    'eventstore/privacy/personal_data.py: rf"(?<!\\w){re.escape(form)}(?!\\w)"': (
        r"(?<!\w)aaaaaaaa(?!\w)"
    ),
    'config/api/sockets.py: re.sub(r"{(\\w+)}", rf"(?P<\\1>{KEY})", self.path)': (
        rf"/ws/orders/(?P<order_id>{KEY})/"
    ),
    'eventstore/api/serializers.py: rf"^{KEY}\\Z"': rf"^{KEY}\Z",
    "eventstore/api/serializers.py: pattern": ONE_LINE.text.regex.pattern,
    'eventstore/api/serializers.py: rf"^[^{invisible}]*\\Z"': LINES.text_or_blank.regex.pattern,
    "config/variables.py: pattern": f"{DURATION[0]}|{RATE[0]}",
}

LONGEST = 1 << 14
# In units of one simple pass over a string. Quadratic expressions need thousands.
PASSES = 400


class Expression(NamedTuple):
    where: str
    pattern: str | bytes
    methods: frozenset[str]


def expressions() -> Iterator[Expression]:
    """All regular expressions in the code."""
    for file in FILES:
        tree = ast.parse(file.read_text())
        used = methods_by_name(tree)
        for node in ast.walk(tree):
            for pattern, methods, name in patterns_of(node):
                found = found_in(file, pattern)
                methods = used.get(name, set(METHODS)) if methods is None else methods
                yield Expression(
                    f"{file.relative_to(ROOT)}:{pattern.lineno}", found, frozenset(methods)
                )


def patterns_of(node: ast.AST) -> Iterator[tuple[ast.expr, set[str] | None, str]]:
    """pattern, methods that use it (None: those that are called on the name), name that it is
    assigned to."""
    if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, ast.Call):
        if name_of(node.value.func) == "re.compile":
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            yield node.value.args[0], None, name_of(target)
    elif isinstance(node, ast.Assign) and any(name_of(each) == "regex" for each in node.targets):
        yield node.value, {"fullmatch"}, ""
    elif (
        isinstance(node, ast.Return)
        and isinstance(node.value, ast.Call)
        and name_of(node.value.func) == "re.compile"
    ):
        yield node.value.args[0], {"fullmatch"}, ""
    elif isinstance(node, ast.Call):
        called = name_of(node.func)
        if called.startswith("re.") and called[3:] in METHODS:
            yield node.args[0], {called[3:]}, ""
        elif called.rpartition(".")[2] in VALIDATORS and node.args:
            yield node.args[0], {VALIDATORS[called.rpartition(".")[2]]}, ""


def methods_by_name(tree: ast.AST) -> dict[str, set[str]]:
    """name -> methods that are called on it. If only another module uses the name, all methods are
    tried."""
    used = defaultdict(set)
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Attribute)
            and node.attr in METHODS
            and isinstance(node.value, ast.Name)
        ):
            used[node.value.id].add(node.attr)
    return used


def found_in(file, pattern: ast.expr) -> str | bytes:
    """The pattern as the module evaluates it."""
    source = ast.get_source_segment(file.read_text(), pattern)
    made = MADE.get(f"{file.relative_to(ROOT)}: {source}")
    if made is not None:
        return made
    module = importlib.import_module(".".join(file.relative_to(ROOT).with_suffix("").parts))
    try:
        return eval(compile(ast.Expression(pattern), str(file), "eval"), vars(module))
    except Exception as error:
        raise AssertionError(
            f"{file.relative_to(ROOT)}:{pattern.lineno}: a pattern that is made while the program"
            f" runs; list it in MADE as\n    {f'{file.relative_to(ROOT)}: {source}'!r}: a pattern"
            " of that form"
        ) from error


def addresses(resolver=None) -> Iterator[Expression]:
    for each in (resolver or get_resolver()).url_patterns:
        yield Expression(
            f"address {each.pattern}", each.pattern.regex.pattern, frozenset({"search"})
        )
        if hasattr(each, "url_patterns"):
            yield from addresses(each)


def hostile(pattern: str | bytes, length: int) -> Iterator[str]:
    """Strings that make it backtrack: they enter each of its repetitions, and fail at the end."""
    text = pattern.decode("latin-1") if isinstance(pattern, bytes) else pattern
    beginnings, pieces = (
        {""},
        {"a", " ", '"', "\\", "0", "\\\\", '\\"', "a,", "a=", "a.", "-", ".", ",", "@a", "(a"},
    )
    for before, inner in repetitions(parser.parse(text), ""):
        beginnings.add(before)
        pieces.add(inner)
    pieces.discard("")
    for before in beginnings:
        for piece in pieces:
            many = piece * (length // len(piece))
            yield from (before + many + end for end in ("", "\x00", '"', "!"))
            half = piece * (length // len(piece) // 2)
            yield from (
                before + half + other * (length // len(other) // 2) + "\x00" for other in pieces
            )


def repetitions(tree, before: str) -> Iterator[tuple[str, str]]:
    """The shortest prefix of each repetition, and what it repeats."""
    for operator, value in tree:
        if operator in (sre.MAX_REPEAT, sre.MIN_REPEAT, sre.POSSESSIVE_REPEAT):
            yield before, least([*value[2]])
            yield from repetitions(value[2], before)
        elif operator is sre.SUBPATTERN:
            yield from repetitions(value[3], before)
        elif operator is sre.BRANCH:
            for branch in value[1]:
                yield from repetitions(branch, before)
        before += least([(operator, value)])


def least(tree) -> str:
    """The shortest string that matches, approximately."""
    text = ""
    for operator, value in tree:
        match operator:
            case sre.LITERAL:
                text += chr(value)
            case sre.NOT_LITERAL | sre.ANY:
                text += "a" if value != ord("a") else "b"
            case sre.IN:
                text += one_of(value)
            case sre.SUBPATTERN:
                text += least(value[3])
            case sre.BRANCH:
                text += least(value[1][0])
            case sre.MAX_REPEAT | sre.MIN_REPEAT | sre.POSSESSIVE_REPEAT:
                text += least(value[2]) * value[0]
    return text


def one_of(members) -> str:
    for each in "a0A .-_,\"\\=;:/@'":
        if fits(members, each):
            return each
    operator, value = members[0]
    return chr(value[0]) if operator is sre.RANGE else chr(value)


def fits(members, character: str) -> bool:
    negated, found = False, False
    for operator, value in members:
        match operator:
            case sre.NEGATE:
                negated = True
            case sre.LITERAL:
                found |= ord(character) == value
            case sre.RANGE:
                found |= value[0] <= ord(character) <= value[1]
            case sre.CATEGORY:
                known = {
                    sre.CATEGORY_WORD: r"\w",
                    sre.CATEGORY_DIGIT: r"\d",
                    sre.CATEGORY_SPACE: r"\s",
                }
                known |= {
                    sre.CATEGORY_NOT_WORD: r"\W",
                    sre.CATEGORY_NOT_DIGIT: r"\D",
                    sre.CATEGORY_NOT_SPACE: r"\S",
                }
                found |= re.match(known[value], character) is not None
    return found != negated


def seconds(expression: Expression, method: str, text: str) -> float:
    compiled = re.compile(expression.pattern)
    given = text.encode("latin-1", "replace") if isinstance(expression.pattern, bytes) else text
    used = []
    for _ in range(2):
        begun = thread_time()
        match method:
            case "sub" | "subn":
                compiled.sub(given[:0], given)
            case "findall" | "finditer":
                compiled.findall(given)
            case _:
                getattr(compiled, method)(given)
        used.append(thread_time() - begun)
    return min(used)


ONE_PASS = Expression("", r"[^\x00]*\x00?\x01", frozenset())


def passes(expression: Expression, method: str) -> Iterator[tuple[float, str]]:
    """How many simple passes over a string it takes. The strings grow, so that exponential time
    shows early."""
    length = 16
    while length <= LONGEST:
        unit = max(seconds(ONE_PASS, "match", "a" * length), 2e-6)
        for text in set(hostile(expression.pattern, length)):
            yield seconds(expression, method, text) / unit, text
        length *= 4


def worst(expression: Expression) -> tuple[float, str]:
    found = (0.0, "")
    for method in expression.methods:
        for each in passes(expression, method):
            found = max(found, each)
            if found[0] > PASSES:
                return found
    return found


ALL = {(each.pattern, each.methods): each for each in (*expressions(),)}


def named(each: Iterable[Expression]) -> list[str]:
    return [expression.where for expression in each]


@pytest.mark.parametrize("expression", ALL.values(), ids=named(ALL.values()))
def test_its_work_grows_with_the_input_and_no_faster(expression):
    taken, text = worst(expression)
    assert taken < PASSES, (
        f"{expression} takes {taken:.0f} passes over {len(text)} characters: {text[:40]!r}…"
    )


def test_so_does_that_of_each_address():
    for expression in {each.pattern: each for each in addresses()}.values():
        taken, text = worst(expression)
        assert taken < PASSES, (
            f"{expression} takes {taken:.0f} passes over {len(text)} characters: {text[:40]!r}…"
        )


TRAPS = {
    "the preferences of old": (
        r"\s*([a-z-]+)\s*(?:=\s*(\"(?:[^\"\\]|\\.)*\"|[^\s\",;]*))?\s*"
        r"(?:;(?:[^\",]|\"(?:[^\"\\]|\\.)*\")*)?(?:,|$)"
    ),
    "nested": r"(a+)+b",
    "two that overlap": r"\s*\s*x",
    "search of a run": r"\w+@",
}


@pytest.mark.parametrize("pattern", TRAPS.values(), ids=TRAPS)
def test_a_trap_is_seen(pattern):
    taken, _ = worst(Expression("", pattern, frozenset({"search"})))
    assert taken > PASSES
