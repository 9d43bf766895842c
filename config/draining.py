"""Whether this process is about to end: readiness says so first, so that a balancer goes
elsewhere."""

_draining = False


def begin() -> None:
    global _draining
    _draining = True


def begun() -> bool:
    return _draining
