"""What the topics say, as Prometheus metrics; ``exporter.Exporter`` is the part that others mount."""
