"""Root runs the services as an unprivileged user, wherever the checkout is; an ordinary user
needs no other."""

import os
import shutil
from pathlib import Path

import psycopg
import pytest

from tools.devserver import account, folder, services
from tools.devserver.environment import DATABASE

from .conftest import ROOT

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root has anybody to lend")
# Within the program: the user may be unable to reach the interpreter.
BECOME = "import encodings.idna; os.setgroups([]); os.setgid({user.gid}); os.setuid({user.uid})"


@as_root
def test_data_under_a_closed_folder_is_kept_where_the_services_can_go(tmp_path):
    tmp_path.chmod(0o700)
    data = tmp_path / "data"
    try:
        with (
            folder.claimed(data),
            services.started(data) as found,
            psycopg.connect(found.settings[DATABASE]),
        ):
            assert not (data / "postgres").exists()
    finally:
        account.remove(data)
    assert not account._elsewhere(data).exists()


@as_root
def test_programs_under_a_closed_folder_are_copied(tmp_path, monkeypatch):
    tmp_path.chmod(0o700)
    monkeypatch.setattr(account, "ELSEWHERE", Path("/var/tmp/orders-local-test"))
    binary = tmp_path / "installation/bin/echo"
    binary.parent.mkdir(parents=True)
    shutil.copy(shutil.which("echo"), binary)
    nobody = account.of_services()
    try:
        copied = account.executable(binary, tmp_path, ("installation", "absent"), nobody)
        assert not nobody.can_run(binary)
        assert nobody.can_run(copied)
        assert account.executable(binary, tmp_path, ("installation", "absent"), nobody) == copied
    finally:
        shutil.rmtree(account.ELSEWHERE)


def test_an_ordinary_user_needs_no_other(passable, local, monkeypatch):
    user = account.of_services()
    if not user.reaches(ROOT):
        pytest.skip(f"{ROOT} lies where no other user can go")
    home = passable / "home"
    user.make_folder(home)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("TMPDIR", str(home))
    command = local(
        "exec", "--", "id", "-u", after=BECOME.format(user=user) if os.geteuid() == 0 else "pass"
    )
    assert command.communicate(timeout=30)[0] == f"{user.uid}\n"
    assert command.returncode == 0
    assert os.listdir(home / f"orders-{user.uid}") == ["door"]
