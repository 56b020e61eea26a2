"""The Lua that runs inside the store: one file a script, read once, with the hash by which Redis caches it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib.resources import files


@dataclass(frozen=True, slots=True)
class Script:
    """A script's text and its SHA-1 (Redis' name for it in its script cache)."""

    text: str
    sha: str


def _script(*names: str) -> Script:
    here = files("flexiai.sync")
    text = "\n".join(here.joinpath(f"{name}.lua").read_text(encoding="utf-8") for name in names)
    return Script(text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())


TRANSITION = _script("record", "evidence", "transition")
REPORT = _script("record", "evidence", "report")
RESTORE = _script("record", "restore")
READ = _script("read")
ACQUIRE = _script("lease", "acquire")
RENEW = _script("lease", "renew")
RELEASE = _script("lease", "release")
