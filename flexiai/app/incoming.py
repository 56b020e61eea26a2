"""How a request reaches us: its id, its body, and whether its caller is still there.

Rules
-----
* A caller's X-Request-ID is taken if it is 1 to 128 letters, digits or `._:-`; any other is replaced by a new one, for
  ids end up in logs, journals and providers' headers.
* A body is read up to a bound of bytes and of time. One that says beforehand that it is too long is not read at all.
* A request whose caller has gone away is given up: its answer would be paid for and thrown away.
"""

from __future__ import annotations

import asyncio
import re
import uuid
from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar

from starlette.types import Receive

from flexiai.app.refused import BodyTooLarge, BodyTooSlow

T = TypeVar("T")

_id_like = re.compile(rb"[A-Za-z0-9._:-]{1,128}").fullmatch


class CallerGone(Exception):
    """The caller closed the connection before the answer was ready."""


def request_id(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """The caller's id for its request, or a new one."""
    for name, value in headers:
        if name == b"x-request-id":
            return value.decode() if _id_like(value) else new_id()
    return new_id()


def new_id() -> str:
    """An id that no other request has."""
    return uuid.uuid4().hex


def check_length(headers: Iterable[tuple[bytes, bytes]], most: int) -> None:
    """BodyTooLarge if the caller says that its body will be."""
    for name, value in headers:
        if name == b"content-length" and value.isdigit() and int(value[:20]) > most:
            raise BodyTooLarge(most)


async def read_body(receive: Receive, most: int, within_s: float) -> bytes:
    """The whole body. BodyTooLarge, BodyTooSlow, or CallerGone if it broke off."""
    try:
        async with asyncio.timeout(within_s):
            return await _read(receive, most)
    except TimeoutError:
        raise BodyTooSlow from None


async def _read(receive: Receive, most: int) -> bytes:
    message = await receive()
    body = bytearray()
    while message["type"] == "http.request":
        body += message.get("body", b"")
        if len(body) > most:
            raise BodyTooLarge(most)
        if not message.get("more_body", False):
            return bytes(body)
        message = await receive()
    raise CallerGone


async def while_connected(receive: Receive, work: Coroutine[Any, Any, T]) -> T:
    """What `work` returns; when the caller goes away first, `work` is cancelled and CallerGone raised."""
    patience = asyncio.timeout(None)
    try:
        async with patience:
            watcher = asyncio.get_running_loop().create_task(_watch(receive, patience))
            try:
                return await work
            finally:
                watcher.cancel()
    except TimeoutError:
        if patience.expired():
            raise CallerGone from None
        raise


async def _watch(receive: Receive, patience: asyncio.Timeout) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    patience.reschedule(asyncio.get_running_loop().time())
