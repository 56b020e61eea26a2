"""From what happened to whoever listens.

Rules
-----
* A listener that raises breaks neither the request nor the other listeners; its first error is logged with its
  traceback, the later ones are not.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from flexiai.events import Event, Listener

log = logging.getLogger("flexiai")


class Emitter:
    """Tells every listener of an event, in the order of the listeners."""

    def __init__(self, listeners: Sequence[Listener]) -> None:
        self._listeners = tuple(listeners)
        self._complained: set[int] = set()

    def __call__(self, event: Event) -> None:
        """Tell them. Never raises an Exception."""
        for position, listener in enumerate(self._listeners):
            try:
                listener(event)
            except Exception:
                self._complain(position)

    def _complain(self, position: int) -> None:
        if position not in self._complained:
            self._complained.add(position)
            name = type(self._listeners[position]).__qualname__
            log.exception("listener %d (%s) raised; its further errors are not logged", position, name)
