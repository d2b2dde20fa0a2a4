"""The callers of the demo: they send requests and print them, with secrets, numbers and personal data masked."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeAlias

import httpx
from rich.text import Text

from coatcheck.cli.console import out
from coatcheck.errors import OperatorError
from coatcheck.grants import secrets

Json: TypeAlias = dict[str, Any]
Step: TypeAlias = Mapping[str, Any]
"""One request, its answer and what it means, masked."""

MX_MEDIA_TYPE = "application/vnd.mx.api.v1+json"
JOB_TIMEOUT = timedelta(seconds=20)
SECRETS = frozenset({"value"})
NUMBERS = frozenset({"account_number", "routing_number", "transit_number", "institution_number"})
PERSONAL = frozenset({"owner_name", "first_name", "last_name", "address", "email", "phone"})
MAX_FIELDS = 12
MAX_ITEMS = 2
MAX_CHARACTERS = 60


@dataclass
class DemoCaller:
    name: str
    """`client`, `end user` or `processor`."""
    http: httpx.Client
    steps: list[Step] | None = None
    """Where steps are collected instead of printed."""

    def request(
        self,
        method: str,
        path: str,
        body: Json | None = None,
        *,
        means: str,
        expect: int = 200,
        caller: str = "",
    ) -> Json:
        """Sends one request, reports it with its answer and what it means, and returns the JSON of the answer.

        Raises:
            OperatorError: the answer has another status than `expect`.
        """
        response = self.http.request(method, path, json=body)
        answer: Json = response.json()
        step = {
            "caller": caller or self.name,
            "method": method,
            "path": _mask_text(path),
            "request": None if body is None else _shorten(body),
            "status": response.status_code,
            "response": _shorten(answer),
            "means": means,
        }
        self._report(step)
        if response.status_code != expect:
            raise OperatorError(f"The demo expected the status {expect}. Please report this.")
        return answer

    def wait_for(self, path: str, *statuses: str) -> str:
        """Polls the member at `path` until it has one of the statuses, and no job runs unless it is CHALLENGED."""
        deadline = time.monotonic() + JOB_TIMEOUT.total_seconds()
        while time.monotonic() < deadline:
            member = self.http.get(f"{path}/status").raise_for_status().json()["member"]
            status: str = member["connection_status"]
            if status in statuses and (status == "CHALLENGED" or not member["is_being_aggregated"]):
                return status
            time.sleep(0.1)
        raise OperatorError(f"The member did not become {' or '.join(statuses)} in time.")

    def wait_until_done(self, path: str) -> None:
        """Waits until the member's job has ended, and answers the bank's question if it asks again."""
        while self.wait_for(path, "CONNECTED", "CHALLENGED") == "CHALLENGED":
            challenges = self.http.get(f"{path}/challenges").raise_for_status().json()["challenges"]
            answers = [{"guid": challenge["guid"], "value": "correct"} for challenge in challenges]
            self.request(
                "PUT",
                f"{path}/resume",
                {"member": {"challenges": answers}},
                expect=202,
                caller="end user",
                means="This bank asks at every job. The end user answers again.",
            )

    def _report(self, step: Step) -> None:
        if self.steps is not None:
            self.steps.append(step)
            return
        out.print(
            Text.assemble(
                (f"{step['caller']:<10}", "bold cyan"), (f"{step['method']} ", "bold"), step["path"]
            )
        )
        if step["request"] is not None:
            out.print(Text(_dump(step["request"]), style="dim"))
        out.print(Text(str(step["status"]), style="green" if step["status"] < 300 else "yellow"))
        out.print(Text(_dump(step["response"]), style="dim"))
        out.print(Text.assemble(("-> ", "bold"), step["means"]))
        out.print()


@contextmanager
def open_caller(
    name: str, base_url: str, login: tuple[str, str] | None, steps: list[Step] | None
) -> Iterator[DemoCaller]:
    """A caller with this login for HTTP Basic. Without one, it needs a bearer token."""
    with httpx.Client(
        base_url=base_url, auth=login, headers={"Accept": MX_MEDIA_TYPE}, timeout=30, trust_env=False
    ) as http:
        yield DemoCaller(name, http, steps)


def mask(value: Any) -> str:
    """JSON text in which secrets, numbers and personal data are masked, nulls left out, and the rest shortened."""
    return _dump(_shorten(value))


def _dump(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)


def _shorten(value: Any, name: str = "") -> Any:
    if isinstance(value, Mapping):
        present = [(key, item) for key, item in value.items() if item is not None]
        first: Json = {key: _shorten(item, key) for key, item in present[:MAX_FIELDS]}
        rest = len(present) - len(first)
        return first | ({"...": f"{rest} more"} if rest else {})
    if isinstance(value, list):
        rest = len(value) - MAX_ITEMS
        return [_shorten(item) for item in value[:MAX_ITEMS]] + ([f"... {rest} more"] if rest > 0 else [])
    if name in NUMBERS:
        return f"*****{str(value)[-4:]}"
    if name in PERSONAL:
        return f"{str(value)[:1]}*****"
    if isinstance(value, str):
        return "..." if name in SECRETS else _cut(_mask_text(value))
    return value


def _mask_text(text: str) -> str:
    """Shows the first characters of a generated secret, and the last digits of a long number."""
    text = re.sub(rf"\b((?:{'|'.join(secrets.Kind)})_\w{{4}})\w+", r"\1...", text)
    return re.sub(r"(?<![\w-])\d{5,}(?=\d{4}\b)", "*****", text)


def _cut(text: str) -> str:
    """Cuts a long text without spaces, such as a picture. Sentences and scopes stay whole."""
    return text if " " in text or len(text) <= MAX_CHARACTERS else f"{text[:MAX_CHARACTERS]}..."
