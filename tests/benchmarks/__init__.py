"""Timings, compared within one run: ``make bench-…``; no part of ``make test``."""
