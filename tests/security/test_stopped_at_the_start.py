"""A web server that is stopped while its workers are starting ends at once."""

import os
import signal
import subprocess
import time

import pytest

from tools.devserver import ports, programs

from .conftest import SETTINGS

# Far below the 30 seconds after which gunicorn kills a process that has not ended.
SOON = 15


@pytest.mark.parametrize("after", [0.6, 0.8, 1.0, 1.2, 1.4, 1.7, 2.0])
def test_it_ends_whenever_it_is_told(tmp_path, after):
    log = tmp_path / "log"
    with log.open("w") as log_file:
        server = subprocess.Popen(
            programs.web(ports.free(), {}).command, env=os.environ | SETTINGS, stderr=log_file
        )
    try:
        time.sleep(after)
        server.send_signal(signal.SIGTERM)
        server.wait(SOON)
    finally:
        server.kill()
        server.wait()
    assert "Traceback" not in log.read_text()
