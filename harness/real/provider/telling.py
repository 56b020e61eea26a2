"""A streamed answer as it goes over the wire: what is sent, when, and where it breaks. Pure.

Rules
-----
* Tokens come at the provider's interval, everything else with the token before it.
* A stall comes once, before the token it waits for, or before the end where there are not so many.
* A lie takes the place of the rest: half an event whose JSON breaks off, an error event, or (cut short) nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from harness.real.provider.faults import Order
from harness.real.provider.wire import Frame, Told, Wire

ERROR = "the provider was told to fail"


def steps(
    wire: Wire, told: Told, interval_s: float, stall: Order | None, lie: Order | None
) -> Iterator[tuple[float, bytes]]:
    """(seconds to wait, bytes to send), one after the other."""
    frames = list(wire.frames(told))
    end = len(frames) if lie is None else _place(frames, lie.after_tokens)
    stalled = _place(frames, stall.after_tokens or 0) if stall is not None else -1
    add_s = stall.add if stall is not None else 0.0
    first = _place(frames, 0)
    for at, frame in enumerate(frames[:end]):
        yield interval_s * (frame.token and at > first) + add_s * (at == stalled), frame.data
    if lie is not None:
        yield add_s * (end == stalled), _broken(wire, frames, end, lie)


def error_of(wire: Wire, order: Order, usual: str) -> bytes:
    """The body of the error that an order has told; `usual`: its message where the order has none."""
    status = 429 if order.inject == "rate_limit" else order.status
    return wire.error(status, order.message or usual, order.code)


def _place(frames: Sequence[Frame], after_tokens: int | None) -> int:
    """The index of the frame that comes after so many tokens (None: half of the frames)."""
    if after_tokens is None:
        return len(frames) // 2
    tokens = [at for at, frame in enumerate(frames) if frame.token]
    return tokens[after_tokens] if after_tokens < len(tokens) else tokens[-1] + 1


def _broken(wire: Wire, frames: Sequence[Frame], at: int, lie: Order) -> bytes:
    if lie.inject == "malformed":
        return frames[at].data[: len(frames[at].data) // 2] + b"\n\n"
    if lie.inject == "error_body":
        return wire.error_frame(error_of(wire, lie, ERROR))
    return b""
