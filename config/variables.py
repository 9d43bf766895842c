"""Variables of the environment, each of its kind: what is of another is noted, and all of it told
at once."""

import builtins
import math
import re
import sys
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

import environ

TRUE, FALSE = ("true", "on", "ok", "y", "yes", "1"), ("false", "off", "n", "no", "0", "")
# gunicorn knows by this code that to start the process again is of no use, and ends.
EXIT_CODE = 3

DURATION = (r"\d+(us|ms|s|min|h|d)?", "a time such as 10s, or 0 for none")
RATE = (r"(\d+/(s|m|h|d|sec|min|hour|day)\w*)?", "a rate such as 20/min, or nothing for no limit")


class Variables(environ.Env):
    """wrong: a sentence for each that is not of its kind. Of those, the default is taken until
    refuse() is called."""

    def __init__(self) -> None:
        super().__init__()
        self.wrong: list[str] = []

    def bool(self, var: str, default: bool = False) -> Any:
        return self._read(var, default, _switch, "neither on nor off, 1 nor 0")

    def int(self, var: str, default: int, *, least: int = 0, most: float = math.inf) -> Any:
        words = _between("whole number", least, most)
        return self._read(var, default, lambda text: _number(int(text), least, most), words)

    def float(self, var: str, default: float, *, least: float = 0, most: float = math.inf) -> Any:
        words = _between("number", least, most)
        return self._read(var, default, lambda text: _number(float(text), least, most), words)

    def choice(self, var: str, choices: Sequence[str], default: str) -> Any:
        return self._read(
            var, default, lambda text: choices[choices.index(text)], f"none of {', '.join(choices)}"
        )

    def choices(self, var: str, choices: Sequence[str], default: Sequence[str]) -> Any:
        def read(text: str) -> list[str]:
            return [choices[choices.index(part.strip())] for part in text.split(",") if part]

        return self._read(
            var, list(default), read, f"not of {', '.join(choices)}, with a comma between"
        )

    def form(self, var: str, form: tuple[str, str], default: str) -> Any:
        pattern, words = form
        return self._read(var, default, lambda text: _matching(pattern, text), f"not {words}")

    def address(self, var: str, schemes: Sequence[str], default: str) -> Any:
        """Of what may hold a password: it is not repeated."""
        return self._read(
            var, default, lambda text: _addressed(text, schemes), _no_address(schemes), shown=False
        )

    def database(self, var: str, default: str) -> Any:
        address = self.address(var, ("postgresql", "postgres", "pgsql"), default)
        return self.db_url_config(address)

    def refuse(self) -> None:
        """End by a sentence for each; without a word where there is none."""
        if self.wrong:
            sys.stderr.write("".join(f"{each}\n" for each in self.wrong))
            sys.exit(EXIT_CODE)

    def _read(
        self, var: str, default: Any, read: Any, words: str, *, shown: builtins.bool = True
    ) -> Any:
        text = self.str(var, default=None)
        if text is None:
            return default
        try:
            return read(text.strip())
        except (ValueError, OverflowError):
            self.wrong.append(f"{var} is {repr(text) + ', which is ' if shown else ''}{words}.")
            return default


def _switch(text: str) -> bool:
    return (*TRUE, *FALSE).index(text.lower()) < len(TRUE)


def _number(value: Any, least: float, most: float) -> Any:
    if not least <= value <= most or math.isinf(value):
        raise ValueError
    return value


def _between(kind: str, least: float, most: float) -> str:
    return f"no {kind} of {least} or more" + ("" if math.isinf(most) else f", and up to {most}")


def _matching(pattern: str, text: str) -> str:
    if not re.fullmatch(pattern, text):
        raise ValueError
    return text


def _addressed(text: str, schemes: Sequence[str]) -> str:
    parts = urlsplit(text)  # raises ValueError itself
    if parts.scheme not in schemes or (parts.port is not None and not 0 < parts.port < 65536):
        raise ValueError
    return text


def _no_address(schemes: Sequence[str]) -> str:
    return f"no address that begins with {' or '.join(f'{each}://' for each in schemes)}"
