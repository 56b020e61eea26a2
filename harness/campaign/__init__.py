"""Campaigns: many seeds, each with a scenario of its own, checked by all checkers.

spread    a value that a campaign file leaves open: `1..4`, `200ms..2s`, one of a list
plan      a campaign file, typed
draw      a plan and a seed to a scenario
causes    a run's violations to the cause that they are grouped by
one       one seed, run and checked
totals    what many seeds came to, in a few counters
conduct   many seeds on a pool of processes: budgets, progress, stop and resume
summary   what a campaign leaves behind
"""
