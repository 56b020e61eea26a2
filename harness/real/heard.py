"""What the sender of a streamed request hears: server-sent events in OpenAI's shape. Pure."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from harness.history import RequestDone

DONE = b"[DONE]"


class _Delta(msgspec.Struct):
    content: str | None = None
    tool_calls: list[Any] | None = None


class _Choice(msgspec.Struct):
    delta: _Delta


class _Event(msgspec.Struct):
    choices: list[_Choice] = []
    error: msgspec.Raw = msgspec.Raw()


_decode = msgspec.json.Decoder(_Event).decode


class Heard:
    """A stream being heard, sent at `sent`. `chunks`: pieces of content so far.

    It is over at `[DONE]`, or at an error; one that ends without either has broken.
    """

    def __init__(self, sent: float) -> None:
        self.chunks = 0
        self._sent = sent
        self._first_token_s: float | None = None
        self._whole = False
        self._error: str | None = None

    def line(self, line: bytes, now: float) -> None:
        """A line of the stream; one that is no event of the format is an error."""
        data = line.strip().removeprefix(b"data:").strip() if line.startswith(b"data:") else b""
        if data == DONE:
            self._whole = True
        elif data:
            self._event(data, now)

    def done(self, request: str, provider: str | None, now: float) -> RequestDone:
        """How the request ended."""
        result: Literal["ok", "fail", "info"] = "ok" if self._whole else "fail" if self._error is not None else "info"
        return RequestDone(
            t=now,
            request=request,
            result=result,
            provider=provider,
            status=200,
            error=self._error if result != "info" else "the connection broke",
            chunks=self.chunks,
            first_token_s=self._first_token_s,
        )

    def _event(self, data: bytes, now: float) -> None:
        try:
            event = _decode(data)
        except msgspec.MsgspecError as error:
            self._error = f"not an event: {error}"
            return
        if event.error:
            self._error = bytes(event.error).decode(errors="replace")[:200]
        elif any(choice.delta.content or choice.delta.tool_calls for choice in event.choices):
            self.chunks += 1
            if self._first_token_s is None:
                self._first_token_s = now - self._sent
