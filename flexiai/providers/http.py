"""One POST to a provider over aiohttp, and its failures told as `ProviderError`.

Rules
-----
* Nothing is retried here: the failover loop asks the breaker before every attempt.
* Redirects are not followed: the key goes to the configured address and nowhere else.
* A key, or a part of it, never appears in an error, even when the server echoes it; no aiohttp exception (it holds the
  request's headers) is chained to one.
* An answer is read up to MAX_ANSWER bytes, streamed or not.
* A stream's connection ends with it. Only after the last event is it kept for the next request, if the answer's end
  comes within DRAIN_S: to make a new one costs more than that.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass, field
from typing import TypeVar

import aiohttp
import msgspec
from multidict import CIMultiDict, istr
from yarl import URL

from flexiai.chat import ChatRequest
from flexiai.core.outcome import Outcome, Trouble, classify
from flexiai.errors import InvalidRequestError, ProviderError
from flexiai.limit import Limit
from flexiai.providers.address import headers_of, secret_of, url_of
from flexiai.providers.classification import TooLarge, Vendor, VendorError, of_answer, of_exception
from flexiai.providers.event_stream import EventParser, EventTooLarge, ServerEvent
from flexiai.providers.masking import PART, masked
from flexiai.providers.retry_after import retry_after_s
from flexiai.providers.session import connect_bound
from flexiai.types import ProviderConfig, RequestConfig

MAX_ANSWER = 32 * 1024 * 1024
DRAIN_S = 0.1
_MESSAGE_LENGTH = 300
_READ_LENGTH = 4096  # of a message: the rest is cut off unread
_REQUEST_ID = istr("X-Request-ID")
T = TypeVar("T")


class _ErrorBody(msgspec.Struct, frozen=True):
    error: VendorError | str | None = None
    message: str | None = None  # some OpenAI-compatible servers have no `error`

    def said(self) -> VendorError:
        if isinstance(self.error, VendorError):
            return self.error
        return VendorError(message=self.error if self.error is not None else self.message)


_error_body = msgspec.json.Decoder(_ErrorBody)


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"a value of the type {type(value).__name__}")


_encoder = msgspec.json.Encoder(enc_hook=_plain)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where one provider's requests go. `provider`: its name; `secrets`: what no message may show."""

    provider: str
    vendor: Vendor
    url: URL
    session: aiohttp.ClientSession
    timeout: aiohttp.ClientTimeout
    headers: CIMultiDict[str] = field(repr=False)
    secrets: tuple[str, ...] = field(repr=False)

    async def post(self, payload: Mapping[str, object], request: ChatRequest, timeout_s: float) -> bytes:
        """The body of a 2xx answer to `payload`; ProviderError for anything else."""
        body, headers = self._encoded(payload), self._headers(request.request_id)
        try:
            async with Limit(timeout_s), self._posted(body, headers) as response:
                answer = await _read(response)
        except _BREAKS as error:
            failure = self._broken(error, timeout_s)
        else:
            if 200 <= response.status < 300:
                return answer
            failure = self._refused(response, answer, request)
        raise failure

    async def events(
        self, payload: Mapping[str, object], request: ChatRequest, is_last: Callable[[ServerEvent], bool]
    ) -> AsyncGenerator[ServerEvent, None]:
        """The events of a 2xx answer to `payload`, up to the last one; ProviderError for anything else.

        It does not bound its time: who closes or cancels it ends the connection.
        """
        body, headers = self._encoded(payload), self._headers(request.request_id)
        try:
            async with self._posted(body, headers) as response:
                answer = None if _is_stream(response) else await _read(response)
                parser, size = EventParser(), 0
                async for chunk in response.content.iter_any():
                    size = _bounded(size + len(chunk))
                    for event in parser.feed(chunk):
                        yield event
                        if is_last(event):
                            await _drain(response)
                            return
        except _BREAKS as error:
            failure = self._broken(error)
        else:
            failure = self._no_stream(response, answer, request)
        raise failure

    def decode(self, decoder: msgspec.json.Decoder[T], answer: bytes) -> T:
        """An answer in its wire format; ProviderError if it is not in it."""
        try:
            return decoder.decode(answer)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            reason = str(error)
        raise self.malformed(reason)

    def cut_off(self) -> ProviderError:
        """The error for a stream that ended before its answer did."""
        return self._error(Trouble.DISCONNECT, f"{_PHRASES[Trouble.DISCONNECT]} (the stream ended)")

    def malformed(self, reason: str) -> ProviderError:
        """The error for an answer that is not what the wire format promises."""
        return self._error(Trouble.MALFORMED, f"not a valid answer: {reason}")

    def error_inside(self, error: VendorError | str, request: ChatRequest) -> ProviderError:
        """The error for a 200 that holds an error, or for a stream in which one came."""
        said = error if isinstance(error, VendorError) else VendorError(message=error)
        trouble = of_answer(self.vendor, None, said, own_model=request.model is None)
        return self._error(trouble, f"an error inside a 200: {said.message or 'no message'}", code=_first(said.codes))

    def error_event(self, data: bytes, request: ChatRequest) -> ProviderError:
        """The error that an event of a stream told, as JSON."""
        return self.error_inside(_said(data), request)

    def unsupported(self, what: str) -> ProviderError:
        """The error for a request that its wire format cannot say: the caller's, as a 400 of the vendor's."""
        message = f"{self.provider} cannot be asked for {what}"
        return self._error(Trouble.UNSUPPORTED, message, status=400, code="unsupported")

    def _encoded(self, payload: Mapping[str, object]) -> bytes:
        try:
            return _encoder.encode(payload)
        except (TypeError, ValueError) as error:
            reason = str(error)
        raise self.unsupported(f"what is not JSON ({reason})")

    def _posted(self, body: bytes, headers: CIMultiDict[str]) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        return self.session.post(self.url, data=body, headers=headers, timeout=self.timeout, allow_redirects=False)

    def _headers(self, request_id: str | None) -> CIMultiDict[str]:
        if request_id is None or not (request_id.isascii() and request_id.isprintable()):
            return self.headers
        headers = self.headers.copy()
        headers[_REQUEST_ID] = request_id
        return headers

    def _no_stream(self, response: aiohttp.ClientResponse, answer: bytes | None, request: ChatRequest) -> ProviderError:
        if answer is None:
            return self.cut_off()
        if not 200 <= response.status < 300:
            return self._refused(response, answer, request)
        said = _said(answer)
        return self.malformed("it is not a stream") if said == VendorError() else self.error_inside(said, request)

    def _broken(self, error: Exception, timeout_s: float | None = None) -> ProviderError:
        trouble = of_exception(error)
        why = f"{timeout_s:g} s" if trouble is Trouble.TIMEOUT and timeout_s is not None else _why(error)
        return self._error(trouble, f"{_PHRASES[trouble]} ({why})")

    def _refused(self, response: aiohttp.ClientResponse, answer: bytes, request: ChatRequest) -> ProviderError:
        status, said = response.status, _said(answer)
        return self._error(
            of_answer(self.vendor, status, said, own_model=request.model is None),
            f"HTTP {status}: {said.message}" if said.message else f"HTTP {status}",
            status=status,
            wait_s=retry_after_s(response.headers),
            code=_first(said.codes),
        )

    def _error(
        self,
        trouble: Trouble,
        message: str,
        *,
        status: int | None = None,
        wait_s: float | None = None,
        code: str | None = None,
    ) -> ProviderError:
        kind = InvalidRequestError if classify(trouble, status) is Outcome.NEUTRAL else ProviderError
        return kind(
            self._clean(message),
            provider=self.provider,
            trouble=trouble,
            status=status,
            retry_after_s=wait_s,
            code=None if code is None else self._clean(code),
        )

    def _clean(self, text: str) -> str:
        """One line of bounded length without the key (which is taken out before a cut could leave a part of it)."""
        text = " ".join(masked(text[:_READ_LENGTH], self.secrets).split())
        return text if len(text) <= _MESSAGE_LENGTH else f"{text[:_MESSAGE_LENGTH]}…"


_BREAKS = (aiohttp.ClientError, OSError, TooLarge, EventTooLarge)
_PHRASES = {
    Trouble.CONNECT: "no connection",
    Trouble.TIMEOUT: "no answer in time",
    Trouble.DISCONNECT: "the connection broke before the answer was complete",
    Trouble.MALFORMED: "not a valid answer",
}


def endpoint(
    config: ProviderConfig,
    request: RequestConfig,
    session: aiohttp.ClientSession,
    *,
    vendor: Vendor,
    base_url: str,
    path: str,
    auth: tuple[str, str],
    headers: Mapping[str, str] | None = None,
) -> Endpoint:
    """The endpoint of `config` at `path` below its base URL (`base_url` unless configured).

    `vendor` says what its answers mean; `auth` is a header's name and the words before the key in it.
    ConfigurationError names a setting that cannot work.
    """
    secret = secret_of(config)
    sent = CIMultiDict({istr("Content-Type"): "application/json", istr("User-Agent"): "flexiai"})
    sent.update({istr(name): value for name, value in (headers or {}).items()})
    if secret:
        sent[istr(auth[0])] = f"{auth[1]}{secret}"
    own = headers_of(config)
    sent.update({istr(name): value for name, value in own.items()})
    secrets = tuple(v for v in (secret, *(v for v in own.values() if len(v) >= PART)) if v)
    return Endpoint(config.name, vendor, url_of(config, base_url, path), session, connect_bound(request), sent, secrets)


async def _read(response: aiohttp.ClientResponse) -> bytes:
    if (response.content_length or 0) > MAX_ANSWER:
        raise TooLarge(f"more than {MAX_ANSWER} bytes")
    chunks: list[bytes] = []
    size = 0
    async for chunk in response.content.iter_any():
        size = _bounded(size + len(chunk))
        chunks.append(chunk)
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def _bounded(size: int) -> int:
    if size > MAX_ANSWER:
        raise TooLarge(f"more than {MAX_ANSWER} bytes")
    return size


async def _drain(response: aiohttp.ClientResponse) -> None:
    with suppress(*_BREAKS):
        async with asyncio.timeout(DRAIN_S):
            await _read(response)


def _is_stream(response: aiohttp.ClientResponse) -> bool:
    return 200 <= response.status < 300 and response.content_type != "application/json"


def _said(answer: bytes) -> VendorError:
    try:
        return _error_body.decode(answer).said()
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return VendorError()


def _why(error: Exception) -> str:
    if isinstance(error, OSError) and error.errno and not isinstance(error, aiohttp.ClientSSLError):
        return os.strerror(error.errno) if error.errno > 0 else str(error.strerror)
    return str(error) if isinstance(error, (TooLarge, EventTooLarge, aiohttp.ClientSSLError)) else type(error).__name__


def _first(codes: tuple[str, ...]) -> str | None:
    return codes[0] if codes else None
