"""What gunicorn is told beyond its command line (--config python:config.web): nobody keeps a thread by silence."""

import socket
import struct
from typing import Any

from config import settings


def when_ready(server: Any) -> None:
    """Connections inherit it from whom they are accepted by. gunicorn itself waits without end for the rest of a
    request that was begun; sixteen clients who never finish would be all that two workers of eight threads serve."""
    for listener in server.LISTENERS:
        limit = struct.pack("ll", settings.WEB_SILENT_SECONDS, 0)
        listener.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)
        listener.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)
