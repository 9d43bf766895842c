"""Whether this process is about to end. Readiness reports it first, so that a load balancer sends
requests elsewhere."""

_draining = False


def begin() -> None:
    global _draining
    _draining = True


def begun() -> bool:
    return _draining
