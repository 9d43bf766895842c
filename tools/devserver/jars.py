"""Jars that Maven downloads once, into folders that all checkouts share."""

import os
import shutil
import subprocess
from pathlib import Path

from tools.devserver import account
from tools.devserver.errors import LauncherError

OLDEST_JAVA = 17
# For a download, which happens once.
FETCH_SECONDS = 600.0


def folder(name: str) -> Path:
    """Where the user of the services can read them."""
    shared = account.ELSEWHERE if os.geteuid() == 0 else Path.home() / ".cache" / "orders-local"
    return shared / name


def missing(*folders: Path) -> str:
    """What is missing to run these jars here; "" when nothing is."""
    if not shutil.which("java") or _java_version() < OLDEST_JAVA:
        return f"Java {OLDEST_JAVA}"
    if not all(each.exists() for each in folders) and not shutil.which("mvn"):
        return "Maven"
    return ""


def fetch(jars: Path, pom: Path, what: str, seconds: float) -> Path:
    """The folder of the jars. Maven downloads them if they are not there.

    Raises LauncherError, which names what, if it cannot, or not in time.
    """
    if jars.exists():
        return jars
    jars.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
    unfinished = jars.with_name(f"{jars.name}.unfinished.{os.getpid()}")
    command = ["mvn", "-q", "-B", "-f", str(pom), "dependency:copy-dependencies"]
    try:
        done = subprocess.run(
            [*command, "-DincludeScope=runtime", f"-DoutputDirectory={unfinished}"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=seconds,
        )
        if done.returncode:
            raise LauncherError(f"Maven cannot download {what}: {_first_line(done.stdout)}")
        if not jars.exists():
            unfinished.rename(jars)
    except subprocess.TimeoutExpired:
        raise LauncherError(f"Maven has not downloaded {what} within {seconds:.0f} s") from None
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return jars


def _first_line(output: str) -> str:
    return next((line for line in output.splitlines() if line.strip()), "no output")


def _java_version() -> int:
    said = subprocess.run(["java", "-version"], capture_output=True, text=True).stderr
    number = said.partition('"')[2].partition('"')[0].split(".")
    return int(number[0]) if number[0].isdigit() else 0
