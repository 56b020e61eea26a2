"""Which cause is which trouble, for every provider that is reached by HTTP: the whole rule, as data.

A cause is an exception on the way, an HTTP status, a code in the vendor's error body, or the beginning of its message.
Messages count only from their beginning: a vendor may quote the caller's words further on, and no caller may bench a
provider by choosing them.
"""

from __future__ import annotations

import msgspec
from aiohttp import ClientConnectorError, ClientError, ClientPayloadError, ClientResponseError, ConnectionTimeoutError
from aiohttp import ServerFingerprintMismatch as WrongCertificate

from flexiai.core.outcome import Trouble
from flexiai.providers.event_stream import EventTooLarge


class TooLarge(Exception):
    """An answer beyond the bound that a chat completion can need."""


BY_EXCEPTION: tuple[tuple[type[Exception], Trouble], ...] = (  # the first that fits counts
    (ClientConnectorError, Trouble.CONNECT),  # refused, unreachable, name not found, TLS
    (WrongCertificate, Trouble.CONNECT),
    (ConnectionTimeoutError, Trouble.CONNECT),  # no connection within connect_timeout_s
    (TimeoutError, Trouble.TIMEOUT),
    (ClientResponseError, Trouble.MALFORMED),  # not HTTP
    (TooLarge, Trouble.MALFORMED),
    (EventTooLarge, Trouble.MALFORMED),
    (ClientPayloadError, Trouble.DISCONNECT),  # the body broke off
    (ClientError, Trouble.DISCONNECT),  # the connection broke before the answer began
    (OSError, Trouble.DISCONNECT),
)

BY_CODE: dict[str, Trouble] = {
    # OpenAI: 429 or 400 once the money is gone
    "insufficient_quota": Trouble.NO_CREDIT,
    "billing_hard_limit_reached": Trouble.NO_CREDIT,
    "billing_not_active": Trouble.NO_CREDIT,
    # Anthropic: 400, 402, 403 or 429
    "billing_error": Trouble.NO_CREDIT,
    "contract_spend_limit_reached": Trouble.NO_CREDIT,
    "enforced_spend_limit_reached": Trouble.NO_CREDIT,
    "linked_organization_spend_limit_reached": Trouble.NO_CREDIT,
    "linked_organization_billing_unavailable": Trouble.NO_CREDIT,
    # OpenAI and Azure: 400
    "content_filter": Trouble.CONTENT_FILTER,
    "content_policy_violation": Trouble.CONTENT_FILTER,
}

BY_BEGINNING: tuple[tuple[str, Trouble], ...] = (  # Anthropic sends these as a plain invalid_request_error, 400
    ("Your credit balance is too low", Trouble.NO_CREDIT),
    ("You have reached your specified API usage limits", Trouble.NO_CREDIT),
    ("Output blocked by content filtering policy", Trouble.CONTENT_FILTER),
)

BY_STATUS: dict[int, Trouble] = {402: Trouble.NO_CREDIT}


class ErrorDetails(msgspec.Struct, frozen=True):
    """Anthropic's machine-readable cause."""

    error_code: str | None = None


class VendorError(msgspec.Struct, frozen=True):
    """What a vendor says of an error: OpenAI's `error` object and Anthropic's."""

    message: str | None = None
    type: str | None = None
    code: str | int | None = None
    details: ErrorDetails | None = None

    @property
    def codes(self) -> tuple[str, ...]:
        """Its codes, the most telling first."""
        exact = self.details.error_code if self.details is not None else None
        return tuple(str(c) for c in (exact, self.code, self.type) if c is not None)


def of_exception(error: Exception) -> Trouble:
    """What went wrong when asking ended in `error`."""
    return next((trouble for kind, trouble in BY_EXCEPTION if isinstance(error, kind)), Trouble.OTHER)


def of_answer(status: int, error: VendorError, default: Trouble = Trouble.STATUS) -> Trouble:
    """What went wrong when a provider answered `error` with an HTTP `status`; `default` where the tables are silent."""
    for code in error.codes:
        if code in BY_CODE:
            return BY_CODE[code]
    for beginning, trouble in BY_BEGINNING:
        if error.message is not None and error.message.startswith(beginning):
            return trouble
    return BY_STATUS.get(status, default)
