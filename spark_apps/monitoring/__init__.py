"""Live error metrics: answers joined with the prices that cars really got, and windows over the two."""
