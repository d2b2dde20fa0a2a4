"""A member at the upstream: created, found again, read by jobs.

find (by our guid) or create --> start a job --> poll its status --> CONNECTED
|--- CHALLENGED: the user answers --> resume --> poll
`--- any other status: an error
"""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from coatcheck.connectors.contract import JobKind, Question
from coatcheck.connectors.json_answers import Row, UpstreamRefused
from coatcheck.connectors.mx import rows
from coatcheck.connectors.mx.api import MxApi
from coatcheck.errors import (
    ActionNeeded,
    AnswerRejected,
    BankDataUnusable,
    BankError,
    BankFailed,
    BankTimedOut,
    ConnectionDiscontinued,
    ConsentRevoked,
    CredentialsDenied,
    CredentialsMissing,
    LoginClosed,
    LoginLocked,
)

JOBS: Mapping[JobKind, str] = {
    JobKind.AGGREGATION: "aggregate",
    JobKind.VERIFICATION: "verify",
    JobKind.IDENTIFICATION: "identify",
    JobKind.HISTORY: "extend_history",
    JobKind.STATEMENT: "fetch_statements",
    JobKind.BALANCE: "check_balance",
}
CHALLENGED, CONNECTED = "CHALLENGED", "CONNECTED"
ERRORS: Mapping[str, type[BankError]] = {
    "PREVENTED": CredentialsDenied,
    "DENIED": CredentialsDenied,
    "REJECTED": AnswerRejected,
    "LOCKED": LoginLocked,
    "IMPEDED": ActionNeeded,
    "IMPAIRED": CredentialsMissing,
    "IMPORTED": CredentialsMissing,
    "PENDING": ConsentRevoked,
    "DISCONNECTED": ConsentRevoked,
    "CLOSED": LoginClosed,
    "DISCONTINUED": ConnectionDiscontinued,
    "DELAYED": BankTimedOut,
    "DEGRADED": BankFailed,
    "FAILED": BankFailed,
    "DISABLED": BankFailed,
    "EXPIRED": BankFailed,
}
"""What a status after a job means. The statuses that are missing here are those of a job that has not ended."""
FIRST_WAIT, LONGEST_WAIT = 0.2, 3.0
"""Seconds between two questions for the status; the wait doubles. MX recommends three seconds."""
STARTS = 5
"""How often a job is started while another kind of job runs on the member."""
NOT_FOUND, CONFLICT = 404, 409


@dataclass(frozen=True, slots=True)
class UpstreamMember:
    user_guid: str
    guid: str
    has_numbers: bool = False
    """Whether a run of this sign-in has read the account numbers, or found that there are none."""

    @property
    def path(self) -> str:
        return f"/users/{self.user_guid}/members/{self.guid}"

    def encode(self) -> bytes:
        return json.dumps(asdict(self)).encode()

    @classmethod
    def decode(cls, encoded: bytes | str) -> "UpstreamMember":
        # What an earlier version saved says nothing of numbers: they are not asked for again.
        return cls(**{"has_numbers": True, **json.loads(encoded)})


@dataclass(frozen=True, slots=True)
class Status:
    connection_status: str | None
    is_being_aggregated: bool
    questions: Sequence[Question] = ()

    @property
    def has_ended(self) -> bool:
        """Whether no job runs on the member any more."""
        ends = self.connection_status in {CONNECTED, CHALLENGED} or self.connection_status in ERRORS
        return ends and (not self.is_being_aggregated or self.connection_status == CHALLENGED)


class Members:
    """The members of one upstream."""

    def __init__(self, api: MxApi) -> None:
        self._api = api

    async def user(self, id: str) -> str:
        """The guid of the upstream's user with this id of ours. The user is created if there is none."""
        if guid := await self.find_user(id):
            return guid
        try:
            return _guid((await self._api.send("POST", "/users", {"user": {"id": id}})).get("user"))
        except UpstreamRefused as error:
            # Another job of the same user has created it meanwhile.
            if error.status_code != CONFLICT or not (guid := await self.find_user(id)):
                raise
            return guid

    async def find(self, user_guid: str, id: str) -> UpstreamMember | None:
        """The user's member with this id of ours."""
        for row in await self._api.rows(f"/users/{user_guid}/members", "members"):
            if row.get("id") == id:
                return UpstreamMember(user_guid, _guid(row))
        return None

    async def find_oauth(self, user_guid: str, institution_code: str) -> UpstreamMember | None:
        """The member with which the user signs in at the institution's own page: a user has one of each."""
        for row in await self._api.rows(f"/users/{user_guid}/members", "members"):
            if row.get("institution_code") == institution_code and row.get("is_oauth") is True:
                return UpstreamMember(user_guid, _guid(row))
        return None

    async def create(
        self, user_guid: str, id: str, institution_code: str, credentials: Mapping[str, str]
    ) -> UpstreamMember:
        """Creates a member that signs in with credentials, by the guid of each field. No job starts."""
        fields = {
            "id": id,
            "institution_code": institution_code,
            "credentials": _values(credentials),
            "skip_aggregation": True,
        }
        answer = await self._api.send("POST", f"/users/{user_guid}/members", {"member": fields})
        return UpstreamMember(user_guid, _guid(answer.get("member")))

    async def change(self, member: UpstreamMember, **fields: object) -> None:
        """Changes fields of the member. No job starts."""
        await self._api.send("PUT", member.path, {"member": {**fields, "skip_aggregation": True}})

    async def change_credentials(self, member: UpstreamMember, credentials: Mapping[str, str]) -> None:
        await self.change(member, credentials=_values(credentials))

    async def create_oauth(
        self, user_guid: str, institution_code: str, redirect_url: str
    ) -> tuple[UpstreamMember, str]:
        """Creates a member that signs in at the institution's own page; returns it and the page's URL."""
        fields = {
            "institution_code": institution_code,
            "credentials": [],
            "is_oauth": True,
            "skip_aggregation": True,
        }
        body = {"member": fields, "client_redirect_url": redirect_url, "referral_source": "APP"}
        found = (await self._api.send("POST", f"/users/{user_guid}/members", body)).get("member")
        return UpstreamMember(user_guid, _guid(found)), _window(found)

    async def window(self, member: UpstreamMember, redirect_url: str) -> str:
        """The URL of the page on which the member's user signs in again."""
        query = {"client_redirect_url": redirect_url, "referral_source": "APP"}
        return _window((await self._api.get(f"{member.path}/oauth_window_uri", query)).get("member"))

    async def status(self, member: UpstreamMember) -> Status | None:
        """None if the upstream has deleted the member."""
        try:
            found = (await self._api.get(f"{member.path}/status")).get("member")
        except UpstreamRefused as error:
            if error.status_code == NOT_FOUND:
                return None
            raise
        if not isinstance(found, dict):
            raise BankDataUnusable
        return Status(
            found.get("connection_status"),
            found.get("is_being_aggregated") is True,
            tuple(map(rows.question, found.get("challenges") or ())),
        )

    async def read(self, member: UpstreamMember, kind: JobKind) -> Status:
        """Runs a job of the kind; returns the status when it has ended.

        Raises:
            BankError: the upstream refused, or failed.
        """
        for _ in range(STARTS):
            try:
                await self._api.send("POST", f"{member.path}/{JOBS[kind]}")
            except UpstreamRefused as error:
                # It refuses while another kind of job runs, and in statuses in which no job can start.
                is_occupied = error.status_code == CONFLICT
                status = await (self._ended(member) if is_occupied else self.status(member))
                if status is None:
                    raise ConsentRevoked from None
                if status.connection_status == CHALLENGED or status.connection_status in ERRORS:
                    return status
                if not is_occupied:
                    raise
            else:
                return await self._ended(member)
        raise BankFailed(
            detail=f"Other jobs run on the upstream's member all the time; {kind} does not start."
        )

    async def verify(self, member: UpstreamMember) -> Status:
        """Runs a verification beside a job that has succeeded: connected, or what the bank asks for it.

        Raises:
            BankError: the upstream failed.
        """
        connected = Status(CONNECTED, is_being_aggregated=False)
        try:
            status = await self.read(member, JobKind.VERIFICATION)
        except UpstreamRefused:
            return connected
        return status if status.connection_status == CHALLENGED else connected

    async def answer(self, member: UpstreamMember, kind: JobKind, answers: Mapping[str, str]) -> Status:
        """Answers the open questions, and returns the status when the job has ended.

        An upstream that waits for the answers no longer gets a new job, which asks again.
        """
        try:
            await self._api.send("PUT", f"{member.path}/resume", {"member": {"challenges": _values(answers)}})
        except UpstreamRefused:
            return await self.read(member, kind)
        status = await self._ended(member)
        return await self.read(member, kind) if status.connection_status == "EXPIRED" else status

    async def delete(self, member: UpstreamMember) -> None:
        """Deletes the member, if the upstream has it."""
        try:
            await self._api.delete(member.path)
        except UpstreamRefused as error:
            if error.status_code != NOT_FOUND:
                raise

    async def _ended(self, member: UpstreamMember) -> Status:
        """The status when no job runs any more. The worker limits how long that takes."""
        wait = FIRST_WAIT
        while True:
            status = await self.status(member)
            if status is None:
                raise ConsentRevoked
            if status.has_ended:
                return status
            await asyncio.sleep(wait)
            wait = min(2 * wait, LONGEST_WAIT)

    async def find_user(self, id: str) -> str | None:
        """The guid of the upstream's user with this id of ours."""
        for row in await self._api.rows("/users", "users", {"id": id}):
            if row.get("id") == id:
                return _guid(row)
        return None


def _values(values: Mapping[str, str]) -> list[Row]:
    return [{"guid": guid, "value": value} for guid, value in values.items()]


def _guid(row: object) -> str:
    guid = row.get("guid") if isinstance(row, dict) else None
    if not isinstance(guid, str) or not guid:
        raise BankDataUnusable
    return guid


def _window(row: object) -> str:
    url = row.get("oauth_window_uri") if isinstance(row, dict) else None
    if not isinstance(url, str) or not url.startswith(("https://", "http://")):
        raise BankDataUnusable
    return url
