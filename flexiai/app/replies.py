"""What the app answers: JSON values and their way onto the wire."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from starlette.responses import Response
from starlette.types import Send

from flexiai.chat import ChatCompletion, Usage
from flexiai.errors import Said

_encode = msgspec.json.Encoder().encode

Header = tuple[bytes, bytes]


class ChatReply(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a chat request. `response`: the text; `worker_id`: the process that served it."""

    response: str | None
    provider: str
    model: str
    usage: Usage
    worker_id: int
    request_id: str


class FullChatReply(ChatReply, frozen=True, kw_only=True):
    """The answer of `/chat`: also the whole completion, in OpenAI's shape."""

    completion: ChatCompletion


class ErrorReply(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Why there is no answer.

    error           its stable name (flexiai/app/refusals.py has them all)
    provider, code  who refused the request, and the vendor's own name for why
    param           the field of the request that is at fault
    providers       what each provider said, in the order in which they were asked
    retry_after_s   seconds until the soonest time at which a provider may be tried again
    """

    error: str
    message: str
    worker_id: int | None = None
    request_id: str | None = None
    provider: str | None = None
    code: str | None = None
    param: str | None = None
    providers: Sequence[Said] = ()
    retry_after_s: float | None = None


def id_header(request_id: str) -> Header:
    """The header that tells a caller its request's id."""
    return (b"x-request-id", request_id.encode())


def answered_by(provider: str) -> Header:
    """The header that tells who answered, so that a load generator need not read the body."""
    return (b"x-flexiai-provider", provider.encode())


class Reply(msgspec.Struct, frozen=True):
    """An HTTP answer: a status, a JSON value, and headers beside the usual ones."""

    status: int
    value: msgspec.Struct
    headers: tuple[Header, ...] = ()

    async def send(self, send: Send) -> None:
        """Put it on the wire, as ASGI."""
        body = _encode(self.value)
        length = str(len(body)).encode()
        usual = ((b"content-type", b"application/json"), (b"content-length", length))
        await send({"type": "http.response.start", "status": self.status, "headers": [*usual, *self.headers]})
        await send({"type": "http.response.body", "body": body})

    def response(self) -> Response:
        """The same for a FastAPI route."""
        headers = {name.decode(): value.decode() for name, value in self.headers}
        return Response(_encode(self.value), self.status, headers, media_type="application/json")
