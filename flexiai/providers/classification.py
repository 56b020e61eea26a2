"""Which cause is which trouble, for every vendor that is reached by HTTP: the whole rule, as data.

docs/classification.md is made of these tables (`python -m flexiai.providers.classification_page`).

Rules
-----
* What the vendor's error body says by a code counts before the status: vendors send an empty account as 400, 402, 403
  or 429. A message counts where there is no code for its cause, and only by its beginning: a vendor may quote the
  caller's words further on, and no caller may bench a provider by choosing them.
* No such model, or nothing at this address: if the model was the provider's configured one, that is the deployment's
  mistake, which no later request can survive. If the caller named the model, it is the caller's own, whatever the
  status: no caller may bench a provider by asking for a model that it does not have.
* Inside a 200 there is no status: the code stands for it. An error whose code says nothing is the provider's failure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec
from aiohttp import ClientConnectorError, ClientError, ClientPayloadError, ClientResponseError, ConnectionTimeoutError
from aiohttp import ServerFingerprintMismatch as WrongCertificate

from flexiai.core.outcome import Trouble
from flexiai.providers.event_stream import EventTooLarge


class TooLarge(Exception):
    """An answer beyond the bound that a chat completion can need."""


@dataclass(frozen=True, slots=True)
class Vendor:
    """What a vendor means by what it answers.

    statuses    the HTTP statuses it documents, each with its meaning; core/outcome.py says what follows
    by_status   those that say more than their number
    by_code     error codes and types that decide whatever the status is
    inside      those that stand for a status where there is none: in a 200, or in an event of a stream
    no_model    those that say that there is no such model
    by_message  how messages begin that tell what no code does
    """

    name: str
    statuses: Mapping[int, str]
    by_status: Mapping[int, Trouble]
    by_code: Mapping[str, Trouble]
    inside: Mapping[str, Trouble]
    no_model: frozenset[str]
    by_message: tuple[tuple[str, Trouble], ...]


ON_THE_WAY: tuple[tuple[type[Exception], Trouble, str], ...] = (  # the first that fits counts
    (ClientConnectorError, Trouble.CONNECT, "refused, unreachable, name not found, TLS"),
    (WrongCertificate, Trouble.CONNECT, "another certificate than the one expected"),
    (ConnectionTimeoutError, Trouble.CONNECT, "no connection within connect_timeout_s"),
    (TimeoutError, Trouble.TIMEOUT, "no answer within the attempt's time"),
    (ClientResponseError, Trouble.MALFORMED, "an answer that is not HTTP"),
    (TooLarge, Trouble.MALFORMED, "an answer of more than 32 MiB"),
    (EventTooLarge, Trouble.MALFORMED, "an event of a stream of more than 8 MiB"),
    (ClientPayloadError, Trouble.DISCONNECT, "the body broke off"),
    (ClientError, Trouble.DISCONNECT, "the connection broke before the answer began"),
    (OSError, Trouble.DISCONNECT, "the connection broke otherwise"),
)

OPENAI = Vendor(
    name="OpenAI, and servers that speak its format",
    statuses={
        400: "the request is not valid, or too long for the model (`context_length_exceeded`)",
        401: "the key, or the organization",
        402: "the account is empty (compatible servers)",
        403: "a country or a project that is not allowed",
        404: "no such model, or nothing at this address",
        408: "the request came too slowly",
        409: "a lock was not had in time; a chat request has nothing to be in conflict with",
        413: "the request is too large",
        422: "the request is not valid",
        429: "too many requests",
        500: "an error of theirs",
        502: "a bad gateway",
        503: "overloaded",
        504: "a gateway waited too long",
        529: "overloaded (compatible servers)",
    },
    by_status={402: Trouble.NO_CREDIT},
    by_code={
        "insufficient_quota": Trouble.NO_CREDIT,  # 429, or 400
        "billing_hard_limit_reached": Trouble.NO_CREDIT,  # 400
        "billing_not_active": Trouble.NO_CREDIT,  # 429
        "invalid_api_key": Trouble.MISCONFIGURED,
        "account_deactivated": Trouble.MISCONFIGURED,
        "organization_restricted": Trouble.MISCONFIGURED,  # 400
        "unsupported_country_region_territory": Trouble.MISCONFIGURED,
        "content_filter": Trouble.CONTENT_FILTER,  # Azure: 400
        "content_policy_violation": Trouble.CONTENT_FILTER,  # 400
    },
    inside={
        "rate_limit_exceeded": Trouble.RATE_LIMIT,
        "requests": Trouble.RATE_LIMIT,  # the type of a 429, as is
        "tokens": Trouble.RATE_LIMIT,
        "context_length_exceeded": Trouble.INVALID_REQUEST,
        "server_error": Trouble.ERROR_BODY,
        "overloaded_error": Trouble.ERROR_BODY,
        "invalid_request_error": Trouble.INVALID_REQUEST,
        "400": Trouble.INVALID_REQUEST,  # gateways give a status as the code
        "401": Trouble.MISCONFIGURED,
        "402": Trouble.NO_CREDIT,
        "403": Trouble.MISCONFIGURED,
        "413": Trouble.INVALID_REQUEST,
        "422": Trouble.INVALID_REQUEST,
        "429": Trouble.RATE_LIMIT,
    },
    no_model=frozenset({"model_not_found"}),
    by_message=(),
)

ANTHROPIC = Vendor(
    name="Anthropic",
    statuses={
        400: "the request is not valid, or too long for the model",
        401: "the key",
        402: "the account is empty",
        403: "the key may not do this",
        404: "no such model, or nothing at this address",
        408: "the request came too slowly",
        409: "a conflict; a chat request has nothing to be in conflict with",
        413: "the request is too large",
        422: "the request is not valid",
        429: "too many requests, or a spend limit",
        500: "an error of theirs",
        502: "a bad gateway",
        503: "not available",
        504: "it took them too long",
        529: "overloaded",
    },
    by_status={402: Trouble.NO_CREDIT},
    by_code={
        "billing_error": Trouble.NO_CREDIT,  # 402
        "contract_spend_limit_reached": Trouble.NO_CREDIT,  # 429
        "enforced_spend_limit_reached": Trouble.NO_CREDIT,  # 429
        "linked_organization_spend_limit_reached": Trouble.NO_CREDIT,
        "linked_organization_billing_unavailable": Trouble.NO_CREDIT,
        "organization_on_hold": Trouble.MISCONFIGURED,  # 400
        "claude_code_key_creator_not_member": Trouble.MISCONFIGURED,  # 400
        "cmek_key_disabled": Trouble.MISCONFIGURED,  # 400
        "cmek_key_network_blocked": Trouble.MISCONFIGURED,
    },
    inside={
        "rate_limit_error": Trouble.RATE_LIMIT,
        "authentication_error": Trouble.MISCONFIGURED,
        "permission_error": Trouble.MISCONFIGURED,
        "invalid_request_error": Trouble.INVALID_REQUEST,
        "request_too_large": Trouble.INVALID_REQUEST,
        "overloaded_error": Trouble.ERROR_BODY,
        "api_error": Trouble.ERROR_BODY,
        "timeout_error": Trouble.ERROR_BODY,
        "conflict_error": Trouble.ERROR_BODY,
    },
    no_model=frozenset({"not_found_error"}),
    by_message=(  # sent as a plain invalid_request_error, 400
        ("Your credit balance is too low", Trouble.NO_CREDIT),
        ("You have reached your specified API usage limits", Trouble.NO_CREDIT),
        ("Output blocked by content filtering policy", Trouble.CONTENT_FILTER),
    ),
)

VENDORS = (OPENAI, ANTHROPIC)


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
    return next((trouble for kind, trouble, _ in ON_THE_WAY if isinstance(error, kind)), Trouble.OTHER)


def of_answer(vendor: Vendor, status: int | None, error: VendorError, *, own_model: bool) -> Trouble:
    """What went wrong when `vendor` answered `error` with an HTTP `status`, or without one (None: inside a 200).

    `own_model`: the provider's configured model was asked, not one that the caller named.
    """
    codes = error.codes
    for code in codes:
        if code in vendor.by_code:
            return vendor.by_code[code]
    for beginning, trouble in vendor.by_message:
        if error.message is not None and error.message.startswith(beginning):
            return trouble
    if status == 404 or not vendor.no_model.isdisjoint(codes):
        return Trouble.MISCONFIGURED if own_model else Trouble.INVALID_REQUEST
    if status is not None:
        return vendor.by_status.get(status, Trouble.STATUS)
    return next((vendor.inside[code] for code in codes if code in vendor.inside), Trouble.ERROR_BODY)
