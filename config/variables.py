"""Environment variables, each with a type. Invalid values are collected and reported together."""

import builtins
import math
import re
import sys
from collections.abc import Sequence
from ipaddress import ip_network
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import environ

TRUE, FALSE = ("true", "on", "ok", "y", "yes", "1"), ("false", "off", "n", "no", "0", "")
# gunicorn does not restart a process that exits with this code.
EXIT_CODE = 3

DURATION = (r"\d+(us|ms|s|min|h|d)?", "a duration such as 10s, or 0 for no limit")
RATE = (r"(\d+/(s|m|h|d|sec|min|hour|day)\w*)?", "a rate such as 20/min, or empty for no limit")


class Variables(environ.Env):
    """errors: a message for each invalid variable. Such a variable has its default until
    exit_if_invalid() is called."""

    def __init__(self) -> None:
        super().__init__()
        self.errors: list[str] = []

    def bool(self, var: str, default: bool = False) -> Any:
        return self._read(
            var,
            default,
            lambda text: (*TRUE, *FALSE).index(text.lower()) < len(TRUE),
            "on or off, 1 or 0",
        )

    def int(self, var: str, default: int, *, least: int = 0, most: float = math.inf) -> Any:
        expected = _between("whole number", least, most)
        return self._read(var, default, lambda text: _number(int(text), least, most), expected)

    def float(self, var: str, default: float, *, least: float = 0, most: float = math.inf) -> Any:
        expected = _between("number", least, most)
        return self._read(var, default, lambda text: _number(float(text), least, most), expected)

    def choice(self, var: str, choices: Sequence[str], default: str) -> Any:
        return self._read(
            var, default, lambda text: choices[choices.index(text)], f"one of {', '.join(choices)}"
        )

    def choices(self, var: str, choices: Sequence[str], default: Sequence[str]) -> Any:
        def read(text: str) -> list[str]:
            return [choices[choices.index(part.strip())] for part in text.split(",") if part]

        expected = f"one or more of {', '.join(choices)}, separated by commas"
        return self._read(var, list(default), read, expected)

    def origins(self, var: str, default: Sequence[str]) -> Any:
        def read(text: str) -> list[str]:
            return [_origin(part.strip()) for part in text.split(",") if part.strip()]

        expected = "origins such as https://pages.example, separated by commas"
        return self._read(var, list(default), read, expected)

    def ports(self, var: str, default: Sequence[builtins.int]) -> Any:
        def read(text: str) -> list[builtins.int]:
            parts = [] if text == "*" else text.split(",")
            return [int(_number(int(part), 1, 65535)) for part in parts]

        expected = "port numbers, separated by commas, or * for any port"
        return self._read(var, list(default), read, expected)

    def networks(self, var: str, default: Sequence[str]) -> Any:
        def read(text: str) -> list[str]:
            return [str(ip_network(part.strip())) for part in text.split(",") if part.strip()]

        expected = "networks such as 127.0.0.0/8, separated by commas"
        return self._read(var, list(default), read, expected)

    def file(self, var: str, default: str) -> Any:
        """The path of a file that exists, or empty."""
        return self._read(var, default, _existing, "the path of an existing file")

    def form(self, var: str, form: tuple[str, str], default: str) -> Any:
        pattern, expected = form
        return self._read(var, default, lambda text: _matching(pattern, text), expected)

    def address(self, var: str, schemes: Sequence[str], default: str) -> Any:
        """A URL. It may contain a password, so errors do not repeat it."""
        expected = f"a URL that begins with {' or '.join(f'{each}://' for each in schemes)}"
        return self._read(var, default, lambda text: _url(text, schemes), expected, is_secret=True)

    def database(self, var: str, default: str) -> Any:
        address = self.address(var, ("postgresql", "postgres", "pgsql"), default)
        return self.db_url_config(address)

    def exit_if_invalid(self) -> None:
        """Exit with all error messages, if any."""
        if self.errors:
            sys.stderr.write("".join(f"{each}\n" for each in self.errors))
            sys.exit(EXIT_CODE)

    def _read(
        self, var: str, default: Any, read: Any, expected: str, *, is_secret: builtins.bool = False
    ) -> Any:
        text = self.str(var, default=None)
        if text is None:
            return default
        try:
            return read(text.strip())
        except (ValueError, OverflowError):
            got = "" if is_secret else f", got {text!r}"
            self.errors.append(f"{var}: expected {expected}{got}.")
            return default


def _number(value: Any, least: float, most: float) -> Any:
    if not least <= value <= most or math.isinf(value):
        raise ValueError
    return value


def _between(kind: str, least: float, most: float) -> str:
    return f"a {kind} of at least {least}" + ("" if math.isinf(most) else f" and at most {most}")


def _existing(path: str) -> str:
    if path and not Path(path).is_file():
        raise ValueError
    return path


def _matching(pattern: str, text: str) -> str:
    if not re.fullmatch(pattern, text):
        raise ValueError
    return text


def _origin(text: str) -> str:
    """A scheme, a host and perhaps a port (RFC 6454), and nothing behind them."""
    parts = urlsplit(_url(text, ("http", "https")))
    if not parts.hostname or text != f"{parts.scheme}://{parts.netloc}" or "@" in parts.netloc:
        raise ValueError
    return text


def _url(text: str, schemes: Sequence[str]) -> str:
    parts = urlsplit(text)  # raises ValueError, too
    if parts.scheme not in schemes or (parts.port is not None and not 0 < parts.port < 65536):
        raise ValueError
    return text
