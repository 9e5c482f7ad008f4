"""Explanations: which attributes of a listing moved its price, and by how much."""
