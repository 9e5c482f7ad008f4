"""How fast requests are answered: latency at steady rates, and how soon a backlog is gone."""
