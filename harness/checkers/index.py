"""One pass over a history, in order, that joins what belongs together. Every entry is looked at once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import msgspec

from flexiai.events import (
    AttemptEnded,
    AttemptStarted,
    OperatorActed,
    RecordApplied,
    RequestEnded,
    RequestStarted,
    Transition,
    WorkerStarted,
)
from harness.checkers.requests import Attempt, Execution, Sent, View
from harness.history import Entry, RequestDone, RequestSent

Key = tuple[str, str]
"""(worker, provider)."""


class Index:
    """What the pass found.

    kinds        every entry by its type, in order
    sent         by request id
    executions   in the order in which they began; attempts likewise
    strays       entries without a partner, or with one too many: (entry, what is wrong)
    transitions  each (worker, provider)'s changes, in order; records: the fleet records it applied; words: what
                 operators told it
    """

    def __init__(self, entries: Iterable[Entry]) -> None:
        self.kinds: dict[type[msgspec.Struct], list[msgspec.Struct]] = defaultdict(list)
        self.sent: dict[str, Sent] = {}
        self.executions: list[Execution] = []
        self.attempts: list[Attempt] = []
        self.strays: list[tuple[Entry, str]] = []
        self.transitions: dict[Key, list[Transition]] = defaultdict(list)
        self.records: dict[Key, list[RecordApplied]] = defaultdict(list)
        self.words: dict[Key, list[OperatorActed]] = defaultdict(list)
        self._views: dict[str, View] = {}
        self._running: dict[Key, Execution] = {}
        self._asked: dict[tuple[str, str, int], Attempt] = {}
        self._go_through(entries)

    def _go_through(self, entries: Iterable[Entry]) -> None:
        kinds = self.kinds
        look = {
            RequestSent: self._on_sent,
            RequestDone: self._on_done,
            RequestStarted: self._on_started,
            RequestEnded: self._on_ended,
            AttemptStarted: self._on_attempt,
            AttemptEnded: self._on_attempt_ended,
            Transition: self._on_transition,
            RecordApplied: self._on_record,
            OperatorActed: self._on_word,
            WorkerStarted: self._on_worker,
        }
        for entry in entries:
            kind = type(entry)
            kinds[kind].append(entry)
            if kind in look:
                look[kind](entry)  # type: ignore[operator]  # each takes the kind it stands under

    def _on_sent(self, e: RequestSent) -> None:
        if e.request in self.sent:
            self.strays.append((e, "was sent twice"))
        else:
            self.sent[e.request] = Sent(e)

    def _on_done(self, e: RequestDone) -> None:
        sent = self.sent.get(e.request)
        if sent is None:
            self.strays.append((e, "ended at its sender but was never sent"))
        elif sent.done is not None:
            self.strays.append((e, "ended twice at its sender"))
        else:
            sent.done = e

    def _on_started(self, e: RequestStarted) -> None:
        key = (e.worker, e.request)
        if key in self._running:
            self.strays.append((e, "began twice on one worker"))
            return
        execution = Execution(e, self._views.get(e.worker, {}), [])
        self._running[key] = execution
        self.executions.append(execution)
        if e.request in self.sent:
            self.sent[e.request].executions.append(execution)

    def _on_ended(self, e: RequestEnded) -> None:
        execution = self._running.get((e.worker, e.request))
        if execution is None:
            self.strays.append((e, "ended on a worker on which it never began"))
        elif execution.ended is not None:
            self.strays.append((e, "ended twice on its worker"))
        else:
            execution.ended = e

    def _on_attempt(self, e: AttemptStarted) -> None:
        key = (e.worker, e.request, e.attempt)
        if key in self._asked:
            self.strays.append((e, f"began its attempt {e.attempt} twice"))
            return
        attempt = Attempt(e, self._views.get(e.worker, {}))
        self._asked[key] = attempt
        self.attempts.append(attempt)
        execution = self._running.get((e.worker, e.request))
        if execution is None or execution.ended is not None:
            self.strays.append((e, f"began its attempt {e.attempt} while it was not running"))
        else:
            execution.attempts.append(attempt)

    def _on_attempt_ended(self, e: AttemptEnded) -> None:
        attempt = self._asked.get((e.worker, e.request, e.attempt))
        if attempt is None:
            self.strays.append((e, f"ended its attempt {e.attempt}, which never began"))
        elif attempt.ended is not None:
            self.strays.append((e, f"ended its attempt {e.attempt} twice"))
        else:
            attempt.ended = e

    def _on_transition(self, e: Transition) -> None:
        self._views[e.worker] = {**self._views.get(e.worker, {}), e.provider: e.to}
        self.transitions[e.worker, e.provider].append(e)

    def _on_record(self, e: RecordApplied) -> None:
        self.records[e.worker, e.provider].append(e)

    def _on_word(self, e: OperatorActed) -> None:
        self.words[e.worker, e.provider].append(e)

    def _on_worker(self, e: WorkerStarted) -> None:
        self._views[e.worker] = {}
