"""Kafka's jars: the download is bounded in time, and a failure says why."""

import pytest

from tools.devserver import jars, kafka
from tools.devserver.errors import LauncherError


@pytest.fixture
def maven(tmp_path, monkeypatch):
    """maven(script) is what `mvn` does; nothing is downloaded yet."""

    def write(script):
        program = tmp_path / "mvn"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path), prepend=":")

    monkeypatch.setattr(jars, "folder", lambda name: tmp_path / "jars" / name)
    return write


def test_a_download_that_fails_says_why_and_leaves_nothing(maven, tmp_path):
    maven("echo '[ERROR] Unknown host repo.maven.apache.org'; exit 1")
    with pytest.raises(LauncherError, match="cannot download Kafka: .*Unknown host"):
        kafka.fetch()
    assert list((tmp_path / "jars").iterdir()) == []


def test_a_download_that_takes_too_long_ends(maven):
    maven("exec sleep 30")
    with pytest.raises(LauncherError, match="not downloaded Kafka within 0 s"):
        kafka.fetch(0.2)


def test_what_was_downloaded_is_not_downloaded_again(maven):
    maven("for each; do case $each in -DoutputDirectory=*) mkdir ${each#*=};; esac; done")
    assert kafka.fetch().is_dir()
    maven("exit 1")
    assert kafka.fetch().is_dir()


def test_without_java_it_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert kafka.missing() == "Java 17"
