"""A sandbox in a process of its own, and the calls that a test makes to it. The fixtures of `coatcheck.pytest` use it.

It is called through its public API only, so it works for any sandbox, also one that runs in a container.
"""

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any, Self

import httpx

MX_JSON = "application/vnd.mx.api.v1+json"
TIMEOUT = timedelta(seconds=120)
"""For each request but a move of the clock."""
MOVE_TIMEOUT = timedelta(hours=1)
"""Moving the clock by a year runs a year's work."""
NO_HEADERS: Mapping[str, str] = MappingProxyType({})
STOP = timedelta(seconds=15)


UNREACHABLE = httpx.TransportError
"""What a call raises if the sandbox does not answer."""


class SandboxFailed(Exception):
    """The sandbox did not start, or refused a call of a fixture."""


@dataclass(frozen=True, slots=True)
class ProcessorKey:
    processor_id: str
    api_key: str = field(repr=False)
    name: str


@dataclass(frozen=True, slots=True)
class Connection:
    """A connected member."""

    user_guid: str
    member_guid: str
    account_guids: Sequence[str]


@dataclass(frozen=True, slots=True)
class Token:
    access_token: str = field(repr=False)
    grant_guid: str
    user_guid: str
    member_guid: str
    account_guid: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Code:
    """An authorization code that no processor has redeemed, and what its scope names."""

    code: str = field(repr=False)
    user_guid: str
    member_guid: str
    account_guid: str


class SandboxClock:
    """The clock of the sandbox. It runs, only moves forward, and everything falls due by it."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client

    def now(self) -> datetime:
        clock = _body(self._client.get("/coatcheck/sandbox/clock"))["clock"]
        return datetime.fromisoformat(clock["now"])

    def advance(self, duration: timedelta | str) -> Mapping[str, int]:
        """Moves the clock forward and runs everything that falls due on the way. Returns how many of what ran.

        Args:
            duration: such as `"61d"`, `"1d12h"` or `timedelta(minutes=11)`.
        """
        if isinstance(duration, timedelta):
            duration = f"{round(duration.total_seconds())}s"
        return self._move({"advance": duration})

    def set(self, instant: datetime) -> Mapping[str, int]:
        """Moves the clock forward to an instant with a time zone; otherwise as `advance`."""
        return self._move({"set": instant.isoformat()})

    def _move(self, to: Mapping[str, str]) -> Mapping[str, int]:
        answer = self._client.post(
            "/coatcheck/sandbox/clock", json={"clock": to}, timeout=MOVE_TIMEOUT.total_seconds()
        )
        ran: Mapping[str, int] = _body(answer)["ran"]
        return ran


class Sandbox:
    """A running sandbox, as its one client sees it.

    Attributes:
        client: calls as the client, with MX's media type.
        clock: the sandbox's clock.
        processors: the processors that the sandbox has from the start, with their keys.
    """

    def __init__(self, credentials: Mapping[str, Any]) -> None:
        self.base_url: str = credentials["base_url"]
        self.client_id: str = credentials["client_id"]
        self.client_api_key: str = credentials["client_api_key"]
        self.processors = [
            ProcessorKey(each["processor_id"], each["api_key"], each["name"])
            for each in credentials["processors"]
        ]
        self.client = self._caller(auth=(self.client_id, self.client_api_key))
        self.clock = SandboxClock(self.client)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.client.close()

    def processor(self, index: int = 0) -> httpx.Client:
        """Calls as one of the processors, with its API key: `POST /token` and what it manages. Close it yourself."""
        key = self.processors[index]
        return self._caller(auth=(key.processor_id, key.api_key))

    def bearer(self, access_token: str) -> httpx.Client:
        """Calls with an access token: the reads of a processor. Close it yourself."""
        return self._caller(headers={"Authorization": f"Bearer {access_token}"})

    def connect(self, **fields: Any) -> Connection:
        """A connected member, by `POST /coatcheck/sandbox/connections`.

        Args:
            fields: those of the request, such as `persona="student"` or `controls=["nsf"]`.

        Raises:
            SandboxFailed: the sandbox refused; the message is its answer.
        """
        answer = self.client.post("/coatcheck/sandbox/connections", json={"connection": fields})
        return Connection(**_body(answer)["connection"])

    def token(self, **fields: Any) -> Token:
        """An access token, by `POST /coatcheck/sandbox/tokens`. The first processor holds it unless another is named.

        Args:
            fields: those of the request, such as `account_guid`, `scope="read:balances expires-in:600"`, or the fields
                of `connect` for a new account.

        Raises:
            SandboxFailed: the sandbox refused; the message is its answer.
        """
        named = {"processor_guid": self.processors[0].processor_id, **fields}
        token = _body(self.client.post("/coatcheck/sandbox/tokens", json={"token": named}))["token"]
        return Token(**{**token, "expires_at": datetime.fromisoformat(token["expires_at"])})

    def code(self, scope: str = "read-protected", **fields: Any) -> Code:
        """An authorization code for the first account of a new connection.

        Args:
            scope: the atoms after the three guids.
            fields: those of `connect`.

        Raises:
            SandboxFailed: the sandbox refused, or the connection has no account.
        """
        connection = self.connect(**fields)
        if not connection.account_guids:
            raise SandboxFailed("The connection has no account.")
        guids = (connection.user_guid, connection.member_guid, connection.account_guids[0])
        named = " ".join(
            f"{name}-guid:{guid}" for name, guid in zip(("user", "member", "account"), guids, strict=True)
        )
        wanted = {"authorization_code": {"scope": f"{named} {scope}"}}
        issued = _body(self.client.post("/authorization_code", json=wanted))["authorization_code"]
        return Code(issued["code"], *guids)

    def reset(self) -> None:
        """Deletes all users with everything that is theirs, and the faults. Keys, webhooks and the clock stay."""
        succeeded(self.client.post("/coatcheck/sandbox/reset", json={"reset": {}}))

    def _caller(
        self, *, headers: Mapping[str, str] = MappingProxyType({}), auth: tuple[str, str] | None = None
    ) -> httpx.Client:
        return httpx.Client(
            base_url=self.base_url,
            auth=auth,
            headers={"Accept": MX_JSON, **headers},
            timeout=TIMEOUT.total_seconds(),
            trust_env=False,
        )


@contextlib.contextmanager
def running(directory: Path, *, seed: int = 1) -> Iterator[Sandbox]:
    """Runs `coatcheck sandbox` on a free port while the block runs.

    Args:
        directory: for all data, created if missing. A second run with it starts faster and finds the same keys.
        seed: determines the generated data.

    Raises:
        SandboxFailed: it did not start; the message is what it printed.
    """
    directory.mkdir(parents=True, exist_ok=True)
    command = [
        sys.executable, "-m", "coatcheck.cli", "sandbox",
        "--port", "0", "--data-dir", str(directory), "--seed", str(seed), "--no-sync", "--json",
    ]  # fmt: skip
    log = directory / "sandbox.log"
    with (
        log.open("wb") as printed,
        subprocess.Popen(  # noqa: S603 (this program)
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=printed
        ) as process,
    ):
        try:
            assert process.stdout is not None
            # The command prints one line when it is ready, and ends by itself if it does not become so.
            line = process.stdout.readline()
            if not line:
                raise SandboxFailed(log.read_text(errors="replace").strip() or "The sandbox ended.")
            # Nothing more is read from the pipe: the command prints this line only, and logs to a file.
            with Sandbox(json.loads(line)) as sandbox:
                yield sandbox
        finally:
            process.terminate()
            try:
                process.wait(STOP.total_seconds())
            except subprocess.TimeoutExpired:
                process.kill()


def succeeded(answer: httpx.Response) -> httpx.Response:
    """The answer, if its status is not an error.

    Raises:
        SandboxFailed: it is; the message is the answer.
    """
    if answer.is_error:
        raise SandboxFailed(
            f"{answer.request.method} {answer.request.url.path}: {answer.status_code} {answer.text}"
        )
    return answer


def _body(answer: httpx.Response) -> Any:
    return succeeded(answer).json()
