"""The whole job in one command: two batches, two models, requests all the time, prices and live metrics."""
