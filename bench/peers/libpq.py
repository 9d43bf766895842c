"""Convert DATABASE_URL to the settings of the library `eventsourcing`."""

import os
from urllib.parse import unquote, urlsplit


def told() -> dict[str, str]:
    url = urlsplit(os.environ["DATABASE_URL"])
    return {
        "PERSISTENCE_MODULE": "eventsourcing.postgres",
        "POSTGRES_DBNAME": url.path.removeprefix("/"),
        "POSTGRES_HOST": url.hostname or "127.0.0.1",
        "POSTGRES_PORT": str(url.port or 5432),
        "POSTGRES_USER": url.username or "postgres",
        "POSTGRES_PASSWORD": unquote(url.password or "x"),
        "POSTGRES_POOL_SIZE": "10",
    }
