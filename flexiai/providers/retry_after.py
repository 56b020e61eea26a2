"""How long a provider asks to be left alone, read from the headers of its answer. Pure.

Rules
-----
* `retry-after-ms` (milliseconds; the vendors' own SDKs honour it) wins over `Retry-After`.
* `Retry-After` is a number of seconds or an HTTP date (RFC 9110, section 10.2.3).
* A date counts from the answer's own `Date`, never from this machine's clock: the two sides' clocks may differ. Without
  a `Date` a date says nothing.
* A date in the past is 0. An absurd number stays finite, and uncapped: the breaker has the cap. Anything else is
  ignored: NaN, infinity and negative numbers are not in the format.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime

_NUMBER = re.compile(r"\d+(?:\.\d+)?", re.ASCII)
_LONGEST_S = 1e9


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Seconds the answer with these (case-insensitive) headers asks for, or None if it does not."""
    given_ms = _number(headers.get("retry-after-ms"))
    if given_ms is not None:
        return given_ms / 1e3
    given = headers.get("retry-after")
    seconds = _number(given)
    return seconds if seconds is not None else _until(_date(given), _date(headers.get("date")))


def _number(text: str | None) -> float | None:
    if text is None or _NUMBER.fullmatch(text.strip()) is None:
        return None
    return min(float(text), _LONGEST_S)


def _date(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        return parsedate_to_datetime(text)
    except ValueError:
        return None


def _until(then: datetime | None, now: datetime | None) -> float | None:
    if then is None or now is None or (then.tzinfo is None) is not (now.tzinfo is None):
        return None
    return min(max(0.0, (then - now).total_seconds()), _LONGEST_S)
