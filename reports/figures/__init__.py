"""Data to matplotlib figures. Pure: no pyplot, no global state, nothing read from disk; the same data give
the same bytes."""
