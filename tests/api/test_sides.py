"""The command side and the query side can be deployed separately."""

import subprocess
import sys

import pytest

ALONE = """
import django
django.setup()
from django.urls import Resolver404, resolve
def answers(path):
    try:
        return bool(resolve(path))
    except Resolver404:
        return False
import sys
print(answers("/api/commands/orders/"), answers("/api/queries/orders/"), answers("/health/live"),
      "orders.api.commands" in sys.modules, "orders.api.queries" in sys.modules)
"""


@pytest.mark.parametrize(
    ("side", "output"),
    [("commands", "True False True True False"), ("queries", "False True True False True")],
)
def test_a_side_alone(side, output):
    environment = {
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "SECRET_KEY": "x",
        "API_SIDES": side,
    }
    done = subprocess.run(
        [sys.executable, "-c", ALONE], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == output
