"""A certificate for one server process, made for the run by openssl and good for nothing else."""

from __future__ import annotations

import os
import shutil
import ssl
import subprocess
from functools import lru_cache
from pathlib import Path

from sgibench.errors import ServerError
from sgibench.model import Need
from sgibench.serve.needs import PROGRAMS

OPENSSL = Need(name="openssl", how="apt-get install openssl")
MAKE = (
    *("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"),
    *("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"),
)
"""ECDSA over P-256, which every TLS library here takes; the key as PKCS#8, without a password."""
TIMEOUT_S = 30.0


@lru_cache(maxsize=2)
def trusting(alpn: str) -> ssl.SSLContext:
    """Make a client's side of TLS that judges no certificate, and offers one protocol."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname = False
    made.verify_mode = ssl.CERT_NONE
    made.set_alpn_protocols([alpn])
    return made


def make(certificate: Path, key: Path) -> None:
    """Write both as PEM; raises ServerError `not-started`."""
    program = shutil.which("openssl", path=os.pathsep.join((os.environ.get("PATH", os.defpath), *PROGRAMS)))
    if program is None:
        raise ServerError("not-started", f"TLS needs a certificate, and openssl is not here: {OPENSSL.how}")
    try:
        done = subprocess.run(
            [program, *MAKE, "-keyout", str(key), "-out", str(certificate)],
            capture_output=True,
            text=True,
            check=False,
            timeout=TIMEOUT_S,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ServerError("not-started", f"no certificate could be made: {error}") from None
    if done.returncode:
        raise ServerError("not-started", f"openssl made no certificate: {' '.join(done.stderr.split())[-300:]}")
