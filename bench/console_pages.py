"""Ours: the time to the first byte of each page of the console, over HTTP from gunicorn.

usage: python -m bench.one bench.console_pages TIMES (DATABASE_URL: a database that bench.console
has filled)
"""

import http.client
import json
import time

import django

from tools.devserver import ports, programs

from . import children
from .load import wait_for


def main(times: int) -> None:
    django.setup()
    cookie, pages = _log_in(), _pages()
    port = ports.free()
    with children.member(*programs.web(port, {}).command):
        wait_for(port)
        # The first request of each thread opens its connection and compiles templates.
        for _ in range(20):
            _first_byte_ms(port, "/admin/", cookie)
        found = {
            name: [_first_byte_ms(port, address, cookie) for _ in range(times)]
            for name, address in pages.items()
        }
    print(json.dumps(found))


def _log_in() -> dict[str, str]:
    from django.contrib.auth.models import User
    from django.test import Client

    client = Client()
    client.force_login(User.objects.create_superuser("bench"))
    return {"Cookie": f"session={client.cookies['session'].value}"}


def _pages() -> dict[str, str]:
    from tests.admin.everything import everywhere

    return everywhere()


def _first_byte_ms(port: int, address: str, headers: dict[str, str]) -> float:
    connection = http.client.HTTPConnection(ports.HOST, port, timeout=60)
    start = time.perf_counter()
    connection.request("GET", address, headers=headers)
    answer = connection.getresponse()
    took = (time.perf_counter() - start) * 1e3
    answer.read()
    connection.close()
    if answer.status not in (200, 302, 403):
        raise SystemExit(f"bench: {address} answered {answer.status}")
    return took
