"""Log levels of requests that are the client's fault."""

import logging


class ClientsFault(logging.Filter):
    """Turns Django's log records about suspicious requests into one line at WARNING. Django logs
    them as ERROR, with a traceback.

    Any client can cause them, as often as it likes: by a wrong Host header, too many fields, or a
    path outside of a folder.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        if record.name.startswith("django.security.") and record.levelno >= logging.ERROR:
            record.levelno, record.levelname = logging.WARNING, "WARNING"
            record.exc_info, record.exc_text = None, None
        return True
