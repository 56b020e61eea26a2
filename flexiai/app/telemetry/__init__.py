"""Metrics that are right across the workers of one instance: each counts in a file that all of them can read."""
