"""The second service, examples/loyalty, started by PARTNER=1: it has a database of its own on the
shop's server, and shares a broker with the shop."""

from collections.abc import Mapping
from urllib.parse import urlsplit

import psycopg

from tools.devserver import brokers, postgres, programs
from tools.devserver.environment import DATABASE, PARTNER, PARTNER_DATABASE, given
from tools.devserver.errors import LauncherError
from tools.devserver.supervisor import Supervisor
from tools.devserver.terminal import say

NAME = "loyalty"
POINTS = ".venv/bin/python examples/loyalty/manage.py points"


def is_wanted(environment: Mapping[str, str]) -> bool:
    """Raises LauncherError when it is wanted without a broker."""
    if (given(PARTNER) or "0") == "0":
        return False
    if not brokers.named(environment) and not brokers.wanted():
        raise LauncherError(f"{PARTNER}=1 needs a broker: add BROKERS=kafka or BROKERS=rabbitmq")
    return brokers.named(environment)


def settings(environment: Mapping[str, str]) -> dict[str, str]:
    """Its database; nothing when it does not run."""
    if not is_wanted(environment):
        return {}
    url = given(PARTNER_DATABASE) or urlsplit(environment[DATABASE])._replace(path=NAME).geturl()
    return {PARTNER_DATABASE: url}


def prepare(supervisor: Supervisor, environment: Mapping[str, str]) -> None:
    """Before anything publishes: its database, and what it needs in the broker."""
    if not is_wanted(environment):
        return
    if not given(PARTNER_DATABASE):
        with psycopg.connect(environment[DATABASE], autocommit=True) as connection:
            postgres.create_database(connection, NAME)
    for arguments in (("migrate", "-v0"), ("brokers", "--create")):
        if supervisor.run(programs.partner("partner", *arguments, environment=environment)):
            raise LauncherError(f"the partner's manage.py {arguments[0]} failed, see above")


def start(supervisor: Supervisor, environment: Mapping[str, str]) -> None:
    if is_wanted(environment):
        worker = ("work", "--poll=0.2")
        supervisor.keep(programs.partner("partner", *worker, environment=environment))
        supervisor.keep(programs.partner("partner-reader", "consume", environment=environment))


def say_how_to_watch(environment: Mapping[str, str]) -> None:
    if is_wanted(environment):
        say(f"to see the loyalty points, in that other terminal: {POINTS}")
