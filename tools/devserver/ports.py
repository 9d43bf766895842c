"""Free ports on the loopback interface."""

import socket

HOST = "127.0.0.1"


def free() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def preferred_or_free(preferred: int) -> int:
    return preferred if _is_free(preferred) else free()


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As servers do: connections of the last run may still be in TIME_WAIT.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True
