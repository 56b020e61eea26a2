"""A request that the app itself refuses: the one exception for all reasons, each with its HTTP status and its name."""

from __future__ import annotations

from typing import ClassVar

from flexiai.app.replies import Header


class Refused(Exception):
    """Why a request is not served, in words for its sender. `param`: the field at fault, if it is one."""

    status: ClassVar[int]
    error: ClassVar[str]
    headers: tuple[Header, ...] = ()

    def __init__(self, message: str, *, param: str | None = None) -> None:
        super().__init__(message)
        self.param = param


class BadBody(Refused):
    """A body that is no request."""

    status, error = 422, "invalid_request"


class BodyTooLarge(Refused):
    """A body longer than a bound."""

    status, error = 413, "body_too_large"

    def __init__(self, most: int) -> None:
        super().__init__(f"a request body may have at most {most} bytes")


class BodyTooSlow(Refused):
    """A body that was not here in time."""

    status, error = 408, "body_too_slow"
    headers = ((b"connection", b"close"),)

    def __init__(self) -> None:
        super().__init__("the request's body did not come in time")


class NoKey(Refused):
    """A caller without a key that is one of ours."""

    status, error = 401, "unauthorized"
    headers = ((b"www-authenticate", b"Bearer"),)

    def __init__(self) -> None:
        super().__init__("give a key of this service as Authorization: Bearer …")


class NoToken(Refused):
    """An operator without the admin token."""

    status, error = 401, "unauthorized"
    headers = ((b"www-authenticate", b"Bearer"),)

    def __init__(self) -> None:
        super().__init__("give the admin token as Authorization: Bearer …")


class NotFromHere(Refused):
    """Somebody who wants to operate from elsewhere, where only this host may."""

    status, error = 403, "forbidden"

    def __init__(self) -> None:
        super().__init__("without FLEXIAI_ADMIN_TOKEN only this host itself may do that, and not through a proxy")


class UnknownModel(Refused):
    """A caller asked for a model that nobody configured."""

    status, error = 404, "unknown_model"

    def __init__(self, asked: str, known: tuple[str, ...]) -> None:
        super().__init__(f"there is no model called {asked!r}; there are: {', '.join(known)}", param="model")


class NoRoom(Refused):
    """As many requests are under way as this worker takes."""

    status, error = 503, "overloaded"

    def __init__(self, most: int) -> None:
        super().__init__(f"this worker serves {most} requests at a time, and it does")
        self.headers = ((b"retry-after", b"1"), (b"x-flexiai-max-concurrency", str(most).encode()))


class CutShort(Refused):
    """The worker ends and gave this request up."""

    status, error = 503, "not_serving"
    headers = ((b"retry-after", b"1"),)

    def __init__(self) -> None:
        super().__init__("this worker had to end before the answer was there")


OTHER_ERRORS = (
    "no_provider_available",
    "deadline_exceeded",
    "rejected_by_provider",
    "stream_broken",
    "internal_error",
)


def names_of_errors() -> list[str]:
    """Every name that an error answer to a chat request can have."""
    return sorted({*OTHER_ERRORS, *(kind.error for kind in Refused.__subclasses__())})
