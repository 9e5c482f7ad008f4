"""Drift: how unlike live traffic is to what a model version was trained on."""
