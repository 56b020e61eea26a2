"""`python -m reference [DIRECTORY]`: build the site, by default into `site/`. Exit code 1 if it is not whole."""

from __future__ import annotations

import sys
from pathlib import Path

from reference.build import BrokenSite, build


def main(arguments: list[str]) -> int:
    """Build it; the exit code."""
    out = Path(arguments[0] if arguments else "site")
    try:
        build(out)
    except BrokenSite as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{out}/index.html")
    return 0


sys.exit(main(sys.argv[1:]))
