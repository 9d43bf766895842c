"""Kafka and RabbitMQ on request: with `make run`, or alone with `make brokers`."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from tools.devserver import account, cdc, folder, kafka, processes, programs, rabbitmq, services
from tools.devserver.environment import AWS, KAFKA, RABBITMQ, given
from tools.devserver.errors import LauncherError
from tools.devserver.services import Services
from tools.devserver.supervisor import Stopped, Supervisor
from tools.devserver.terminal import say

DATA = programs.ROOT / ".brokers"
KINDS = {"kafka": kafka, "rabbitmq": rabbitmq}
SETTINGS = {"kafka": KAFKA, "rabbitmq": RABBITMQ}


def wanted() -> Sequence[str]:
    """What BROKERS names, such as kafka,rabbitmq."""
    names = [name.strip() for name in (given("BROKERS") or "").split(",") if name.strip()]
    if unknown := [name for name in names if name not in KINDS]:
        raise LauncherError(
            f"BROKERS names {', '.join(unknown)}; the brokers are {', '.join(KINDS)}"
        )
    return names


def start(path: Path, names: Sequence[str], found: Services) -> None:
    """In a claimed folder. A broker that the environment names, or that cannot run here, is left
    out. found: gains what was started."""
    owner = account.of_services()
    home = account.home(path, owner)
    for name in names:
        kind = KINDS[name]
        if given(SETTINGS[name]):
            continue
        if absent := kind.missing():
            say(f"{name} is not started: {absent} is missing; or set {SETTINGS[name]}")
            continue
        port = services.start(kind, path, home, owner, found.running)
        found.settings[SETTINGS[name]] = kind.url(home, port)


def serve(data: Path) -> None:
    """Both, until Ctrl-C."""
    with folder.claimed(data) as path:
        supervisor, found = Supervisor(folder.pids(path)), Services()
        supervisor.services = found.running
        try:
            start(path, list(KINDS), found)
            cdc.start(path, found, supervisor)
            if not found.settings:
                raise LauncherError("no broker was started, see above")
            for name, value in found.settings.items():
                say(f"export {name}='{value}'")
            cdc.post_or_say_how(found)
            say("the brokers answer; Ctrl-C stops them")
            supervisor.watch()
        except Stopped:
            say("stopping; Ctrl-C once more kills")
        finally:
            supervisor.stop()
            processes.stop(found.running, folder.pids(path))


def named(environment: Mapping[str, str]) -> bool:
    """Ours, or those of AWS, which are never started here."""
    return any(environment.get(setting) for setting in (*SETTINGS.values(), AWS))


def say_how_to_watch(environment: Mapping[str, str]) -> None:
    if (address := environment.get(KAFKA)) and not kafka.missing():
        say(f"to watch the orders in Kafka: {kafka.watch(address, 'events.orders')}")
    if address := environment.get(RABBITMQ):
        say(f"to watch the orders in RabbitMQ: {rabbitmq.watch(address, 'events.orders.#')}")
