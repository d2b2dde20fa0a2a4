"""`coatcheck demo`: the whole flow over HTTP, as client, end user and processor, on a server of its own."""

import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from coatcheck.cli.console import AsJson, err, out, print_json
from coatcheck.cli.data_directory import Credentials, read_credentials
from coatcheck.cli.demo_caller import DemoCaller, Json, Step, open_caller
from coatcheck.errors import OperatorError


def demo(
    data_dir: Annotated[
        Path | None,
        typer.Option(help="Keep the data in this directory. Without it, the data is deleted at the end."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Starts a sandbox on a free port and runs the whole flow on it, from the first user to a revoked token.

    Prints each request, its answer and what it means. Secrets, numbers and personal data are masked.

    Example: coatcheck demo
    """
    # SIGTERM unwinds the blocks below as Ctrl-C does: otherwise the sandbox would be left running.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    start = time.monotonic()
    steps: list[Step] = []
    with _directory(data_dir) as directory, _sandbox(directory) as credentials:
        if as_json:
            with err.status("Running the flow"):
                _run_flow(credentials, steps)
        else:
            _run_flow(credentials, None)
    seconds = time.monotonic() - start
    if as_json:
        print_json({"steps": steps, "seconds": round(seconds, 1)})
        return
    out.print(f"That was the whole flow, in {seconds:.0f} seconds.", style="bold")
    where = f" --data-dir {data_dir}" if data_dir else ""
    command = "coatcheck" if shutil.which("coatcheck") else Path(sys.executable).with_name("coatcheck")
    out.print(f"To keep a server running: {command} sandbox --detach{where}", markup=False)


@contextmanager
def _directory(data_dir: Path | None) -> Iterator[Path]:
    if data_dir is not None:
        yield data_dir.expanduser().resolve()
        return
    with tempfile.TemporaryDirectory(prefix="coatcheck-demo-") as directory:
        yield Path(directory)


@contextmanager
def _sandbox(directory: Path) -> Iterator[Credentials]:
    """A sandbox in a process of its own, stopped at the end of the block."""
    command = [sys.executable, "-m", "coatcheck.cli", "sandbox", "--port", "0", "--data-dir", str(directory)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 (this program)
        try:
            assert process.stdout is not None
            if not any(line == "ready\n" for line in process.stdout):
                raise OperatorError("The sandbox did not start. The reason is printed above.")
            credentials = read_credentials(directory)
            assert credentials is not None
            yield credentials
        finally:
            process.terminate()
            process.communicate()


def _run_flow(credentials: Credentials, steps: list[Step] | None) -> None:
    """Sends every request. Where `steps` is given, they are collected there instead of printed."""
    url, processor = credentials.base_url, credentials.processors[0]
    client_login = credentials.client_id, credentials.client_api_key
    processor_login = processor.processor_id, processor.api_key
    with (
        open_caller("client", url, client_login, steps) as client,
        open_caller("processor", url, processor_login, steps) as redeemer,
        open_caller("processor", url, None, steps) as reader,
    ):
        user, member = _connect(client)
        account = _fetch_numbers_and_owners(client, user, member)
        code = _request_code(client, user, member, account)
        _exchange(redeemer, reader, code)
        _read(reader)
        _check_balance(client, reader, user, member)
        _replay(redeemer, code)
        _revoke(client, reader, account)


def _connect(client: DemoCaller) -> tuple[str, str]:
    """The client connects its end user's bank; returns the guids of user and member."""
    user = client.request(
        "POST",
        "/users",
        {"user": {"id": f"demo-{secrets.token_hex(4)}"}},
        means="The client creates its end user. Members, accounts and data belong to this guid.",
    )["user"]["guid"]
    found = client.request(
        "GET",
        "/institutions?name=MX+Bank",
        means="The end user searches for a bank. MX Bank belongs to the sandbox.",
    )["institutions"]
    bank = next(institution["code"] for institution in found if institution["code"] == "mxbank")
    fields = client.request(
        "GET", f"/institutions/{bank}/credentials", means="These are the credentials that the bank asks for."
    )["credentials"]
    typed = {"LOGIN": "mxuser", "PASSWORD": "challenge"}
    values = [{"guid": field["guid"], "value": typed[field["field_name"]]} for field in fields]
    member = client.request(
        "POST",
        f"/users/{user}/members",
        {"member": {"institution_code": bank, "credentials": values}},
        expect=202,
        means="The vault encrypts the credentials, and a job reads the bank. With the password `challenge` the"
        " bank asks a question.",
    )["member"]["guid"]
    _answer_challenge(client, f"/users/{user}/members/{member}")
    return user, member


def _answer_challenge(client: DemoCaller, path: str) -> None:
    client.wait_for(path, "CHALLENGED")
    challenge = client.request(
        "GET",
        f"{path}/challenges",
        means="The bank asks a security question. The job waits for the end user.",
    )["challenges"][0]["guid"]
    client.request(
        "PUT",
        f"{path}/resume",
        {"member": {"challenges": [{"guid": challenge, "value": "correct"}]}},
        expect=202,
        caller="end user",
        means="The end user answers in the client's app, and the job continues. In the sandbox `correct` is right.",
    )
    client.wait_for(path, "CONNECTED")
    client.request("GET", f"{path}/status", means="Connected: accounts and transactions have been read.")


def _fetch_numbers_and_owners(client: DemoCaller, user: str, member: str) -> Json:
    """Returns the checking account of the following steps."""
    path = f"/users/{user}/members/{member}"
    client.request(
        "POST",
        f"{path}/verify",
        means="Verification fetches the full account numbers. They are stored in the vault only, encrypted.",
    )
    client.wait_until_done(path)
    client.request(
        "POST",
        f"{path}/identify",
        expect=202,
        means="Identification fetches the accounts' owners, which are encrypted as well.",
    )
    client.wait_until_done(path)
    accounts = client.request(
        "GET",
        f"/users/{user}/accounts",
        means="The client sees accounts and balances, and lets the user choose an account.",
    )["accounts"]
    chosen: Json = next(account for account in accounts if account["type"] == "CHECKING")
    return chosen


def _request_code(client: DemoCaller, user: str, member: str, account: Json) -> str:
    scope = f"user-guid:{user} member-guid:{member} account-guid:{account['guid']} read-protected"
    code: str = client.request(
        "POST",
        "/authorization_code",
        {"authorization_code": {"scope": scope}},
        means="The code is valid once, for ten minutes, for this one account. The client passes it to the processor.",
    )["authorization_code"]["code"]
    return code


def _exchange(redeemer: DemoCaller, reader: DemoCaller, code: str) -> None:
    token = redeemer.request(
        "POST",
        f"/token?grant_type=authorization_code&code={code}",
        means="The processor exchanges the code for an access token, which is valid for 60 days for this scope.",
    )["access_token"]
    reader.http.headers["Authorization"] = f"Bearer {token}"


def _read(reader: DemoCaller) -> None:
    reader.request(
        "GET",
        "/account/account_numbers",
        means="The processor reads the full numbers, masked here. The client has not seen them.",
    )
    reader.request(
        "GET",
        "/account/account_owners",
        means="The owners of the account, to compare names. Masked as well.",
    )
    for page, means in enumerate(("The account's transactions, the first page.", "The next page."), start=1):
        reader.request("GET", f"/account/transactions?records_per_page=10&page={page}", means=means)


def _check_balance(client: DemoCaller, reader: DemoCaller, user: str, member: str) -> None:
    reader.request(
        "POST",
        "/account/check_balance",
        means="Before it moves money, the processor has the balance read again.",
    )
    client.wait_until_done(f"/users/{user}/members/{member}")
    reader.request("GET", "/payment_account", means="The present balance, and what a payment needs.")


def _replay(redeemer: DemoCaller, code: str) -> None:
    redeemer.request(
        "POST",
        f"/token?grant_type=authorization_code&code={code}",
        expect=400,
        means="The same code is refused the second time. Ten seconds later its token would be revoked too: "
        "it may have been stolen (RFC 6749 4.1.2).",
    )


def _revoke(client: DemoCaller, reader: DemoCaller, account: Json) -> None:
    grants = client.request(
        "GET",
        f"/coatcheck/grants?account_guid={account['guid']}",
        means="The client lists who may read the account, what each may read, and how often it did.",
    )["grants"]
    client.request(
        "POST",
        f"/coatcheck/grants/{grants[0]['guid']}/revoke",
        means="The client revokes the grant. The signed receipt proves it: nothing was read after its instant.",
    )
    reader.request(
        "GET",
        "/account/account_numbers",
        expect=401,
        means="The token of the grant is refused at once, and the processor learns why.",
    )
