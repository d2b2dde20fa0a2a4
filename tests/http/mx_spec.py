"""MX's published OpenAPI documents as an oracle of answers: the types, and exactly the keys.

validate("v20111101", "readUser", 200, body)
validate("v20250224", ("GET", "/users/{user_guid}"), 200, body)
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import jsonschema
import pytest
import yaml

FOLDER = Path(__file__).resolve().parents[2].parent / "shared" / "spec"
VERSIONS = ("v20111101", "v20250224")
METHODS = ("get", "put", "post", "delete", "patch")
MISSING = "MX's OpenAPI documents are not in ../shared/spec"
ADDS = (
    "the nullability, the status and the media type of every answer, the keys that only v20250224 has, arbitrary "
    "records, and that every operation of MX is either served or listed as not served"
)
"""What the tests check that are skipped without them."""

needs_specs = pytest.mark.skipif(not FOLDER.is_dir(), reason=MISSING)

Schema: TypeAlias = dict[str, Any]
Operation: TypeAlias = str | tuple[str, str]

NULL: Schema = {"type": "null"}
NUMBER_AS_TEXT: Schema = {"type": ["string", "null"]}


@dataclass(frozen=True)
class Defect:
    """A place where a spec is wrong, and the values that an answer may have there nevertheless."""

    where: str
    """`Schema.property`, further down with more dots."""
    allows: Schema
    why: str
    versions: tuple[str, ...] = VERSIONS


V1, V2 = VERSIONS[:1], VERSIONS[1:]
REPORTED_BY_BANK = "not every bank reports it, and it is nullable in v20111101"
OWNER = "it is nullable for clients, and processors read the same data"
DEPOSITOR = "optional in the request, and null if it was not given"

DEFECTS: tuple[Defect, ...] = (
    Defect("UserResponse.email", NULL, "createUser requires no email, and it is nullable in v20111101", V2),
    Defect("AccountOwnerResponse.email", NULL, REPORTED_BY_BANK, V2),
    Defect("InstitutionResponse.created_at", NULL, "not every connector knows it", V2),
    Defect("MicrodepositResponse.institution_code", NULL, "no institution is known by that routing number"),
    Defect("MicrodepositResponse.institution_name", NULL, "no institution is known by that routing number"),
    Defect("MicrodepositElements.account_name", NULL, DEPOSITOR),
    Defect("MicrodepositElements.email", NULL, DEPOSITOR),
    Defect("MicrodepositElements.first_name", NULL, DEPOSITOR),
    Defect("MicrodepositElements.last_name", NULL, DEPOSITOR),
    Defect(
        "MicrodepositElements.account_type",
        {"enum": [""]},
        "required, but unknown while a deposit is pre-initiated, and MX's SDKs refuse null",
        V2,
    ),
    Defect(
        "ProcessorAccountNumber.account_number",
        NUMBER_AS_TEXT,
        "an integer loses leading zeros and digits beyond 2**53; loans have no account number",
    ),
    Defect(
        "ProcessorAccountNumber.routing_number",
        NUMBER_AS_TEXT,
        "an integer loses leading zeros; Canadian accounts have none",
    ),
    *(
        Defect(f"ProcessorOwner.{name}", NULL, OWNER, V2)
        for name in ("owner_name", "address", "city", "state", "postal_code", "email", "phone")
    ),
    Defect("PaymentAccount.account_name", NULL, REPORTED_BY_BANK, V2),
    Defect("PaymentAccount.balance", NULL, REPORTED_BY_BANK, V2),
    Defect("PaymentAccount.available_balance", NULL, REPORTED_BY_BANK, V2),
    Defect("TransactionIncludesResponse.geolocation.country", NULL, REPORTED_BY_BANK, V1),
    Defect("TransactionIncludesResponse.geolocation.city", NULL, REPORTED_BY_BANK, V1),
    Defect("TransactionIncludesResponse.geolocation.state", NULL, REPORTED_BY_BANK),
    Defect("TransactionIncludesResponse.geolocation.postal code", NULL, REPORTED_BY_BANK),
    Defect("TransactionIncludesResponse.merchant.logo_url", NULL, "not every merchant has one"),
    Defect("TransactionIncludesResponse.merchant.website_url", NULL, "not every merchant has one"),
    Defect(
        "TransactionIncludesResponse.repeating_transaction.recurrence_type",
        NULL,
        "the enum holds EVERY_OTHER_WEEK alone, which most series are not",
    ),
)

IS_TOKENIZED: Schema = {"type": "boolean", "nullable": True}
ADDED: Mapping[str, Mapping[str, Schema]] = {
    "v20250224": {
        "InstitutionResponse": {name: {"type": "string"} for name in ("client_status", "status")},
        "AccountResponse": {"provenance": {"type": "object"}},
        "AccountNumberResponse": {"is_tokenized": IS_TOKENIZED},
        "ProcessorAccountNumber": {"is_tokenized": IS_TOKENIZED},
        "PaymentAccount": {
            "is_tokenized": IS_TOKENIZED,
            "provenance": {"type": "object", "nullable": True},
        },
    }
}
"""Keys that later editions of a document have, by schema, and `provenance` and `is_tokenized`, which are ours."""

OPTIONAL = frozenset(
    f"TransactionIncludesResponse.{name}"
    for name in ("classification", "geolocation", "merchant", "repeating_transaction")
)
"""Keys that may be absent: the ones that `includes` asks for."""


class Spec:
    """One of MX's OpenAPI 3.0 documents."""

    def __init__(self, version: str) -> None:
        self.version = version
        self.document = yaml.load((FOLDER / f"{version}.yml").read_text(), yaml.CSafeLoader)
        self.components: Mapping[str, Schema] = self.document["components"]["schemas"]
        self.operations = {operation["operationId"]: operation for _, _, operation in self.walk()}
        self.by_path = {(method, path): operation for method, path, operation in self.walk()}
        self.defects = {each.where: each for each in DEFECTS if version in each.versions}

    def walk(self) -> Iterator[tuple[str, str, Schema]]:
        for path, methods in self.document["paths"].items():
            for method, operation in methods.items():
                if method in METHODS:
                    yield method.upper(), path, operation

    def operation(self, key: Operation) -> Schema:
        return self.operations[key] if isinstance(key, str) else self.by_path[key]

    @cache  # noqa: B019 (there are two of these for the whole run)
    def answer(self, key: Operation, status: int) -> tuple[frozenset[str], Schema | None]:
        """The media types of an answer and its JSON schema; None where it has no body or is no JSON."""
        content = self.operation(key)["responses"][str(status)].get("content", {})
        nodes = [kind["schema"] for name, kind in content.items() if name.endswith("json")]
        return frozenset(content), self.strict(nodes[0], "") if nodes else None

    def strict(self, node: Schema, where: str) -> Schema:
        """A node as JSON Schema that requires every key that it names and allows no other.

        `items` without `type: array`, as MX writes in five places, means an array.
        """
        if "$ref" in node:
            name = node["$ref"].rpartition("/")[2]
            return self.strict(self.components[name], name)
        if properties := self.properties(node, where):
            required = [name for name, (_, path) in properties.items() if path not in OPTIONAL]
            schema: Schema = {
                "type": "object",
                "properties": {name: self.lenient(part, path) for name, (part, path) in properties.items()},
                "required": required,
                "additionalProperties": False,
            }
        elif "items" in node:
            schema = {"type": "array", "items": self.strict(node["items"], where)}
        else:
            schema = {key: node[key] for key in ("type", "enum") if key in node}
        return {"anyOf": [schema, NULL]} if node.get("nullable") else schema

    def lenient(self, node: Schema, where: str) -> Schema:
        defect = self.defects.get(where)
        schema = self.strict(node, where)
        return {"anyOf": [schema, defect.allows]} if defect else schema

    def properties(self, node: Schema, where: str) -> dict[str, tuple[Schema, str]]:
        """Every property of a node and of the nodes in its `allOf`, with its path."""
        if "$ref" in node:
            name = node["$ref"].rpartition("/")[2]
            return self.properties(self.components[name], name)
        found: dict[str, tuple[Schema, str]] = {}
        for part in node.get("allOf", ()):
            found |= self.properties(part, where)
        properties = node.get("properties", {}) | ADDED.get(self.version, {}).get(where, {})
        own = {name: (part, f"{where}.{name}") for name, part in properties.items()}
        return found | own


@cache
def spec(version: str) -> Spec:
    return Spec(version)


def validate(
    version: str, operation: Operation, status: int, body: bytes, media_type: str | None = None
) -> None:
    """Fails unless the spec of `version` allows this answer.

    Args:
        version: `v20111101` or `v20250224`.
        operation: an operationId, or a method and a path as the spec spells it.
        status: must be declared.
        body: empty where the spec has none.
        media_type: the answer's Content-Type, to be checked too: what the spec names, or plain JSON.
    """
    media_types, schema = spec(version).answer(operation, status)
    if media_type is not None and body:
        assert media_type.partition(";")[0] in media_types | {"application/json"}, media_type
    if schema is None:
        assert media_types or not body, f"{operation} {status} has no body"
        return
    problems = sorted(
        f"{error.json_path}: {error.message[:300]}"
        for error in jsonschema.Draft202012Validator(schema).iter_errors(json.loads(body))
    )
    assert not problems, f"{version} {operation} {status}\n" + "\n".join(problems)
