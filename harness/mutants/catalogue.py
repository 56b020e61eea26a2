"""All mutants."""

from __future__ import annotations

from harness.mutants import breaker, evidence, probe, router, sync
from harness.mutants.plant import Mutant

MUTANTS: dict[str, Mutant] = {
    mutant.id: mutant for part in (breaker, router, probe, evidence, sync) for mutant in part.CATALOGUE
}
