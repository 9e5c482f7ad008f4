"""How a decision becomes real: as local processes, or in Kubernetes."""
