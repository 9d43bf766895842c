"""What is written into the log of requests that are a client's fault."""

import logging


class ClientsFault(logging.Filter):
    """Django logs a suspicious request as an error of ours, with a traceback; it is one line, at
    WARNING.

    Anybody can send one, as often as they like: a wrong Host, too many fields, an address out of a
    folder.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        if record.name.startswith("django.security.") and record.levelno >= logging.ERROR:
            record.levelno, record.levelname = logging.WARNING, "WARNING"
            record.exc_info, record.exc_text = None, None
        return True
