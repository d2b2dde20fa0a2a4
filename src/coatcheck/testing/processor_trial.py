"""The two sides of a conformance run: the processor under test, and the sandbox that it works with."""

import contextlib
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import httpx

from coatcheck.testing.sandbox import Code, Sandbox, succeeded

ANSWER = timedelta(seconds=30)
"""How long the processor may take for an answer."""
PATIENCE = timedelta(seconds=20)
"""How long a webhook may take to be delivered."""
PAUSE = timedelta(milliseconds=50)
CONNECT = timedelta(seconds=5)
"""How long the processor may take to accept the first connection."""
PORTS = {"http": 80, "https": 443}


class Failed(Exception):
    """What the processor did wrong, in one sentence."""


class NotRun(Exception):
    """What is missing to run the case, in one sentence."""


@dataclass(frozen=True, slots=True)
class Numbers:
    account_number: str
    routing_number: str


@dataclass(frozen=True, slots=True)
class Shown:
    """What the processor says of an account."""

    http_status: int
    status: str | None
    numbers: Numbers | None


class Processor:
    """The processor under test, through the three routes that it offers.

    Args:
        url: the address below which the routes are.
    """

    def __init__(self, url: str) -> None:
        self._client = httpx.Client(base_url=url, timeout=ANSWER.total_seconds(), trust_env=False)

    def close(self) -> None:
        self._client.close()

    def connect(self) -> None:
        """Connects to it once.

        Raises:
            OSError: nothing answers at its address.
        """
        url = self._client.base_url
        # Not a request: a processor may answer one outside of the three routes in any way, or count it.
        address = (url.host, url.port or PORTS[url.scheme])
        with socket.create_connection(address, timeout=CONNECT.total_seconds()):
            pass

    def add(self, code: Code) -> httpx.Response:
        """Hands it an authorization code.

        Raises:
            Failed: it did not answer.
        """
        return self._send("POST", "/accounts", {"authorization_code": code.code})

    def share(self, code: Code) -> str:
        """Hands it a code, and returns its own id of the account.

        Raises:
            Failed: it refused the code, or did not answer.
        """
        answer = self.add(code)
        if not answer.is_success:
            raise Failed(f"It refused a valid code with {answer.status_code}.")
        return id_in(answer)

    def show(self, account_id: str) -> Shown:
        """What it says of an account now.

        Raises:
            Failed: it did not answer.
        """
        answer = self._send("GET", f"/accounts/{account_id}")
        try:
            body = answer.json()
        except ValueError:
            body = None
        if not isinstance(body, dict):
            body = {}
        numbers = None
        if body.get("account_number") is not None:
            numbers = Numbers(str(body["account_number"]), str(body.get("routing_number")))
        return Shown(answer.status_code, body.get("status"), numbers)

    def _send(self, method: str, path: str, body: Mapping[str, str] | None = None) -> httpx.Response:
        try:
            return self._client.request(method, path, json=body)
        except httpx.RequestError as error:
            raise Failed(f"{method} {path.split('/')[1]} got no answer: {type(error).__name__}.") from error


def id_in(answer: httpx.Response) -> str:
    """The processor's own id of the account, in its answer to a code.

    Raises:
        Failed: it has none.
    """
    with contextlib.suppress(ValueError, KeyError, TypeError):
        return str(answer.json()["id"])
    raise Failed("Its answer to a code has no `id`.")


@dataclass(frozen=True, slots=True)
class Trial:
    """The sandbox and the processor of one run."""

    sandbox: Sandbox
    processor: Processor
    owner: httpx.Client
    """Calls the sandbox as the processor, with its API key."""

    def numbers(self, code: Code) -> Numbers:
        """The numbers of the account, as the client sees them."""
        path = f"/users/{code.user_guid}/members/{code.member_guid}/account_numbers"
        listed = self._get(self.sandbox.client, path)["account_numbers"]
        found = next(each for each in listed if each["account_guid"] == code.account_guid)
        return Numbers(found["account_number"], found["routing_number"])

    def expect_usable(self, account_id: str, code: Code) -> None:
        """The processor shows the account with its numbers.

        Raises:
            Failed: it does not.
        """
        shown, right = self.processor.show(account_id), self.numbers(code)
        if shown.http_status != httpx.codes.OK or shown.status != "usable" or shown.numbers is None:
            raise Failed(
                f"It answered {shown.http_status} with the status {shown.status!r} for a usable account."
            )
        if shown.numbers != right:
            raise Failed(f"It has other numbers than the bank: {_difference(shown.numbers, right)}.")

    def expect_unusable(self, account_id: str) -> None:
        """The processor uses the account no more.

        Raises:
            Failed: it does.
        """
        shown = self.processor.show(account_id)
        if shown.http_status >= httpx.codes.INTERNAL_SERVER_ERROR:
            raise Failed(f"It answered {shown.http_status}.")
        if shown.status == "usable" or shown.numbers is not None:
            raise Failed("It still shows the account as usable.")

    @contextlib.contextmanager
    def fault(self, route: str, **fields: Any) -> Iterator[Callable[[], int]]:
        """A fault of the sandbox while the block runs. Yields a function that returns how often it was applied."""
        path = "/coatcheck/sandbox/faults"
        succeeded(self.sandbox.client.post(path, json={"fault": {"route": route, **fields}}))
        try:
            yield lambda: sum(each["hits"] for each in self._get(self.sandbox.client, path)["faults"])
        finally:
            succeeded(self.sandbox.client.delete(path))

    def bank_event(self, code: Code, event: str) -> None:
        path = f"/coatcheck/sandbox/members/{code.member_guid}/events"
        succeeded(self.sandbox.client.post(path, json={"event": {"type": event, "notice": True}}))

    def grant_of(self, code: Code) -> str:
        return str(
            self._get(self.sandbox.client, f"/coatcheck/grants?account_guid={code.account_guid}")["grants"][
                0
            ]["guid"]
        )

    def delivered(self, event_type: str, about: str) -> str:
        """The delivery of an event to the processor, once it was answered with success. Waits for it.

        Raises:
            NotRun: the processor has no webhook endpoint.
            Failed: the processor refused it, or did not accept it in time.
        """
        if not self.is_listening():
            raise NotRun("The processor has no enabled webhook endpoint in the sandbox. Create one.")
        return self._accepted(lambda: self._deliveries_of(event_type, about), f"the event {event_type}")

    def _accepted(self, find: Callable[[], Sequence[Mapping[str, Any]]], what: str) -> str:
        """Waits until one of the deliveries was answered with success, and returns its guid."""
        for _ in until(PATIENCE):
            for each in find():
                if each["status"] == "delivered":
                    return str(each["guid"])
                if each["answer_status"] is not None:
                    raise Failed(f"It answered {each['answer_status']} to {what}.")
        raise Failed(f"It did not accept {what} within {PATIENCE.seconds} seconds.")

    def _deliveries_of(self, event_type: str, about: str) -> Sequence[Mapping[str, Any]]:
        events = self._get(self.owner, f"/coatcheck/events?type={event_type}")["events"]
        found = {each["guid"] for each in events if each["object"] == about}
        return [each for each in self._deliveries() if each["event_guid"] in found]

    def _deliveries(self) -> Sequence[Mapping[str, Any]]:
        listed: Sequence[Mapping[str, Any]] = self._get(
            self.owner, "/coatcheck/deliveries?records_per_page=100"
        )["deliveries"]
        return listed

    def is_listening(self) -> bool:
        endpoints = self._get(self.owner, "/coatcheck/webhook_endpoints")["webhook_endpoints"]
        return any(each["status"] == "enabled" for each in endpoints)

    def redeliver(self, delivery: str) -> None:
        """Delivers an event again.

        Raises:
            Failed: the processor refused it, or did not accept it in time.
        """
        answer = succeeded(self.owner.post(f"/coatcheck/deliveries/{delivery}/redeliver"))
        again = answer.json()["delivery"]["guid"]
        self._accepted(
            lambda: [each for each in self._deliveries() if each["guid"] == again],
            "an event that it had accepted before",
        )

    def _get(self, caller: httpx.Client, path: str) -> Any:
        return succeeded(caller.get(path)).json()


def _difference(shown: Numbers, right: Numbers) -> str:
    """Says how they differ, without the numbers: a report is passed on."""
    if shown.account_number.lstrip("0") == right.account_number.lstrip("0") and (
        shown.routing_number.lstrip("0") == right.routing_number.lstrip("0")
    ):
        return "the leading zeros are missing"
    if len(shown.account_number) != len(right.account_number):
        return f"an account number of {len(shown.account_number)} digits, not {len(right.account_number)}"
    return "at least one digit is another"


def until(duration: timedelta) -> Iterator[None]:
    """Yields until the duration is over, with pauses."""
    end = time.monotonic() + duration.total_seconds()
    while time.monotonic() < end:
        yield
        time.sleep(PAUSE.total_seconds())
