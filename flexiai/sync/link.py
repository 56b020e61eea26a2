"""What this worker knows of its line to the fleet; whoever talks to the store says here how that went.

A notice is a word from the store, too, but none of whether it hears us: the next command will show.
A command without an answer is no news of the line if one that was sent later has been answered: it was lost before.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable
from typing import TypeVar

from flexiai.errors import SyncError
from flexiai.events import ListenerRestarted, SyncDown, SyncUp
from flexiai.sync.port import SyncStatus
from flexiai.sync.site import Site

T = TypeVar("T")


class Link:
    """The state of the line."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self.connected = False
        self.subscribed = False
        self._ever_up = False
        self._deaf = False
        self._reconnects = 0
        self._restarts = 0
        self._told_down = False
        self._viewed_at: float | None = None
        self._last_error: str | None = None
        self._answered_until = -math.inf  # when the latest command that was answered had been sent

    async def asking(self, command: Awaitable[T]) -> T:
        """What the store answers to a command that is now sent; raises SyncError as the command does."""
        asked_at = self._site.now()
        try:
            answer = await command
        except SyncError as error:
            self._last_error = str(error)
            self.connected = self.connected and asked_at < self._answered_until
            raise
        self._answered_until = max(self._answered_until, asked_at)
        self.connected = True
        return answer

    def viewed(self, as_of: float) -> None:
        """All that the fleet had said until `as_of` is known here."""
        self._viewed_at = as_of

    def heard(self) -> None:
        """A notice came: the store is there. Whether it hears us, too, the next command will show."""
        self.connected = True

    def up(self) -> None:
        """Subscribed, and all records read since."""
        self._reconnects += self._ever_up
        self._ever_up = self.connected = self.subscribed = True
        self._told_down = False
        self._deaf = False
        self._site.emit(SyncUp(t=self._site.now(), worker=self._site.worker, reconnects=self._reconnects))

    def down(self, error: Exception | str) -> None:
        """The store has broken the subscription off, or did not give it."""
        self.connected = False
        self._unheard(error)

    def listener_died(self, why: str) -> None:
        """Nothing listens any more. That is our own trouble, and no news of the store: it may still be asked."""
        self._deaf = True
        self._unheard(f"the listener died: {why}")

    def listener_revived(self, why: str) -> None:
        """The listener was started again; it is deaf until it has subscribed."""
        self._restarts += 1
        self._site.emit(ListenerRestarted(t=self._site.now(), worker=self._site.worker, error=why))

    def status(self, *, listening: bool) -> SyncStatus:
        """For whoever asks. `listening`: whether the listener lives."""
        return SyncStatus(
            enabled=True,
            connected=self.connected,
            subscribed=self.subscribed,
            staleness_s=None if self._viewed_at is None else max(0.0, self._site.now() - self._viewed_at),
            reconnects=self._reconnects,
            listener_restarts=self._restarts,
            deaf=self._deaf or not listening,
            last_error=self._last_error,
        )

    def _unheard(self, error: Exception | str) -> None:
        """Told once, until we are subscribed again."""
        self._last_error = str(error)
        if self.subscribed or not self._told_down:
            self.subscribed, self._told_down = False, True
            self._site.emit(SyncDown(t=self._site.now(), worker=self._site.worker, error=str(error)))
