"""What the command line says of an error, in one sentence with the remedy. Pure.

Errors are told by the names of their classes: nothing is imported for them that the command did not need.
"""

from __future__ import annotations

_REMEDIES = {
    "LogUnavailableError": "Is Kafka up, and KAFKA_BOOTSTRAP_SERVERS what `pipelines up` printed?",
    "RegistryUnavailableError": "Is MLflow up, and MLFLOW_TRACKING_URI what `pipelines up` printed?",
    "UnansweredError": "Is a model being served? `pipelines status` says so.",
    "StorageUnavailableError": "Is HDFS up, and HDFS_URL what `pipelines up` printed?",
    "KafkaException": "Is KAFKA_BOOTSTRAP_SERVERS the right Kafka? `pipelines doctor` looks at it.",
}


def sentence(error: Exception) -> str | None:
    """Return what to say of an error; None for one that is nobody's to expect, which needs its traceback."""
    kind = type(error).__name__
    remedy = _REMEDIES.get(kind, "")
    if type(error).__module__.startswith("control_plane."):
        return f"{error}. {remedy}".removesuffix(". ")
    if kind == "KafkaException":
        reason = error.args[0].str() if hasattr(error.args[0], "str") else error
        return f"Kafka refuses: {reason}. {remedy}"
    if isinstance(error, OSError) and error.filename and error.strerror:
        return f"{error.filename} cannot be used: {error.strerror}. Give another path"
    return None


def usage(message: str, command: str) -> str:
    """Return what to say of a command that was mistyped."""
    said = " ".join(message.split()).removesuffix(".").replace("Value error, ", "")
    return f"{said}{'' if said.endswith('?') else '.'} `{command} --help` says what it takes"
