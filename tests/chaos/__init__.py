"""The fault campaign: real servers, faults by the seed, and whether each request got one answer."""
