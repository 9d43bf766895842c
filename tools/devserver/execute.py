"""Run one command with services of its own, which stop when it ends."""

import signal
import subprocess
from pathlib import Path

from tools.devserver import folder, services
from tools.devserver.environment import with_settings
from tools.devserver.errors import LauncherError
from tools.devserver.processes import ends_with_us


def execute(command: list[str], data: Path | None) -> int:
    with (
        folder.claimed(data) if data else folder.throwaway() as path,
        services.started(path) as found,
    ):
        return _run(command, found.settings)


def _run(command: list[str], settings: dict[str, str]) -> int:
    requests = []
    # The command shares our terminal and gets Ctrl-C itself; we wait until it ends.
    signal.signal(signal.SIGINT, lambda *_: None)
    signal.signal(signal.SIGTERM, lambda number, _: requests.append(number))
    try:
        process = subprocess.Popen(
            command, env=with_settings(settings), preexec_fn=ends_with_us(signal.SIGTERM)
        )
    except OSError as error:
        raise LauncherError(f"cannot run {command[0]}: {error.strerror}") from None
    signal.signal(signal.SIGTERM, lambda *_: process.terminate())
    if requests:
        process.terminate()
    code = process.wait()
    return code if code >= 0 else 128 - code
