"""The embedded default: real Kafka, HDFS and MLflow as processes of this machine, bound to 127.0.0.1."""
