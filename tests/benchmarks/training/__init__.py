"""How long a training takes: against boosting alone on the same rows, and as rows become more."""
