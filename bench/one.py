"""python -m bench.one MODULE NUMBER…: run one contender on DATABASE_URL and REDIS_URL."""

import sys
from importlib import import_module

if __name__ == "__main__":
    # Imported by its own name, so that its Celery worker registers the same task names.
    import_module(sys.argv[1]).main(*map(int, sys.argv[2:]))
