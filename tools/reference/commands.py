"""Every command of manage.py with its arguments, and the targets of make."""

import argparse
import re
from collections.abc import Iterator

from django.core.management import get_commands, load_command_class
from django.core.management.base import DjangoHelpFormatter

from .source import ROOT, code, heading, packages, table

INTRODUCTION = (
    "The options of every Django command (`--verbosity`, `--settings`, `--traceback`, …) are left"
    " out. A command that cannot use the database ends with a message and exit code 1."
)
MAKE = "`make` alone lists them, too."
TARGET = re.compile(r"^(?P<name>[a-z-]+):.*?## (?P<about>.*)$", re.MULTILINE)


def page() -> str:
    targets = TARGET.finditer((ROOT / "Makefile").read_text())
    rows = ((code(f"make {each['name']}"), each["about"]) for each in targets)
    return "\n".join(
        [
            heading("Commands", INTRODUCTION),
            *(_command(app, name) for name, app in sorted(_ours())),
            f"## make\n\n{MAKE}\n",
            table(("target", "what it does"), rows),
        ]
    )


def _ours() -> Iterator[tuple[str, str]]:
    for name, app in get_commands().items():
        if isinstance(app, str) and app.partition(".")[0] in packages():
            yield name, app


def _command(app: str, name: str) -> str:
    command = load_command_class(app, name)
    parser = command.create_parser("manage.py", name)
    parts = [f"## {code(f'manage.py {name}')}", command.help, *_arguments(parser)]
    for actions in _subcommands(parser):
        for action, inner in actions.choices.items():
            about = next(
                (each.help for each in actions._choices_actions if each.dest == action), None
            )
            parts += [f"### {code(f'manage.py {name} {action}')}", about or "", *_arguments(inner)]
    return "\n\n".join(part.strip() for part in parts if part) + "\n"


def _arguments(parser: argparse.ArgumentParser) -> Iterator[str]:
    rows = [_row(parser, each) for each in _own(parser)]
    if rows:
        yield table(("argument", "default", "meaning"), rows)


def _own(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """Without those that every Django command has."""
    hidden = {*DjangoHelpFormatter.show_last, "--help"}
    for action in parser._actions:
        if hidden.isdisjoint(action.option_strings) and not isinstance(
            action, argparse._SubParsersAction
        ):
            yield action


def _subcommands(
    parser: argparse.ArgumentParser,
) -> Iterator["argparse._SubParsersAction[argparse.ArgumentParser]"]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            yield action


def _row(parser: argparse.ArgumentParser, action: argparse.Action) -> tuple[str, str, str]:
    about = parser._get_formatter()._expand_help(action) if action.help else ""
    choices = f"one of {', '.join(map(str, action.choices))}" if action.choices else ""
    default = "required" if action.required and action.option_strings else _default(action)
    return code(_usage(action)), default, "; ".join(filter(None, [about, choices]))


def _usage(action: argparse.Action) -> str:
    value = action.metavar or action.dest.upper()
    if action.nargs == 0:
        return ", ".join(action.option_strings)
    if action.option_strings:
        return f"{', '.join(action.option_strings)} {value}"
    return {"?": f"[{value}]", "*": f"[{value} …]", "+": f"{value} …"}.get(
        str(action.nargs), str(value)
    )


def _default(action: argparse.Action) -> str:
    is_said = action.default not in (None, False, "", argparse.SUPPRESS, [])
    return code(str(action.default)) if is_said else ""
