"""A command whose reader has ended, as behind `| head -1`, or that a person interrupts."""

import signal
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import call_command, get_commands, load_command_class

from eventstore import codec
from eventstore.management import output
from eventstore.management.command import EscapingCommand

OURS = ("eventstore", "orders", "payments", "inventory", "shipping", "retail_import", "access")
ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("manage", ["manage.py", "examples/loyalty/manage.py"])
def test_a_command_without_a_reader_ends_without_a_traceback(manage):
    command = [sys.executable, ROOT / manage, "help"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait(60) == 141


def test_an_interrupted_command_says_so_without_a_traceback():
    program = (
        "import signal, time\n"
        # A shell that starts a process in the background has it ignore the signal.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from eventstore.management.output import ends_quietly\n"
        "with ends_quietly():\n"
        "    print('on', flush=True)\n"
        "    time.sleep(60)"
    )
    command = [sys.executable, "-c", program]
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "on\n"
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=60) == ("", "Interrupted.\n")
    assert process.returncode == 130


HOSTILE = "a\x1b[2Jb\x9bc\rd\u202ee\x07\x00"
HARMLESS = "a\\u001b[2Jb\\u009bc\\u000dd\\u202ee\\u0007\\u0000"


class Printing(EscapingCommand):
    requires_system_checks = ()

    def handle(self, *args, **options):
        self.stdout.write(HOSTILE)
        self.stderr.write(HOSTILE)


def test_what_a_command_prints_cannot_control_the_terminal():
    out, err = StringIO(), StringIO()
    call_command(Printing(stdout=out, stderr=err))
    assert (out.getvalue(), err.getvalue()) == (f"{HARMLESS}\n", f"{HARMLESS}\n")
    out, err = StringIO(), StringIO()
    call_command(Printing(), stdout=out, stderr=err)
    assert (out.getvalue(), err.getvalue()) == (f"{HARMLESS}\n", f"{HARMLESS}\n")


def test_escaped_json_means_the_same():
    text = codec.encode_json({"name": "a\x1b\x9b\u202e\u2028"}).decode()
    assert output.escape(text) != text
    assert codec.decode_json(output.escape(text)) == codec.decode_json(text)


def test_every_command_of_ours_escapes_what_it_prints():
    ours = [name for name, app in get_commands().items() if not app.startswith("django.")]
    own = [load_command_class(get_commands()[name], name) for name in ours]
    loaded = [each for each in own if each.__module__.split(".")[0] in OURS]
    assert len(loaded) > 25
    assert [each for each in loaded if not isinstance(each, EscapingCommand)] == []
