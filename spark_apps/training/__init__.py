"""From a batch of listings with prices to a registered model: members, stack, intervals, record."""
