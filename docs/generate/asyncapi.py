"""The topics as an AsyncAPI 3.0 document, from the classes that write and read their records. Pure."""

from __future__ import annotations

import json
from typing import Any, TypeAlias

import msgspec
from pydantic import BaseModel  # noqa: TC002
from pydantic.json_schema import models_json_schema

from control_plane import __version__, events, records, topics
from control_plane.settings import Servers, Topics
from docs.generate import examples

Json: TypeAlias = dict[str, Any]

_SCHEMAS = "#/components/schemas/"
_METRICS = (records.ErrorWindow, records.DriftWindow, records.EstimateWindow)
_RECORDS = (records.Request, records.Price, records.Answer, *_METRICS)
_DATA = {
    topics.LISTINGS: ("Request", "Price"),
    topics.PREDICTIONS_SHADOW: ("Answer",),
    topics.PREDICTIONS: ("Answer",),  # the last one is whose words the message has
    topics.OUTCOMES: ("Outcome",),
    topics.METRICS: tuple(one.__name__ for one in _METRICS),
}
_ABOUT = {
    topics.LISTINGS: "What the outside world says: requests for a price, and what cars really got.",
    topics.PREDICTIONS: "The answer to each request, in its request's partition, in the order of requests.",
    topics.PREDICTIONS_SHADOW: "What a shadow would have answered; nobody is served by it.",
    topics.OUTCOMES: "Each answered request whose price came.",
    topics.METRICS: "Live errors, errors to expect, and drift: records of windows by model version.",
    topics.CONTROL_BATCHES: "The life of every batch.",
    topics.CONTROL_MODELS: "The life of every model version.",
    topics.CONTROL_SERVERS: "What each serving server said last of itself; a tombstone says that it is gone.",
}
_KEYS = {
    topics.METRICS: "kind, window, model version, and model or feature where there is one, parted by slashes",
    topics.CONTROL_BATCHES: "the batch id",
    topics.CONTROL_MODELS: "the model version",
    topics.CONTROL_SERVERS: "the server's name",
}
_INFO = f"""\
The topics are what others write against, with HDFS for batches. Times are ISO 8601 in UTC with milliseconds,
money is US dollars. Records of the data topics carry the broker's clock (LogAppendTime). Control topics have
one partition each, and those of batches and models are kept for ever.

Of several answers for one (partition, offset) the first counts. Every record of {topics.LISTINGS} that is no
well-formed price gets an answer: a price, or a rejection with its reason."""


def document() -> Json:
    """Return the document."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Used-car prices, end to end",
            "version": __version__,
            "description": _INFO,
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {
            "kafka": {
                "host": Servers.model_fields["kafka_bootstrap_servers"].default,
                "protocol": "kafka",
                "description": "The brokers that KAFKA_BOOTSTRAP_SERVERS names.",
            }
        },
        "channels": {
            topic.name: _channel(topic)
            for topic in topics.wanted(Topics.model_construct())
            if topic.name in _ABOUT
        },
        "operations": operations(),
        "components": {"messages": messages(), "schemas": schemas()},
    }


def names(topic: str) -> tuple[str, ...]:
    """Return the names of the messages of a topic."""
    if topic == topics.CONTROL_SERVERS:
        return ("ServerAnnouncement",)
    return _DATA.get(topic) or tuple(
        name for name, event in events.EVENT_TYPES.items() if event.topic == topic
    )


def _channel(topic: topics.Topic) -> Json:
    configuration: Json = {
        key: int(value) if key == "retention.ms" else value for key, value in topic.config.items()
    }
    if policy := configuration.get("cleanup.policy"):
        configuration["cleanup.policy"] = [policy]
    return {
        "address": topic.name,
        "description": _ABOUT[topic.name],
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in names(topic.name)},
        "bindings": {
            "kafka": {
                "partitions": topic.partitions,
                "topicConfiguration": configuration,
                "bindingVersion": "0.5.0",
            }
        },
    }


def operations() -> Json:
    """Return what the system does with the topics, as seen from within it."""
    return {
        "answerRequests": _operation("receive", topics.LISTINGS, "Request")
        | {"reply": _through(topics.PREDICTIONS, "Answer")},
        "tellWhatAShadowSays": _operation("send", topics.PREDICTIONS_SHADOW, "Answer"),
        "takePrices": _operation("receive", topics.LISTINGS, "Price"),
        "tellOutcomes": _operation("send", topics.OUTCOMES, "Outcome"),
        "tellMetrics": _operation("send", topics.METRICS, *names(topics.METRICS)),
        "tellOfBatches": _operation("send", topics.CONTROL_BATCHES, *names(topics.CONTROL_BATCHES)),
        "takeTrainingRequests": _operation("receive", topics.CONTROL_BATCHES, events.TrainingRequested.type),
        "tellOfModels": _operation("send", topics.CONTROL_MODELS, *names(topics.CONTROL_MODELS)),
        "takeRollbackRequests": _operation("receive", topics.CONTROL_MODELS, events.RollbackRequested.type),
        "takeShadowRequests": _operation(
            "receive", topics.CONTROL_MODELS, events.ShadowRequested.type, events.ShadowStopped.type
        ),
        "tellOfServers": _operation("send", topics.CONTROL_SERVERS, "ServerAnnouncement"),
    }


def _operation(action: str, topic: str, *messages: str) -> Json:
    return {"action": action} | _through(topic, *messages)


def _through(topic: str, *messages: str) -> Json:
    channel = f"#/channels/{topic}"
    return {"channel": {"$ref": channel}, "messages": [{"$ref": f"{channel}/messages/{m}"} for m in messages]}


def messages() -> Json:
    """Return the messages by name."""
    of_data = {name: _record(topic, name) for topic, found in _DATA.items() for name in found}
    of_control = {name: _event(name) for name in events.EVENT_TYPES}
    return (
        of_data | of_control | {"ServerAnnouncement": _record(topics.CONTROL_SERVERS, "ServerAnnouncement")}
    )


def _record(topic: str, name: str) -> Json:
    message: Json = {
        "name": name,
        "summary": _ABOUT[topic] if len(names(topic)) == 1 else first_line(_class(name)),
        "payload": {"$ref": _SCHEMAS + name},
        "bindings": _keyed(topic),
        "examples": [{"payload": payload(name)}],
    }
    if topic in _DATA and topic != topics.METRICS:
        message["correlationId"] = {"location": "$message.payload#/request_id"}
    return message


def _event(name: str) -> Json:
    event = events.EVENT_TYPES[name]
    constants = {"specversion": "1.0", "type": name, "datacontenttype": "application/json"}
    texts = ("id", "source", "subject")
    properties: Json = {
        **{key: {"const": value} for key, value in constants.items()},
        **{key: {"type": "string"} for key in texts},
        "time": {"type": "string", "format": "date-time"},
        "data": {"$ref": _SCHEMAS + event.__name__},
    }
    return {
        "name": name,
        "summary": first_line(event),
        "contentType": events.CONTENT_TYPE,
        "headers": {
            "type": "object",
            "required": ["content-type"],
            "properties": {"content-type": {"const": events.CONTENT_TYPE}},
        },
        "payload": {"type": "object", "required": list(properties), "properties": properties},
        "bindings": _keyed(event.topic),
        "examples": [{"payload": payload(name)}],
    }


def _keyed(topic: str) -> Json:
    key = {"type": "string", "description": _KEYS.get(topic, "the request id")}
    return {"kafka": {"key": key, "bindingVersion": "0.5.0"}}


def schemas() -> Json:
    """Return the schemas of the records and of the events' data."""
    models: list[type[BaseModel]] = [*events.EVENT_TYPES.values(), events.ServerAnnouncement]
    _, of_events = models_json_schema(
        [(model, "serialization") for model in models], ref_template=_SCHEMAS + "{model}"
    )
    _, of_records = msgspec.json.schema_components(_RECORDS, ref_template=_SCHEMAS + "{name}")
    found = of_records | {"Outcome": _outcome(of_records["Answer"])} | of_events["$defs"]
    return {name: _tidy(schema) for name, schema in found.items()}


def _outcome(answer: Json) -> Json:
    # As it is written. The class that reads it, records.Outcome, does without what no window needs.
    theirs = {
        "request_id": {"type": "string"},
        "status": {"enum": ["predicted"]},
        "price": {"type": "number"},
        "actual": {"type": "number", "description": "what the car really got"},
        "priced_at": {"anyOf": [{"type": "string"}, {"type": "null"}]},
    }
    return {
        "title": "Outcome",
        "description": "A record of ``outcomes``: an answer's fields and what the car really got.",
        "type": "object",
        "properties": answer["properties"] | theirs,
        "required": [*answer["required"], "actual", "priced_at"],
    }


def _tidy(schema: Any) -> Any:
    """Leave out the titles that only repeat a field's name, and the marks of reStructuredText."""
    if isinstance(schema, list):
        return [_tidy(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {
        key: _tidy(value) for key, value in schema.items() if key != "title" or not isinstance(value, str)
    }
    if isinstance(kept.get("description"), str):
        kept["description"] = kept["description"].replace("``", "`")
    return kept


def payload(name: str) -> Json:
    """Return an example's value, as it stands in the topic."""
    by_type = {event.type: event for event in examples.EVENTS}
    if name in by_type:
        return dict(json.loads(events.encode(by_type[name], source="/control-plane", time=examples.NOON)[1]))
    if name == "ServerAnnouncement":
        return dict(json.loads(examples.ANNOUNCEMENT.encode()))
    answer = _written(examples.ANSWER)
    outcome = answer | {"actual": examples.PRICE.price, "priced_at": examples.PRICE.priced_at}
    data = {
        "Request": _written(examples.REQUEST),
        "Price": _written(examples.PRICE),
        "Answer": answer,
        "Outcome": outcome,
        **{type(window).__name__: _written(window) for window in examples.WINDOWS},
    }
    return data[name]


def _written(record: msgspec.Struct) -> Json:
    """Return the record as JSON has it, its times with milliseconds."""
    times = {
        name: value
        for name in record.__struct_fields__
        if hasattr(value := getattr(record, name), "astimezone")
    }
    return dict(msgspec.to_builtins(record)) | {name: events.iso(value) for name, value in times.items()}


def _class(name: str) -> type:
    found: type = getattr(records, name, None) or getattr(events, name)
    return found


def first_line(documented: type) -> str:
    """Return the first line of a docstring, without its marks of reStructuredText."""
    return (documented.__doc__ or "").strip().splitlines()[0].replace("``", "`")
