"""Garbage, for whoever makes and runs many worlds in one process."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collected_young() -> Iterator[None]:
    """What is made and dropped within is collected at the end, while it is young and nothing else has to be looked
    through: a world is full of cycles, and half a megabyte."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.collect(0)
        if enabled:
            gc.enable()
