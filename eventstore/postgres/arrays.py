"""Write lists of texts as PostgreSQL reads them (PostgreSQL manual, 8.15.6).

psycopg looks at each element with a regular expression and joins bytes. An append passes the JSON
of all its messages as one array: written as one text, that takes a thirtieth of the time.
"""

from typing import Any

from psycopg.abc import Buffer
from psycopg.types.array import ListDumper


class TextsDumper(ListDumper):
    """As psycopg's own, with a shorter way for lists of nothing but texts."""

    def dump(self, obj: list[Any]) -> Buffer | None:
        if set(map(type, obj)) == {str}:
            text = '","'.join(obj)
            if "\\" in text or text.count('"') != 2 * (len(obj) - 1):
                text = '","'.join(map(_escaped, obj))
            if "\0" not in text:  # psycopg has an error for it
                return f'{{"{text}"}}'.encode(self._tx.encoding)
        return super().dump(obj)


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
