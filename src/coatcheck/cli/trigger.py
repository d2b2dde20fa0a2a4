"""`coatcheck trigger`: causes an event in a running sandbox, or delivers an example of it."""

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any
from urllib.parse import urlencode

import typer

from coatcheck.cli import data_directory, sandbox_api
from coatcheck.cli.console import AsJson, print_done
from coatcheck.cli.data_directory import OfSandbox
from coatcheck.errors import InvalidRequest, OperatorError
from coatcheck.events import catalogue

ENDPOINTS = "/coatcheck/webhook_endpoints"
LONGEST_JOB = 60.0
"""Seconds."""
POLL_INTERVAL = 0.2


def trigger(
    event_type: Annotated[str, typer.Argument(metavar="TYPE", help="The type, such as token.revoked.")],
    data_dir: OfSandbox = data_directory.DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Causes a real event of the type in a running sandbox: it creates what the event needs.

    An event that only time causes is not caused: an example of it is delivered to every endpoint of the client.

    Example: coatcheck trigger token.revoked
    """
    types = list(catalogue.EventType)
    if event_type not in types:
        raise InvalidRequest(f"TYPE must be one of {', '.join(types)}.")
    directory = data_directory.resolve(data_dir)
    cause = CAUSES.get(event_type)
    if cause is not None:
        cause(directory)
    count = 0 if cause else _send_examples(directory, event_type)
    sentence = f"Caused {event_type}." if cause else f"Delivered an example to {count} webhook endpoints."
    print_done(
        {"type": event_type, "caused": cause is not None, "examples": count}, sentence, as_json=as_json
    )


def _send_examples(directory: Path, event_type: str) -> int:
    """Returns to how many endpoints."""
    endpoints = sandbox_api.call(directory, "GET", ENDPOINTS)["webhook_endpoints"]
    enabled = [each for each in endpoints if each["status"] == "enabled"]
    if not enabled:
        raise InvalidRequest(
            f"{event_type} is caused by time, and the client has no enabled webhook endpoint for"
            " an example of it. Create one at /coatcheck/webhook_endpoints."
        )
    for each in enabled:
        sandbox_api.call(directory, "POST", f"{ENDPOINTS}/{each['guid']}/test", {"type": event_type})
    return len(enabled)


def _user(directory: Path) -> str:
    return str(
        sandbox_api.call(directory, "POST", "/users", {"user": {"metadata": "trigger"}})["user"]["guid"]
    )


def _change_user(directory: Path) -> None:
    _put_user(directory, _user(directory), metadata="changed")


def _put_user(directory: Path, user: str, **fields: Any) -> None:
    sandbox_api.call(directory, "PUT", f"/users/{user}", {"user": fields})


def _delete_user(directory: Path) -> None:
    sandbox_api.call(directory, "DELETE", f"/users/{_user(directory)}")


def _connect(directory: Path) -> tuple[str, str]:
    """The user and the member of a new connection."""
    made = sandbox_api.call(directory, "POST", "/coatcheck/sandbox/connections")["connection"]
    return made["user_guid"], made["member_guid"]


def _change_member(directory: Path) -> None:
    user, member = _connect(directory)
    sandbox_api.call(directory, "PUT", f"/users/{user}/members/{member}", {"member": {"metadata": "changed"}})


def _delete_member(directory: Path) -> None:
    user, member = _connect(directory)
    sandbox_api.call(directory, "DELETE", f"/users/{user}/members/{member}")


def _token(directory: Path) -> Mapping[str, Any]:
    processor = data_directory.find_credentials(directory).processors[0].processor_id
    body = {"token": {"processor_guid": processor}}
    token: Mapping[str, Any] = sandbox_api.call(directory, "POST", "/coatcheck/sandbox/tokens", body)["token"]
    return token


def _revoke(directory: Path) -> None:
    guid = _token(directory)["grant_guid"]
    sandbox_api.call(directory, "POST", f"/coatcheck/grants/{guid}/revoke", {"reason": "trigger"})


def _narrow(directory: Path) -> None:
    guid = _token(directory)["grant_guid"]
    sandbox_api.call(directory, "PATCH", f"/coatcheck/grants/{guid}", {"grant": {"lookback_days": 30}})


def _let_happen(event: str, directory: Path) -> Mapping[str, Any]:
    """Lets something happen at the bank of a member with a token, whose accounts are read at once."""
    member = _token(directory)["member_guid"]
    body = {"event": {"type": event, "notice": True}}
    happened: Mapping[str, Any] = sandbox_api.call(
        directory, "POST", f"/coatcheck/sandbox/members/{member}/events", body
    )["event"]
    return happened


def _present_foreign_code(directory: Path) -> None:
    """Lets a processor present a code that only the other one may redeem."""
    own, other = data_directory.find_credentials(directory).processors[:2]
    user, member = _connect(directory)
    accounts = sandbox_api.call(directory, "GET", f"/users/{user}/members/{member}/account_numbers")
    scope = (
        f"user-guid:{user} member-guid:{member} account-guid:{accounts['account_numbers'][0]['account_guid']}"
    )
    body = {"authorization_code": {"scope": f"{scope} processor-guid:{own.processor_id}"}}
    code = sandbox_api.call(directory, "POST", "/authorization_code", body)["authorization_code"]["code"]
    form = urlencode({"grant_type": "authorization_code", "code": code})
    with suppress(InvalidRequest):
        sandbox_api.call(directory, "POST", "/token", form, processor=other)


def _repair(directory: Path) -> None:
    """Breaks the connection of a member with a token, and lets the user sign in again."""
    member = _let_happen("consent_revoked", directory)
    path = f"/users/{member['user_guid']}/members/{member['member_guid']}"
    asked = sandbox_api.call(directory, "GET", f"{path}/credentials")["credentials"]
    credentials = [{"guid": each["guid"], "value": "trigger"} for each in asked]
    sandbox_api.call(directory, "PUT", path, {"member": {"credentials": credentials}})
    end = time.monotonic() + LONGEST_JOB
    while sandbox_api.call(directory, "GET", f"{path}/status")["member"]["connection_status"] != "CONNECTED":
        if time.monotonic() > end:
            raise OperatorError("The worker of the sandbox has not read the member again.")
        time.sleep(POLL_INTERVAL)


def _suspend(directory: Path) -> str:
    user = str(_token(directory)["user_guid"])
    _put_user(directory, user, is_disabled=True)
    return user


def _resume(directory: Path) -> None:
    _put_user(directory, _suspend(directory), is_disabled=False)


CAUSES: Mapping[str, Callable[[Path], object]] = MappingProxyType(
    {
        "user.created": _user,
        "user.updated": _change_user,
        "user.deleted": _delete_user,
        "member.created": _connect,
        "member.updated": _change_member,
        "member.status_changed": _connect,
        "member.deleted": _delete_member,
        "transactions.available": _connect,
        "code.redeemed": _token,
        "code.refused": _present_foreign_code,
        "token.revoked": _revoke,
        "token.suspended": _suspend,
        "token.resumed": _resume,
        "consent.changed": _narrow,
        "connection.broken": partial(_let_happen, "consent_revoked"),
        "connection.repaired": _repair,
        "account.closed": partial(_let_happen, "account_closed"),
        "account_numbers.changed": partial(_let_happen, "numbers_changed"),
        "account_owners.changed": partial(_let_happen, "owner_changed"),
    }
)
"""What causes a real event of the type."""
