"""python -m bench.one MODULE NUMBER…: one contender alone, on DATABASE_URL and REDIS_URL as they
are."""

import sys
from importlib import import_module

if __name__ == "__main__":
    # Imported by its own name, so that a worker beside it speaks of the same tasks.
    import_module(sys.argv[1]).main(*map(int, sys.argv[2:]))
