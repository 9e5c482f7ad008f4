"""Makes what is generated in ``docs/`` from the code: ``python -m docs.generate``, which is ``make docs``."""
