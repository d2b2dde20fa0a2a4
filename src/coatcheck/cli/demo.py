"""`coatcheck demo`: the whole story over HTTP, told as client, end user and processor, on a server of its own."""

import json
import re
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import httpx
import typer
from rich.text import Text

from coatcheck.cli import credentials
from coatcheck.cli.console import out
from coatcheck.cli.credentials import Credentials
from coatcheck.errors import OperatorError
from coatcheck.grants.secrets import Kind

Json: TypeAlias = dict[str, Any]

MX_MEDIA_TYPE = "application/vnd.mx.api.v1+json"
PATIENCE = timedelta(seconds=20)
"""For one job of the member."""
SECRETS = frozenset({"value"})
NUMBERS = frozenset({"account_number", "routing_number", "transit_number", "institution_number"})
PERSONAL = frozenset({"owner_name", "first_name", "last_name", "address", "email", "phone"})
LONGEST_OBJECT = 12
LONGEST_LIST = 2
LONGEST_TEXT = 60


def demo(
    data_dir: Annotated[
        Path | None, typer.Option(help="Keep what is made here; else it is gone afterwards.")
    ] = None,
) -> None:
    """Starts a sandbox on a free port and plays the whole story on it, from the first user to a revoked token.

    Example: coatcheck demo
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    began = time.monotonic()
    with _directory(data_dir) as directory, _sandbox(directory) as given:
        _tell(given)
    out.print(f"That was the whole story, in {time.monotonic() - began:.0f} seconds.", style="bold")
    where = f" --data-dir {data_dir}" if data_dir else ""
    command = "coatcheck" if shutil.which("coatcheck") else Path(sys.executable).with_name("coatcheck")
    out.print(f"To keep a server running: {command} sandbox{where}", markup=False)


@contextmanager
def _directory(data_dir: Path | None) -> Iterator[Path]:
    if data_dir is not None:
        yield data_dir.expanduser().resolve()
        return
    with tempfile.TemporaryDirectory(prefix="coatcheck-demo-") as directory:
        yield Path(directory)


@contextmanager
def _sandbox(directory: Path) -> Iterator[Credentials]:
    """A sandbox in a process of its own, from `ready` to its clean stop."""
    command = [sys.executable, "-m", "coatcheck.cli", "sandbox", "--port", "0", "--data-dir", str(directory)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 (our own)
        try:
            assert process.stdout is not None
            if not any(line == "ready\n" for line in process.stdout):
                raise OperatorError("The sandbox did not start; its reason stands above.")
            given = credentials.read(directory)
            assert given is not None
            yield given
        finally:
            process.terminate()
            process.communicate()


def _tell(given: Credentials) -> None:
    processor = given.processors[0]
    with (
        _speaker("client", given.base_url, given.client_id, given.client_api_key) as client,
        _speaker("processor", given.base_url, processor.processor_id, processor.api_key) as redeemer,
        _speaker("processor", given.base_url) as reader,
    ):
        user, member = _connect(client)
        account = _gather(client, user, member)
        code = _hand_over(client, user, member, account)
        _redeem(redeemer, reader, code)
        _read(reader)
        _check_balance(client, reader, user, member)
        _replay(redeemer, reader, code)


def _connect(client: "Speaker") -> tuple[str, str]:
    """The end user's bank, linked by the client; the bank asks a security question on the way."""
    user = client.asks(
        "POST", "/users", {"user": {"id": f"demo-{secrets.token_hex(4)}"}},
        means="The client names its end user; from now on everything hangs below this guid.",
    )["user"]["guid"]  # fmt: skip
    found = client.asks(
        "GET", "/institutions?name=MX+Bank",
        means="The end user searches for a bank. MX Bank is the sandbox's own.",
    )["institutions"]  # fmt: skip
    bank = next(institution["code"] for institution in found if institution["code"] == "mxbank")
    fields = client.asks(
        "GET", f"/institutions/{bank}/credentials", means="This is what the bank wants to be logged in with."
    )["credentials"]
    typed = {"LOGIN": "mxuser", "PASSWORD": "challenge"}
    values = [{"guid": field["guid"], "value": typed[field["field_name"]]} for field in fields]
    member = client.asks(
        "POST", f"/users/{user}/members", {"member": {"institution_code": bank, "credentials": values}},
        expect=202,
        means="The login is sealed in the vault and a job reads the bank. A password of `challenge` makes it ask.",
    )["member"]["guid"]  # fmt: skip
    path = f"/users/{user}/members/{member}"
    client.waits_for(path, "CHALLENGED")
    challenge = client.asks(
        "GET",
        f"{path}/challenges",
        means="The bank asks a security question; the job waits for the end user.",
    )["challenges"][0]["guid"]
    client.asks(
        "PUT", f"{path}/resume", {"member": {"challenges": [{"guid": challenge, "value": "correct"}]}},
        expect=202, as_="end user",
        means="The end user answers in the client's app (in the sandbox `correct` is right), and the job goes on.",
    )  # fmt: skip
    client.waits_for(path, "CONNECTED")
    client.asks("GET", f"{path}/status", means="Connected: accounts and transactions are here.")
    return user, member


def _gather(client: "Speaker", user: str, member: str) -> Json:
    """Numbers and owners, fetched into the vault; the checking account the story goes on with."""
    path = f"/users/{user}/members/{member}"
    client.asks(
        "POST", f"{path}/verify",
        means="Verification fetches full account numbers. They go into the vault, sealed, and nowhere else.",
    )  # fmt: skip
    client.settles(path)
    client.asks(
        "POST",
        f"{path}/identify",
        expect=202,
        means="Identification fetches the accounts' owners, sealed as well.",
    )
    client.settles(path)
    accounts = client.asks(
        "GET",
        f"/users/{user}/accounts",
        means="The client sees accounts and balances and offers the user a choice.",
    )["accounts"]
    chosen: Json = next(account for account in accounts if account["type"] == "CHECKING")
    return chosen


def _hand_over(client: "Speaker", user: str, member: str, account: Json) -> str:
    scope = f"user-guid:{user} member-guid:{member} account-guid:{account['guid']} read-protected"
    code: str = client.asks(
        "POST", "/authorization_code", {"authorization_code": {"scope": scope}},
        means="The ticket: good once, for ten minutes, for this one account. The client passes it to the processor.",
    )["authorization_code"]["code"]  # fmt: skip
    return code


def _redeem(redeemer: "Speaker", reader: "Speaker", code: str) -> None:
    token = redeemer.asks(
        "POST", f"/token?grant_type=authorization_code&code={code}",
        means="The processor swaps the code for a token of its own, good for 60 days for what the scope names.",
    )["access_token"]  # fmt: skip
    reader.http.headers["Authorization"] = f"Bearer {token}"


def _read(reader: "Speaker") -> None:
    reader.asks(
        "GET", "/account/account_numbers",
        means="The processor reads the full numbers (masked here). The client did not touch them.",
    )  # fmt: skip
    reader.asks(
        "GET",
        "/account/account_owners",
        means="The people behind the account, for a name match (masked as well).",
    )
    for page, means in enumerate(
        ("The account's transactions, page by page.", "And the next page."), start=1
    ):
        reader.asks("GET", f"/account/transactions?records_per_page=10&page={page}", means=means)


def _check_balance(client: "Speaker", reader: "Speaker", user: str, member: str) -> None:
    reader.asks(
        "POST",
        "/account/check_balance",
        means="Before it moves money the processor has the balance read anew.",
    )
    client.settles(f"/users/{user}/members/{member}")
    reader.asks("GET", "/payment_account", means="The balance of this moment, with what a payment needs.")


def _replay(redeemer: "Speaker", reader: "Speaker", code: str) -> None:
    redeemer.asks(
        "POST", f"/token?grant_type=authorization_code&code={code}", expect=400,
        means="The same code a second time is refused: somebody may have stolen it (RFC 6749 4.1.2).",
    )  # fmt: skip
    reader.asks(
        "GET", "/account/account_numbers", expect=401,
        means="And the token that it had bought is revoked, so that a thief holds nothing.",
    )  # fmt: skip


@dataclass
class Speaker:
    """Somebody who talks to the server, and prints what is said."""

    name: str
    http: httpx.Client

    def asks(
        self,
        method: str,
        path: str,
        body: Json | None = None,
        *,
        means: str,
        expect: int = 200,
        as_: str = "",
    ) -> Json:
        """Sends one request and prints it, its answer and what it means; the answer's JSON.

        Raises:
            OperatorError: the status was another one than expected.
        """
        answer = self.http.request(method, path, json=body)
        out.print(
            Text.assemble((f"{as_ or self.name:<10}", "bold cyan"), (f"{method} ", "bold"), _masked(path))
        )
        if body is not None:
            out.print(Text(told(body), style="dim"))
        out.print(Text(str(answer.status_code), style="green" if answer.is_success else "yellow"))
        said: Json = answer.json()
        out.print(Text(told(said), style="dim"))
        out.print(Text.assemble(("-> ", "bold"), means))
        out.print()
        if answer.status_code != expect:
            raise OperatorError(f"The story expected {expect} there. Please report it.")
        return said

    def waits_for(self, path: str, *statuses: str) -> str:
        """Polls the member at `path` until it has one of the statuses, and no job unless it is asked something."""
        deadline = time.monotonic() + PATIENCE.total_seconds()
        while time.monotonic() < deadline:
            member = self.http.get(f"{path}/status").raise_for_status().json()["member"]
            status: str = member["connection_status"]
            if status in statuses and (status == "CHALLENGED" or not member["is_being_aggregated"]):
                return status
            time.sleep(0.1)
        raise OperatorError(f"The member did not become {' or '.join(statuses)} in time.")

    def settles(self, path: str) -> None:
        """Waits until the job is done; the end user answers where the bank asks once more."""
        while self.waits_for(path, "CONNECTED", "CHALLENGED") == "CHALLENGED":
            challenges = self.http.get(f"{path}/challenges").raise_for_status().json()["challenges"]
            answers = [{"guid": challenge["guid"], "value": "correct"} for challenge in challenges]
            body = {"member": {"challenges": answers}}
            self.http.put(f"{path}/resume", json=body).raise_for_status()
            out.print(Text.assemble(("end user  ", "bold cyan"), ("PUT ", "bold"), f"{path}/resume"))
            out.print(
                Text.assemble(("-> ", "bold"), "This bank asks at every visit; the end user answers again.")
            )
            out.print()


@contextmanager
def _speaker(name: str, base_url: str, *basic: str) -> Iterator[Speaker]:
    with httpx.Client(
        base_url=base_url,
        auth=(basic[0], basic[1]) if basic else None,
        headers={"Accept": MX_MEDIA_TYPE},
        timeout=30,
        trust_env=False,
    ) as http:
        yield Speaker(name, http)


def told(value: Any) -> str:
    """JSON as the demo shows it: secrets, numbers and people masked, nulls left out, the rest shortened."""
    return json.dumps(_shortened(value), indent=2, ensure_ascii=False)


def _shortened(value: Any, name: str = "") -> Any:
    if isinstance(value, Mapping):
        shown = [(key, item) for key, item in value.items() if item is not None]
        kept: Json = {key: _shortened(item, key) for key, item in shown[:LONGEST_OBJECT]}
        return kept | ({"...": f"{len(shown) - len(kept)} more"} if len(shown) > len(kept) else {})
    if isinstance(value, list):
        rest = len(value) - LONGEST_LIST
        return [_shortened(item) for item in value[:LONGEST_LIST]] + (
            [f"... {rest} more"] if rest > 0 else []
        )
    if name in NUMBERS:
        return f"*****{str(value)[-4:]}"
    if name in PERSONAL:
        return f"{str(value)[:1]}*****"
    if isinstance(value, str):
        return "..." if name in SECRETS else _cut(_masked(value))
    return value


def _masked(text: str) -> str:
    """Secrets of our mint down to a glimpse, long numbers down to their end."""
    text = re.sub(rf"\b((?:{'|'.join(Kind)})_\w{{4}})\w+", r"\1...", text)
    return re.sub(r"(?<![\w-])\d{5,}(?=\d{4}\b)", "*****", text)


def _cut(text: str) -> str:
    """A picture down to its beginning; sentences and scopes stand."""
    return text if " " in text or len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT]}..."
