"""What the service sets for its process is put back after each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from flexiai.logs import log


@pytest.fixture(autouse=True)
def _logger_as_it_was() -> Iterator[None]:
    level, handlers = log.level, log.handlers[:]
    yield
    log.setLevel(level)
    log.handlers[:] = handlers
