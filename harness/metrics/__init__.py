"""Figures from a history: `METRICS` says what there is, `measure` computes it, the samples behind it are for plots.

A metric is None when there was nothing to measure. Quantiles are by nearest rank (`harness.quantiles`).
"""

from __future__ import annotations

from harness.checkers.case import Case
from harness.metrics.catalogue import METRICS, Metric
from harness.metrics.outages import openings, outage_figures
from harness.metrics.ramps import ramp_figures
from harness.metrics.redis_faults import redis_fault_figures
from harness.metrics.requests import RequestSample, request_figures, request_samples
from harness.metrics.sync import SyncSample, sync_figures, sync_samples
from harness.metrics.workers import worker_figures

__all__ = [
    "METRICS",
    "Metric",
    "RequestSample",
    "SyncSample",
    "measure",
    "openings",
    "request_samples",
    "sync_samples",
]


def measure(case: Case) -> dict[str, float | None]:
    """Every metric of the catalogue, in its order."""
    rooms = (request_figures, outage_figures, ramp_figures, sync_figures, redis_fault_figures, worker_figures)
    figures = {name: value for room in rooms for name, value in room(case).items()}
    return {name: figures[name] for name in METRICS}
