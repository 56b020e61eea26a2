"""Certificates for tests, made by the openssl command: a CA, and what it has signed."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

OPENSSL = shutil.which("openssl")


@dataclass(frozen=True, slots=True)
class Signed:
    """A certificate and its key."""

    cert: Path
    key: Path


class Authority:
    """A CA of our own, in a folder."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self._folder = folder
        self.cert = folder / "ca.crt"
        subject = ("-subj", "/CN=ca", "-addext", "keyUsage=critical,keyCertSign")
        _openssl("req", "-x509", "-days", "1", *_new_key(folder / "ca.key"), *subject, "-out", self.cert)

    def sign(self, name: str, alt_names: str, *, password: str | None = None) -> Signed:
        """A certificate for the subjectAltName; `password` encrypts its key."""
        signed = Signed(self._folder / f"{name}.crt", self._folder / f"{name}.key")
        request, extra = self._folder / f"{name}.csr", self._folder / f"{name}.ext"
        extra.write_text(f"subjectAltName={alt_names}\n")
        _openssl("req", *_new_key(signed.key), "-subj", f"/CN={name}", "-out", request)
        issuer = ("-CA", self.cert, "-CAkey", self._folder / "ca.key", "-CAcreateserial", "-days", "1")
        _openssl("x509", "-req", "-in", request, *issuer, "-extfile", extra, "-out", signed.cert)
        if password is not None:
            _openssl("ec", "-in", signed.key, "-aes256", "-passout", f"pass:{password}", "-out", signed.key)
        return signed


def _new_key(path: Path) -> tuple[str | Path, ...]:
    return ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", path)


def _openssl(*words: str | Path) -> None:
    subprocess.run([str(OPENSSL), *map(str, words)], check=True, capture_output=True)
