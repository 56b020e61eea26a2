"""Benchmarks: `python -m tests.bench` runs every `bench_*` module here and prints their figures."""
