"""Documents the events of the catalogue: the `webhooks` of the OpenAPI document, and an example of each."""

import re
from typing import Any, TypeAlias

from coatcheck.events.catalogue import CATALOGUE, FIELDS, DataField, Described, EventType, sample
from coatcheck.http import doc
from coatcheck.http.encoding import PLAIN_JSON

Node: TypeAlias = dict[str, Any]

AT = "2026-11-26T12:00:00.000000Z"
HEADERS: tuple[tuple[str, str, str], ...] = (
    ("webhook-id", "The guid of the event. It is the same at every attempt.", doc.EVENT),
    ("webhook-timestamp", "When it was sent, in seconds since 1970.", "1795694400"),
    (
        "webhook-signature",
        "Signatures of the Standard Webhooks scheme, separated by spaces: one by each secret that is valid.",
        "v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4=",
    ),
)


def webhooks() -> Node:
    """The `webhooks` of the OpenAPI document: one for each type of event."""
    return {each.value: {"post": _operation(each, described)} for each, described in CATALOGUE.items()}


def example(event_type: EventType) -> Node:
    """An event of the type, as it is delivered."""
    data = sample(event_type)
    return {
        "data": data,
        "due_at": AT,
        "guid": doc.EVENT,
        "object": data[CATALOGUE[event_type].object],
        "occurred_at": AT,
        "sequence": 1,
        "type": event_type.value,
    }


def recipients(described: Described) -> str:
    return "Clients and processors." if described.is_for_processors else "Clients."


def _operation(event_type: EventType, described: Described) -> Node:
    words = re.split(r"[._]", event_type.value)
    return {
        "operationId": "on" + "".join(word.title() for word in words),
        "tags": ["Webhook endpoints"],
        "summary": event_type.value,
        "description": f"{described.summary} Sent to: {recipients(described).lower()}",
        "security": [],
        "parameters": [
            {
                "name": name,
                "in": "header",
                "required": True,
                "description": description,
                "schema": {"type": "string"},
                "example": value,
            }
            for name, description, value in HEADERS
        ],
        "requestBody": {
            "required": True,
            "content": {
                PLAIN_JSON: {"schema": _schema(event_type, described), "example": example(event_type)}
            },
        },
        "responses": {
            "2XX": {"description": "Received."},
            "410": {"description": "Gone: the endpoint is paused."},
            "default": {"description": "Tried again, up to 12 times over about 24 hours."},
        },
    }


def _schema(event_type: EventType, described: Described) -> Node:
    instant = {"type": "string", "format": "date-time"}
    data = {name: _field(FIELDS[name], is_nullable=name in described.nullable) for name in described.fields}
    properties = {
        "guid": {"type": "string", "description": "The guid of the event."},
        "type": {"const": event_type.value, "description": "The type of the event."},
        "occurred_at": instant | {"description": "When it was announced."},
        "due_at": instant | {"description": "When it fell due, if time caused it."},
        "sequence": {"type": "integer", "description": "Counts your events about the object.", "minimum": 1},
        "object": {"type": "string", "description": f"What it is about: `data.{described.object}`."},
        "data": {
            "type": "object",
            "description": "What happened.",
            "required": list(described.fields),
            "properties": data,
        },
    }
    return {"type": "object", "required": list(properties), "properties": properties}


def _field(field: DataField, *, is_nullable: bool) -> Node:
    names: dict[type, str] = {str: "string", int: "integer", list: "array"}
    kind = names[type(field.example)]
    node: Node = {"type": [kind, "null"] if is_nullable else kind, "description": field.description}
    if kind == "array":
        node["items"] = {"type": "string"}
    return node
