"""Why there is no answer, as HTTP: whose fault it was decides the status.

Rules
-----
* The caller's own: what `refused` lists (422 for a body we cannot take, 413, 408, 401, 404), and the provider's own 4xx
  where a provider refused the request as such.
* Nobody's answer: 503 with Retry-After in whole seconds, rounded up; 504 where the request's time ran out.
* An answer that broke off after its first piece ends with an error: 502, had its status not been told long before.
* No room: 503 with Retry-After, before anything was read. Another worker may have room: the caller may ask at once.
* Ours: 500, and the log says why under the request's id. An unknown path is 404, a wrong method 405 with Allow.
"""

from __future__ import annotations

import math

from pydantic import ValidationError
from starlette.exceptions import HTTPException

from flexiai.app.environment import complaints
from flexiai.app.refused import BadBody, Refused
from flexiai.app.replies import ErrorReply, Reply, answered_by, id_header
from flexiai.errors import NoProviderAvailable, ProviderError, StreamBroken
from flexiai.logs import log


def refusal(error: Exception, worker_id: int, asked_as: str) -> Reply:
    """The answer to a chat request that ended in `error`."""
    match error:
        case NoProviderAvailable():
            return _nobody(error, worker_id, asked_as)
        case StreamBroken():
            return _broken(error, worker_id, asked_as)
        case ProviderError():
            return _rejected(error, worker_id, asked_as)
        case ValidationError():
            message = "; ".join(complaints(error, "body"))
            return _refused(BadBody(message), worker_id, asked_as)
        case Refused():
            return _refused(error, worker_id, asked_as)
        case _:
            log.error("Request %s failed inside FlexiAI", asked_as, exc_info=error)
            message = "FlexiAI itself failed; its log says why"
            value = ErrorReply(error="internal_error", message=message, worker_id=worker_id, request_id=asked_as)
            return Reply(500, value, (id_header(asked_as),))


def not_serving(asked_as: str) -> Reply:
    """The answer of a worker that has not started yet, or has stopped."""
    value = ErrorReply(error="not_serving", message="this worker is starting or stopping", request_id=asked_as)
    return Reply(503, value, ((b"retry-after", b"1"), id_header(asked_as)))


def no_operator(error: Refused, worker_id: int) -> Reply:
    """The answer to somebody who may not operate."""
    return Reply(error.status, ErrorReply(error=error.error, message=str(error), worker_id=worker_id), error.headers)


def no_such_provider(name: str, known: tuple[str, ...], worker_id: int) -> Reply:
    """The answer where a path names a provider that is not configured."""
    message = f"there is no provider called {name!r}; there are: {', '.join(known)}"
    return Reply(404, ErrorReply(error="unknown_provider", message=message, worker_id=worker_id))


def of_http(error: HTTPException, method: str, path: str) -> Reply:
    """The answer where no endpoint was reached: an unknown path, a wrong method."""
    headers = tuple((name.lower().encode(), value.encode()) for name, value in (error.headers or {}).items())
    match error.status_code:
        case 404:
            value = ErrorReply(error="not_found", message=f"there is nothing at {path}")
        case 405:
            allowed = (error.headers or {}).get("Allow", "another method")
            value = ErrorReply(error="method_not_allowed", message=f"{path} takes {allowed}, not {method}")
        case _:
            value = ErrorReply(error="http_error", message=str(error.detail))
    return Reply(error.status_code, value, headers)


def _nobody(error: NoProviderAvailable, worker_id: int, asked_as: str) -> Reply:
    late = any(said.reason == "deadline" for said in error.said)
    value = ErrorReply(
        error="deadline_exceeded" if late else "no_provider_available",
        message=str(error),
        worker_id=worker_id,
        request_id=asked_as,
        providers=error.said,
        retry_after_s=error.retry_after_s,
    )
    retry_after = (b"retry-after", str(math.ceil(error.retry_after_s)).encode())
    return Reply(504 if late else 503, value, (retry_after, id_header(asked_as)))


def _broken(error: StreamBroken, worker_id: int, asked_as: str) -> Reply:
    value = ErrorReply(
        error="stream_broken",
        message=str(error),
        worker_id=worker_id,
        request_id=asked_as,
        provider=error.provider,
        code=error.code,
    )
    return Reply(502, value, (answered_by(error.provider), id_header(asked_as)))


def _rejected(error: ProviderError, worker_id: int, asked_as: str) -> Reply:
    status = error.status if error.status is not None and 400 <= error.status < 500 else 400
    value = ErrorReply(
        error="rejected_by_provider",
        message=str(error),
        worker_id=worker_id,
        request_id=asked_as,
        provider=error.provider,
        code=error.code,
    )
    return Reply(status, value, (answered_by(error.provider), id_header(asked_as)))


def _refused(error: Refused, worker_id: int, asked_as: str) -> Reply:
    value = ErrorReply(
        error=error.error, message=str(error), worker_id=worker_id, request_id=asked_as, param=error.param
    )
    return Reply(error.status, value, (id_header(asked_as), *error.headers))
