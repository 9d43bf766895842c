"""Log levels of requests that need no operator."""

import logging


class ClientsFault(logging.Filter):
    """Turns Django's log records about suspicious requests, and about responses 503, into one line
    at WARNING. Django logs them as ERROR, the former with a traceback.

    Any client can cause them, as often as it likes: by a wrong Host header, too many fields, a path
    outside of a folder, or more requests than may wait at once. If a 503 has a fault for its cause,
    its view logs that.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        is_suspicious = record.name.startswith("django.security.")
        is_busy = record.name == "django.request" and getattr(record, "status_code", 0) == 503
        if (is_suspicious or is_busy) and record.levelno >= logging.ERROR:
            record.levelno, record.levelname = logging.WARNING, "WARNING"
            record.exc_info, record.exc_text = None, None
        return True
