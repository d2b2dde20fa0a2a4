"""A small budgeting app, a client of Coatcheck: its users link banks, and share single accounts with vendors.

It stores no account number: a vendor gets a code, and reads what the code allows from Coatcheck.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import httpx

MX_JSON = "application/vnd.mx.api.v1+json"


class Refused(Exception):
    """Coatcheck refused a request. The message is for the developer."""


@dataclass(frozen=True)
class Reader:
    """Somebody who may read an account, as the app shows it to its user."""

    grant_guid: str
    name: str
    may_read: Sequence[str]
    status: str
    last_read_at: str | None


class Fintech:
    """The calls that the app makes for its users."""

    def __init__(self, base_url: str, client_id: str, api_key: str) -> None:
        self._coatcheck = httpx.Client(
            base_url=base_url,
            auth=(client_id, api_key),
            headers={"Accept": MX_JSON},
            trust_env=False,
            timeout=30,
        )

    def add_user(self, our_id: str) -> str:
        """Creates a user, or finds the one that we created before, and returns the guid."""
        answer = self._coatcheck.post("/users", json={"user": {"id": our_id}})
        if answer.status_code == httpx.codes.CONFLICT:
            answer = self._coatcheck.get(f"/users/{our_id}")
        return _body(answer)["user"]["guid"]

    def connect_url(self, user_guid: str, member_guid: str | None = None) -> str:
        """The page on which the user links a bank, or repairs a connection. It opens once."""
        wanted = {"widget_type": "connect_widget", "mode": "verification"}
        if member_guid:
            wanted["current_member_guid"] = member_guid
        answer = self._coatcheck.post(f"/users/{user_guid}/widget_urls", json={"widget_url": wanted})
        return _body(answer)["widget_url"]["url"]

    def accounts(self, user_guid: str) -> Sequence[Mapping]:
        return _body(self._coatcheck.get(f"/users/{user_guid}/accounts"))["accounts"]

    def share(self, account: Mapping, vendor: str, *reads: str, days: int) -> str:
        """A code for one vendor, for what it needs and as long as it needs it. The vendor has ten minutes to redeem it.

        Args:
            account: one of `accounts`.
            vendor: the guid of the processor. No other can redeem the code.
            reads: of `numbers`, `owners`, `transactions` and `balances`.
            days: how long the vendor may read.
        """
        atoms = [
            f"user-guid:{account['user_guid']}",
            f"member-guid:{account['member_guid']}",
            f"account-guid:{account['guid']}",
            f"processor-guid:{vendor}",
            f"expires-in:{days * 24 * 3600}",
            *(f"read:{each}" for each in reads),
        ]
        if {"numbers", "owners"} & {*reads}:
            atoms.append("read-protected")
        wanted = {"authorization_code": {"scope": " ".join(atoms)}}
        return _body(self._coatcheck.post("/authorization_code", json=wanted))["authorization_code"]["code"]

    def readers(self, user_guid: str) -> Sequence[Reader]:
        """Who may read something of the user, or could."""
        grants = _body(self._coatcheck.get("/coatcheck/grants", params={"user_guid": user_guid}))["grants"]
        return [
            Reader(
                each["guid"],
                each["processor"]["name"],
                each["permissions"],
                each["status"],
                each["last_read_at"],
            )
            for each in grants
        ]

    def stop(self, grant_guid: str) -> str:
        """Ends a vendor's access at once. Returns the signed receipt, which the user can keep."""
        wanted = {"reason": "The user stopped it in the app."}
        return _body(self._coatcheck.post(f"/coatcheck/grants/{grant_guid}/revoke", json=wanted))["receipt"]

    def members_to_repair(self, user_guid: str) -> Sequence[str]:
        """The members whose bank wants the user to sign in again. Send the user to their `connect_url`."""
        members = _body(self._coatcheck.get(f"/users/{user_guid}/members"))["members"]
        return [each["guid"] for each in members if each["connection_status"] in NEEDS_THE_USER]


NEEDS_THE_USER = {"DENIED", "PREVENTED", "LOCKED", "EXPIRED", "IMPEDED", "DISCONNECTED", "CHALLENGED"}


def _body(answer: httpx.Response) -> Mapping:
    if answer.is_error:
        raise Refused(answer.json()["error"]["message"])
    return answer.json()
