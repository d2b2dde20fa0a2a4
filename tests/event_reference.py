"""docs/reference/events.md, from the catalogue of events. `make events` writes it again."""

import json

from coatcheck.events.catalogue import CATALOGUE, FIELDS, Described, EventType
from coatcheck.http.event_documentation import example, recipients
from tests.guides import ROOT

DOCUMENT = ROOT / "docs" / "reference" / "events.md"
HEAD = """# Events

An event is sent to the webhook endpoints of its owner (`/coatcheck/webhook_endpoints`), and listed at
`/coatcheck/events` for 30 days. [How to receive events](../how-to/webhooks.md) says how to verify and answer one. MX's
own webhooks are [something else](../how-to/clients.md#webhooks).

Every event has these fields:

| field | meaning |
|---|---|
| `guid` | The event. The header `webhook-id` has it too. It is the same at every attempt. |
| `type` | One of the types below. |
| `occurred_at` | When it was announced: the time of the transaction that caused it. |
| `due_at` | When it fell due, if time caused it, such as an expiry. Otherwise as `occurred_at`. |
| `object` | The guid of what it is about. |
| `sequence` | 1 for your first event about the object, and one more for each. They are delivered in this order. |
| `data` | Depends on the type. It contains guids, names, times and counts: no secret and no data of an account. |

A processor gets events about its own grants only. In a sandbox, `coatcheck listen` shows the events of the client, and
`coatcheck trigger TYPE` causes one.
"""


def generated() -> str:
    overview = "".join(
        f"| [`{each}`](#{_anchor(each)}) | {described.summary} | {recipients(described)} |\n"
        for each, described in CATALOGUE.items()
    )
    sections = "".join(_section(each, described) for each, described in CATALOGUE.items())
    return f"{HEAD}\n| type | when | sent to |\n|---|---|---|\n{overview}{sections}"


def written() -> str:
    return DOCUMENT.read_text()


def _anchor(event_type: EventType) -> str:
    return event_type.value.replace(".", "")


def _section(event_type: EventType, described: Described) -> str:
    rows = "".join(_row(name, described) for name in described.fields)
    shown = json.dumps(example(event_type), indent=2)
    return (
        f"\n## {event_type.value}\n\n{described.summary} `object` is `data.{described.object}`.\n\n"
        f"| field of `data` | meaning |\n|---|---|\n{rows}\n```json\n{shown}\n```\n"
    )


def _row(name: str, described: Described) -> str:
    null = " May be null." if name in described.nullable else ""
    return f"| `{name}` | {FIELDS[name].description}{null} |\n"


if __name__ == "__main__":
    DOCUMENT.write_text(generated())
