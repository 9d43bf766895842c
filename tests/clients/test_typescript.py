"""A client generated for TypeScript: it compiles, and buys, cancels and returns."""

import subprocess

import pytest

from eventstore.testing import drain

pytestmark = pytest.mark.usefixtures("shop")

GENERATOR = "node_modules/openapi-typescript/bin/cli.js"
COMPILER = "node_modules/typescript/bin/tsc"
OPTIONS = ("--strict", "--target", "es2022", "--module", "nodenext", "--skipLibCheck")


def test_it_compiles_and_buys_cancels_and_returns(node, document, ada, live_server, tmp_path):
    node(GENERATOR, str(document), "-o", "schema.ts")
    node(COMPILER, *OPTIONS, "journey.ts")
    token = ada.headers["Authorization"].removeprefix("Bearer ")
    with subprocess.Popen(
        ["node", "journey.js", live_server.url, token],
        cwd=tmp_path,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as journey:
        assert journey.stdin is not None
        assert journey.stdout is not None
        assert journey.stderr is not None
        for line in journey.stdout:
            assert line == "deliver\n"
            drain()
            journey.stdin.write("delivered\n")
            journey.stdin.flush()
        assert journey.wait(30) == 0, journey.stderr.read()


def test_a_member_that_is_not_described_does_not_compile(node, document, tmp_path):
    node(GENERATOR, str(document), "-o", "schema.ts")
    journey = tmp_path / "journey.ts"
    journey.write_text(journey.read_text().replace("quantity: 2", "amount: 2"))
    with pytest.raises(AssertionError, match="'amount' does not exist"):
        node(COMPILER, *OPTIONS, "journey.ts")
