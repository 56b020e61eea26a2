"""Planted defects of breaker, router, sync and probing, each from a real failure: how strong are the checkers?

plant    how a defect is put into the production code, for one simulation
breaker, router, sync, probe    the catalogue
"""

from harness.mutants.catalogue import MUTANTS
from harness.mutants.plant import Mutant

__all__ = ["MUTANTS", "Mutant"]
