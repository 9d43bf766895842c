"""How commands print text, and how one ends that cannot go on."""

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager

# What a shell reports of a process that SIGPIPE has ended.
BROKEN_PIPE = 128 + 13
# And of one that SIGINT has ended.
INTERRUPTED = 128 + 2

# Control characters but tab and line feed, marks of direction, line separators, halves of
# surrogate pairs.
CONTROLS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)


def escape(text: str) -> str:
    """The text without control characters, each as \\u and four digits, which JSON reads back."""
    return CONTROLS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def in_a_line(value: object) -> str:
    """A value that cannot begin a line of its own."""
    return escape(str(value)).replace("\n", "\\n")


@contextmanager
def ends_quietly() -> Iterator[None]:
    """End the process without a traceback when the reader of standard output, such as head, has
    ended, or a person interrupts it."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        # The interpreter flushes once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(BROKEN_PIPE)
    except KeyboardInterrupt:
        sys.stderr.write("Interrupted.\n")
        sys.exit(INTERRUPTED)
