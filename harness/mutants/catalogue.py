"""All mutants."""

from __future__ import annotations

from harness.mutants import breaker, probe, router, sync
from harness.mutants.plant import Mutant

MUTANTS: dict[str, Mutant] = {mutant.id: mutant for part in (breaker, router, probe, sync) for mutant in part.CATALOGUE}
