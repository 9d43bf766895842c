"""Whether this process is about to end: readiness says so before it stops to accept, so that a balancer goes elsewhere."""

_draining = False


def begin() -> None:
    global _draining
    _draining = True


def begun() -> bool:
    return _draining
