"""Validates answers with the models of MX's Python SDK; runs in the SDK's own environment, .venv-sdk.

Reads one JSON object a line, {"method", "path", "status", "older", "body"}, and writes one JSON list of problems a
line, or null if the SDK has no such operation. A path has {} for each of its parameters. The SDK is generated from
v20111101: for an answer of v20250224 (`"older": false`) the keys that differ between the versions are left out.
"""

import inspect
import json
import re
import sys
from typing import Any

import mx_platform_python as mx
from pydantic import BaseModel, ValidationError

OPTIONAL = {
    "TransactionIncludesResponse": {"classification", "geolocation", "merchant", "repeating_transaction"},
}
"""Keys that are present only if `includes` names them."""
DIGITS_AS_TEXT = {"account_number", "routing_number"}
"""Of a processor's account number: an integer would lose leading zeros and digits beyond 2**53."""
ONLY_V20250224 = {
    "AccountNumberResponse": {"is_tokenized"},
    "AccountResponse": {"provenance"},
    "InstitutionResponse": {
        "client_status",
        "created_at",
        "guid",
        "is_hidden",
        "status",
        "supported_products",
    },
    "MemberResponse": {"most_recent_job_guid"},
    "PaymentAccountBodyPaymentAccount": {"is_tokenized", "provenance"},
    "ProcessorAccountNumberBodyAccountNumbersInner": {"is_tokenized"},
}
ONLY_V20111101 = re.compile(
    r"InstitutionResponse\.supports_(account_\w+|transaction_history)"
    r"|MemberResponse\.most_recent_job_guid"
    r"|AccountResponse\.(feed_\w+|\w+_set_by|calculated_apr|holdings_value|institution_guid)"
)


def operations() -> dict[tuple[str, str], dict[str, str]]:
    """The names of the models that each operation answers with, by status."""
    found = {}
    for name, api in vars(mx).items():
        if not (name.endswith("Api") and inspect.isclass(api)):
            continue
        for method_name, method in vars(api).items():
            if method_name.endswith("_with_http_info"):
                source = inspect.getsource(method)
                call = re.search(r"call_api\(\s*'([^']+)', '(\w+)'", source)
                models = re.search(r"_response_types_map = \{(.*?)\}", source, re.DOTALL)
                if call:
                    path = re.sub(r"{\w+}", "{}", call[1])
                    listed = re.findall(r"'(\d+)': \"(\w+)\"", models[1]) if models else []
                    found[call[2], path] = dict(listed)
    return found


def problems_of(model: type[BaseModel], value: Any, where: str, *, older: bool) -> list[str]:
    """Missing and unknown keys, at every depth; the models themselves ignore both. Leaves out what may differ."""
    if not isinstance(value, dict):
        return [f"{where}: it is not an object"]
    name = model.__name__
    fields = {field.alias: field for field in model.__fields__.values()}
    missing = fields.keys() - value.keys() - OPTIONAL.get(name, set())
    unknown = value.keys() - fields.keys()
    if not older:
        missing = {key for key in missing if not ONLY_V20111101.fullmatch(f"{name}.{key}")}
        different = ONLY_V20250224.get(name, set())
        unknown -= different
        for key in different:
            value.pop(key, None)
    if name.startswith("ProcessorAccountNumber"):
        for key in DIGITS_AS_TEXT & value.keys():
            value[key] = int(value[key]) if str(value[key]).isdigit() else value[key]
    problems = [f"{where}.{key}: it is missing" for key in sorted(missing)]
    problems += [f"{where}.{key}: MX has no such key" for key in sorted(unknown)]
    for key, field in fields.items():
        if inspect.isclass(field.type_) and issubclass(field.type_, BaseModel) and value.get(key) is not None:
            parts = value[key] if isinstance(value[key], list) else [value[key]]
            for part in parts:
                problems += problems_of(field.type_, part, f"{where}.{key}", older=older)
    return problems


def validate(question: dict[str, Any], models: dict[tuple[str, str], dict[str, str]]) -> list[str] | None:
    operation = question["method"], question["path"]
    if operation not in models:
        return None
    name = models[operation].get(str(question["status"]))
    if name is None:
        return [f"the SDK has no answer with status {question['status']}"]
    model = getattr(mx, name)
    problems = problems_of(model, question["body"], name, older=question["older"])
    if not problems:
        try:
            model.from_dict(question["body"])
        except (ValidationError, AttributeError, TypeError) as error:
            problems = [str(error)]
    return problems


def main() -> None:
    models = operations()
    for line in sys.stdin:
        print(json.dumps(validate(json.loads(line), models)), flush=True)


if __name__ == "__main__":
    main()
