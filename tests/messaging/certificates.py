"""Certificates for servers of tests, made by openssl when a test needs them."""

import shutil
import subprocess
from typing import NamedTuple

CURVE = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")


class Certificate(NamedTuple):
    certificate: object
    key: object


def missing():
    return "" if shutil.which("openssl") else "openssl"


def authority(folder, name):
    return _made(folder, name)


def server(folder, name, issuer, host, kind="IP"):
    """For the server at this address, or of kind DNS for this name."""
    signed = ("-CA", issuer.certificate, "-CAkey", issuer.key)
    return _made(folder, name, *signed, "-addext", f"subjectAltName={kind}:{host}")


def _made(folder, name, *options):
    found = Certificate(folder / f"{name}.crt", folder / f"{name}.key")
    files = ("-out", found.certificate, "-keyout", found.key)
    command = ["openssl", "req", "-x509", *CURVE, "-subj", f"/CN={name}", *files, *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return found
