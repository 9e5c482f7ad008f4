"""The outside world: listings as the crawler writes them, batches, requests and prices."""
