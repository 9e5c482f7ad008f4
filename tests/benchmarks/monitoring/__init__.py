"""How many answers and prices a second the monitoring application joins on one core, and where time goes."""
