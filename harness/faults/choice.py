"""Which workers a fault is put on."""

from __future__ import annotations

import re
from random import Random
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, WithJsonSchema, model_serializer

Place = tuple[int, int]
"""A worker's place: (instance, slot), both counted from 1."""

_K_OF_N = re.compile(r"(?P<k>\d+)\s+of\s+(?P<n>\d+)")


Role = Literal["opener", "probe_holder"]
"""What a worker has just done: opened a provider by its own evidence, or begun to probe one."""


class Some(BaseModel):
    """Which workers: `2 of 12` (drawn by the seed), `one` (likewise), `all`, one by its place, `1.3` (instance 1,
    worker 3), or one by its role when the fault begins."""

    model_config = ConfigDict(frozen=True)
    text: str
    k: int | None = None
    n: int | None = None
    place: Place | None = None
    role: Role | None = None

    @model_serializer
    def _as_text(self) -> str:
        return self.text

    def pick(self, places: tuple[Place, ...], rng: Random) -> tuple[Place, ...]:
        """The chosen places, in order; none for a role, which only the run knows."""
        if self.role is not None:
            return ()
        if self.place is not None:
            return (self.place,)
        if self.k is None:
            return places
        return tuple(sorted(rng.sample(places, self.k)))

    def check(self, places: tuple[Place, ...]) -> str | None:
        """What is wrong with this choice among `places`, or None."""
        if self.place is not None and self.place not in places:
            return f"there is no worker {self.text}"
        if self.n is not None and self.n != len(places):
            return f"'{self.text}': the topology has {len(places)} workers"
        if self.k is not None and not 1 <= self.k <= len(places):
            return f"'{self.text}': expected 1 to {len(places)} workers"
        return None


def _some(value: Any) -> Any:
    if isinstance(value, Some):
        return value
    text = str(value).strip()
    if text == "all":
        return Some(text=text)
    if text == "one":
        return ONE
    if text in get_args(Role):
        return Some(text=text, role=text)
    if match := _K_OF_N.fullmatch(text):
        return Some(text=text, k=int(match["k"]), n=int(match["n"]))
    if match := re.fullmatch(r"(\d+)\.(\d+)", text):
        return Some(text=text, place=(int(match[1]), int(match[2])))
    raise ValueError(
        f"expected 'all', 'one', 'K of N', a place such as '1.3', 'opener' or 'probe_holder', not {value!r}"
    )


Workers = Annotated[
    Some,
    BeforeValidator(_some),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": r"^(all|one|opener|probe_holder|\d+\s+of\s+\d+|\d+\.\d+)$",
            "description": "all, one, 2 of 12, 1.3, opener, probe_holder",
        }
    ),
]
ALL = Some(text="all")
ONE = Some(text="one", k=1)
