"""Decides and launches: watches for batches and models, trains, rolls out, keeps the audit log."""

__version__ = "0.1.0"
