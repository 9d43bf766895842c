"""`eventstore` as others install it: all of its files, its dependencies and extras by name, and
nothing of this repository beside it."""

import ast
import json
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from email.parser import Parser
from importlib.metadata import packages_distributions

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tools.reference.source import ENGINE, ROOT, modules, packages

# What each extra brings, and the only modules that may need it.
EXTRAS = {
    "celery": ({"celery"}, ("eventstore.tasks",)),
    "api": ({"rest_framework", "drf_spectacular"}, ("eventstore.api",)),
    "kafka": (
        {"confluent_kafka"},
        ("eventstore.messaging.kafka", "eventstore.messaging.consumers.kafka"),
    ),
    "rabbitmq": (
        {"amqp"},
        ("eventstore.messaging.rabbitmq", "eventstore.messaging.consumers.rabbitmq"),
    ),
    "live": ({"websockets"}, ("eventstore.live",)),
    "schemas": ({"avro"}, ("eventstore.schemas", "eventstore.management.commands.schemas")),
}
SETTINGS = """
SECRET_KEY = "only-for-this-test"
INSTALLED_APPS = ["eventstore"]
USE_TZ = True
DATABASES = {"default": {"ENGINE": "django.db.backends.postgresql", "NAME": "nowhere"}}
EVENTSTORE_WIRING = "wiring"
"""
WITHOUT_CELERY = "EVENTSTORE_WAKE_WORKERS = False\n"
WITH_CONSOLE = """
INSTALLED_APPS += ["eventstore.console"] + [
    f"django.contrib.{app}"
    for app in ("admin", "auth", "contenttypes", "sessions", "messages")
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
CONTEXT = [
    "django.template.context_processors.request",
    "django.contrib.auth.context_processors.auth",
    "django.contrib.messages.context_processors.messages",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {"context_processors": CONTEXT},
    }
]
ROOT_URLCONF = "urls"
"""
WIRING = "EVENTS = COMMANDS = AGGREGATES = []\nSUBSCRIPTIONS = {}\n"
URLS = """
from django.contrib import admin
from django.urls import path

urlpatterns = [path("admin/", admin.site.urls)]
"""
# Prints what could not be imported: module -> the package that it lacks.
IMPORT_ALL = """
import importlib, json, pkgutil, sys
import django
django.setup()
from django.apps import apps
from django.core.management import call_command
import eventstore
call_command("check", stdout=sys.stderr)
failed = {}
walked = pkgutil.walk_packages(eventstore.__path__, "eventstore.", onerror=lambda name: None)
for each in walked:
    if "console" in each.name and not apps.is_installed("eventstore.console"):
        continue  # for projects that have the admin
    try:
        importlib.import_module(each.name)
    except ImportError as error:
        failed[each.name] = error.name
print(json.dumps({"file": eventstore.__file__, "failed": failed}))
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The source distribution, and the wheel that is made of it alone."""
    source, out = tmp_path_factory.mktemp("repository"), tmp_path_factory.mktemp("dist")
    shutil.copy(ROOT / "pyproject.toml", source)
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / ENGINE, source / ENGINE, ignore=ignored)
    build = f"from flit_core.buildapi import build_sdist; print(build_sdist({str(out)!r}))"
    sdist = _run([sys.executable, "-c", build], cwd=source).splitlines()[-1]
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "--quiet"]
    _run([*pip, "--no-deps", "--no-build-isolation", "--wheel-dir", out, out / sdist], cwd=out)
    (wheel,) = out.glob("*.whl")
    return out / sdist, wheel


@pytest.fixture(scope="module")
def installed(built, tmp_path_factory):
    target = tmp_path_factory.mktemp("installed")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    _run([*pip, "--no-deps", f"--target={target}", built[1]], cwd=target)
    return target


@pytest.fixture
def imported(installed, tmp_path):
    """imported(absent, more): what comes of importing everything, in a project of three files where
    these packages are not installed."""

    def run(absent, *, more):
        (tmp_path / "settings.py").write_text(SETTINGS + more)
        (tmp_path / "wiring.py").write_text(WIRING)
        (tmp_path / "urls.py").write_text(URLS)
        # Python finds neither what the reader has not installed, nor this repository.
        (tmp_path / "sitecustomize.py").write_text(
            f"import sys\nsys.modules.update(dict.fromkeys({sorted(absent)!r}))\n"
        )
        environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.pathsep.join([str(tmp_path), str(installed)]),
            "DJANGO_SETTINGS_MODULE": "settings",
        }
        program = [sys.executable, "-c", IMPORT_ALL]
        return json.loads(_run(program, cwd=tmp_path, env=environment).splitlines()[-1])

    return run


def test_both_have_every_file_of_the_package(built):
    ours = {
        str(path.relative_to(ROOT))
        for path in (ROOT / ENGINE).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    sdist, wheel = built
    with tarfile.open(sdist) as archive:
        assert ours - {name.partition("/")[2] for name in archive.getnames()} == set()
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert packed == ours
    for kind in (".html", ".sql", ".css", ".js", "py.typed"):
        assert any(name.endswith(kind) for name in packed)


def test_every_package_that_it_imports_is_a_dependency_or_an_extra(built):
    with zipfile.ZipFile(built[1]) as archive:
        (name,) = (each for each in archive.namelist() if each.endswith("/METADATA"))
        metadata = Parser().parsestr(archive.read(name).decode())
    required = [Requirement(each) for each in metadata.get_all("Requires-Dist")]
    named = {canonicalize_name(each.name) for each in required}
    distributions = packages_distributions()
    missing = {
        package: distributions.get(package)
        for package in _imported()
        if named.isdisjoint(map(canonicalize_name, distributions.get(package, ())))
    }
    assert missing == {}
    assert set(metadata.get_all("Provides-Extra")) == set(EXTRAS)


def test_with_all_extras_everything_can_be_imported(imported, installed):
    found = imported(set(packages()) - {ENGINE}, more=WITH_CONSOLE)
    assert found["file"].startswith(str(installed))
    assert found["failed"] == {}


def test_without_an_extra_only_its_modules_cannot(imported):
    absent = {package for brought, _ in EXTRAS.values() for package in brought}
    absent |= set(packages()) - {ENGINE}
    found = imported(absent, more=WITHOUT_CELERY)["failed"]
    needs = {package: rooms for brought, rooms in EXTRAS.values() for package in brought}
    astray = {
        name: lacks
        for name, lacks in found.items()
        if not name.startswith(needs[lacks.partition(".")[0]])
    }
    assert astray == {}
    assert {lacks.partition(".")[0] for lacks in found.values()} == set(needs)


def _imported():
    """The packages outside of the standard library that the engine imports anywhere."""
    for module in modules(ENGINE):
        for node in ast.walk(module.tree):
            names = []
            if isinstance(node, ast.Import):
                names = [each.name for each in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module]
            for name in names:
                top = name.partition(".")[0]
                if top != ENGINE and top not in sys.stdlib_module_names:
                    yield top


def _run(command, *, cwd, env=None):
    run = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr
    return run.stdout
