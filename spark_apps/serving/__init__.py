"""Serving: exactly one answer in ``predictions`` for each request in ``listings``."""
