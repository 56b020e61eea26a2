"""What an attempt meant: one classification, used everywhere.

A provider reports *what happened* (`Trouble`, with the HTTP status where there was one); `classify` says what it
*means* (`Outcome`). The table below is the whole rule.
"""

from __future__ import annotations

from enum import StrEnum


class Outcome(StrEnum):
    """What an attempt says about its provider, and what follows from it."""

    SUCCESS = "success"
    FAILURE = "failure"  # the provider's fault: counted, failed over
    RATE_LIMITED = "rate_limited"  # asked to be left alone: opens for Retry-After, failed over
    MISCONFIGURED = "misconfigured"  # no later request can succeed either: opens at once, failed over
    NEUTRAL = "neutral"  # nobody's failure, or the caller's: returned to the caller, never counted

    @property
    def fails_over(self) -> bool:
        """Whether the next provider is tried."""
        return self in (Outcome.FAILURE, Outcome.RATE_LIMITED, Outcome.MISCONFIGURED)


class Trouble(StrEnum):
    """What went wrong in an attempt, as the provider's adapter saw it."""

    CONNECT = "connect"  # no connection: refused, unreachable, name not found, TLS
    TIMEOUT = "timeout"  # no answer within the attempt's time
    DISCONNECT = "disconnect"  # the connection broke before the answer was complete
    STATUS = "status"  # an HTTP error status
    MALFORMED = "malformed"  # an answer that is not what the wire format promises
    ERROR_BODY = "error_body"  # an error inside a 200, or in a stream that had begun
    RATE_LIMIT = "rate_limit"  # asked to be left alone, not by a status
    INVALID_REQUEST = "invalid_request"  # the caller's own doing, not said by a status (or by a misleading one)
    UNSUPPORTED = "unsupported"  # the provider's format has no word for what the caller asks: it was not asked
    MISCONFIGURED = "misconfigured"  # the deployment's own: its account is on hold, its configured model does not exist
    CONTENT_FILTER = "content_filter"  # the provider refused this content
    NO_CREDIT = "no_credit"  # the account is empty (vendors send it as 400, 402, 403 or 429)
    CANCELLED = "cancelled"  # the caller went away
    DEADLINE = "deadline"  # the request's time was over before this attempt had had its own: it says nothing
    OTHER = "other"  # a custom provider raised something of its own


_BY_TROUBLE = {
    Trouble.CONNECT: Outcome.FAILURE,
    Trouble.TIMEOUT: Outcome.FAILURE,
    Trouble.DISCONNECT: Outcome.FAILURE,
    Trouble.MALFORMED: Outcome.FAILURE,
    Trouble.ERROR_BODY: Outcome.FAILURE,
    Trouble.OTHER: Outcome.FAILURE,
    Trouble.RATE_LIMIT: Outcome.RATE_LIMITED,
    Trouble.INVALID_REQUEST: Outcome.NEUTRAL,
    Trouble.UNSUPPORTED: Outcome.NEUTRAL,
    Trouble.CONTENT_FILTER: Outcome.NEUTRAL,
    Trouble.CANCELLED: Outcome.NEUTRAL,
    Trouble.DEADLINE: Outcome.NEUTRAL,
    Trouble.NO_CREDIT: Outcome.MISCONFIGURED,
    Trouble.MISCONFIGURED: Outcome.MISCONFIGURED,
}

_BY_STATUS = {
    401: Outcome.MISCONFIGURED,
    402: Outcome.MISCONFIGURED,
    403: Outcome.MISCONFIGURED,
    408: Outcome.FAILURE,
    409: Outcome.FAILURE,  # a chat request has nothing to be in conflict with: the provider's own locks
    429: Outcome.RATE_LIMITED,
}


def classify(trouble: Trouble | None, status: int | None = None) -> Outcome:
    """The meaning of an attempt that ended in `trouble` (None: it succeeded) with HTTP `status`, if any.

    Statuses not in the table follow their class: 4xx is the caller's own doing (neutral), all else a failure.
    """
    if trouble is None:
        return Outcome.SUCCESS
    if trouble is not Trouble.STATUS:
        return _BY_TROUBLE[trouble]
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    return Outcome.NEUTRAL if status is not None and 400 <= status < 500 else Outcome.FAILURE
