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
from importlib.metadata import distribution, packages_distributions

import pytest
from django.db import connection
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tools.reference.source import ENGINE, ROOT, modules, packages

# What each extra brings, and the only modules that may need it.
EXTRAS = {
    "celery": ({"celery"}, ("eventstore.tasks",)),
    "api": (
        {"rest_framework", "drf_spectacular"},
        ("eventstore.api", "eventstore.management.bulk"),
    ),
    "kafka": (
        {"confluent_kafka"},
        (
            "eventstore.messaging.kafka",
            "eventstore.messaging.consumers.kafka",
            "eventstore.messaging.reconcile.kafka",
        ),
    ),
    "rabbitmq": (
        {"amqp"},
        (
            "eventstore.messaging.rabbitmq",
            "eventstore.messaging.consumers.rabbitmq",
            "eventstore.messaging.reconcile.rabbitmq",
        ),
    ),
    "aws": ({"boto3", "botocore"}, ("eventstore.messaging.aws",)),
    "webhooks": ({"httpcore", "certifi"}, ("eventstore.webhooks.transport",)),
    "live": ({"websockets"}, ("eventstore.live",)),
    "schemas": (
        {"avro"},
        (
            "eventstore.schemas",
            "eventstore.management.commands.schemas",
            "eventstore.messaging.avro",
        ),
    ),
    "registry": ({"fastavro"}, ("eventstore.schemas.registry",)),
}
# Of other extras' packages, but only with a registry.
OF_REGISTRY = (
    "eventstore.api.schema_registry",
    "eventstore.messaging.avro",
    "eventstore.schemas.registry",
)
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
only = tuple(sys.argv[1:])
for each in walked:
    if only and not each.name.startswith(only):
        continue
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
def project(installed, tmp_path):
    """project(program, more=, absent=): what the program prints in a project of three files, where
    these packages are not installed."""

    def run(program, *, more, absent=()):
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
        return _run([sys.executable, "-c", program], cwd=tmp_path, env=environment)

    return run


@pytest.fixture
def alone(built, tmp_path):
    """alone(*extras): a folder with what `pip install eventstore[extras]` installs, and nothing
    else. The packages come from this environment: the test needs no index."""

    def install(*extras):
        folder = tmp_path / "-".join(["alone", *extras])
        folder.mkdir()
        with zipfile.ZipFile(built[1]) as wheel:
            wheel.extractall(folder)
            (name,) = (each for each in wheel.namelist() if each.endswith("/METADATA"))
            metadata = Parser().parsestr(wheel.read(name).decode())
        required = [Requirement(each) for each in metadata.get_all("Requires-Dist")]
        for name in _with_theirs(required, extras):
            for file in distribution(name).files:
                top = file.parts[0]
                if top not in ("..", "__pycache__") and not (folder / top).exists():
                    (folder / top).symlink_to(distribution(name).locate_file(top))
        return folder

    return install


@pytest.fixture
def imported(project):
    """imported(absent, more=): what comes of importing everything."""

    def run(absent, *, more):
        return json.loads(project(IMPORT_ALL, more=more, absent=absent).splitlines()[-1])

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
    lacking = {lacks.partition(".")[0] for lacks in found.values()}
    # A module that needs two packages of an extra names the first.
    assert [extra for extra, (brought, _) in EXTRAS.items() if lacking.isdisjoint(brought)] == []


@pytest.mark.parametrize("extra", EXTRAS)
def test_each_extra_alone_brings_what_its_modules_need(alone, tmp_path, extra):
    folder = alone(extra)
    (tmp_path / "settings.py").write_text(SETTINGS + ("" if extra == "celery" else WITHOUT_CELERY))
    (tmp_path / "wiring.py").write_text(WIRING)
    # -S: without the packages of this environment.
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.pathsep.join([str(tmp_path), str(folder)]),
        "DJANGO_SETTINGS_MODULE": "settings",
    }
    printed = _run(
        [sys.executable, "-S", "-c", IMPORT_ALL, *EXTRAS[extra][1]], cwd=tmp_path, env=environment
    )
    found = json.loads(printed.splitlines()[-1])
    assert found["file"].startswith(str(folder))
    assert {
        name: lacks
        for name, lacks in found["failed"].items()
        if extra == "registry" or not name.startswith(OF_REGISTRY)
    } == {}


@pytest.mark.django_db(transaction=True)
def test_an_example_with_web_admin_celery_and_sockets_needs_the_extras_alone(alone, tmp_path):
    folder = alone("api", "celery", "live")
    project = tmp_path / "project"
    shutil.copytree(
        ROOT / "examples/rooms",
        project / "examples/rooms",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    (project / "in_memory.py").write_text(
        "from examples.rooms.settings import *\n"
        'CELERY_BROKER_URL = "memory://"\n'
        "CELERY_BROKER_TRANSPORT_OPTIONS = {}\n"
    )
    parameters = connection.settings_dict
    server = {f"PG{name}": str(parameters[name]) for name in ("HOST", "PORT", "USER", "PASSWORD")}
    environment = {name: value for name, value in server.items() if value} | {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(folder),
    }
    manage = [sys.executable, "-S", "examples/rooms/manage.py"]
    _run([*manage, "check"], cwd=project, env=environment)
    _run([*manage, "makemigrations", "--check", "--dry-run"], cwd=project, env=environment)
    _run([*manage, "test", "--noinput", "--settings=in_memory"], cwd=project, env=environment)


def test_a_project_has_the_commands_of_the_apps_that_it_installs(project):
    named = "import django; django.setup(); from django.core.management import get_commands"
    named += "; print(*get_commands())"
    with_messaging = "INSTALLED_APPS += ['eventstore.messaging']\n"
    without = set(project(named, more=WITHOUT_CELERY).split())
    assert {"work", "subscriptions", "dead_letters"} <= without
    assert set(project(named, more=WITHOUT_CELERY + with_messaging).split()) - without == {
        "broker_handover",
        "brokers",
        "cdc",
        "consume",
        "consumers",
        "reconcile_broker",
        "relay",
    }


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


def _with_theirs(required, extras):
    """The names of these distributions and of all that they need."""
    found, waiting = set(), [(each, extras) for each in required]
    while waiting:
        requirement, wanted = waiting.pop()
        if requirement.marker and not any(
            requirement.marker.evaluate({"extra": extra}) for extra in ("", *wanted)
        ):
            continue
        name = canonicalize_name(requirement.name)
        if (name, *sorted(requirement.extras)) in found:
            continue
        found.add((name, *sorted(requirement.extras)))
        theirs = map(Requirement, distribution(name).requires or ())
        waiting += [(each, tuple(requirement.extras)) for each in theirs]
    return {name for name, *_ in found}


def _run(command, *, cwd, env=None):
    run = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr
    return run.stdout
