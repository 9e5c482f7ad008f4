"""``pipelines doctor``: what is in the way of the system here, and what to do about it."""
