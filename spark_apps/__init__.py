"""The data plane: Spark applications for training, serving and monitoring."""
