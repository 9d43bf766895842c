"""One command beside services of its own, which are gone when it has ended."""

import signal
import subprocess
from pathlib import Path

from tools.devserver import folder, services
from tools.devserver.environment import with_settings
from tools.devserver.processes import ends_with_us
from tools.devserver.refusal import LauncherError


def execute(command: list[str], data: Path | None) -> int:
    with (
        folder.claimed(data) if data else folder.throwaway() as path,
        services.started(path) as found,
    ):
        return _exit_code(command, found.settings)


def _exit_code(command: list[str], settings: dict[str, str]) -> int:
    asked = []
    # It stays on our terminal and hears Ctrl-C itself; we see it out, from before it begins.
    signal.signal(signal.SIGINT, lambda *_: None)
    signal.signal(signal.SIGTERM, lambda number, _: asked.append(number))
    try:
        process = subprocess.Popen(
            command, env=with_settings(settings), preexec_fn=ends_with_us(signal.SIGTERM)
        )
    except OSError as error:
        raise LauncherError(f"cannot run {command[0]}: {error.strerror}") from None
    signal.signal(signal.SIGTERM, lambda *_: process.terminate())
    if asked:
        process.terminate()
    code = process.wait()
    return code if code >= 0 else 128 - code
