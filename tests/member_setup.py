"""End users with members at the sandbox bank, for tests of members, jobs and micro-deposits."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from coatcheck.app import Services
from coatcheck.connectors.contract import JobKind
from coatcheck.members.records import Challenge, JobRequest, MemberChanges, NewMember
from coatcheck.model.clients import Client, find_client
from coatcheck.model.members import Member, find_member
from coatcheck.model.users import User
from coatcheck.worker_services import WorkerServices, build_worker, run_pending
from tests.factories import make_client, make_user

PATIENCE = 60
"""Seconds that a test waits for what must happen. Only a failure takes so long, on a busy machine too."""
CORRECT_PASSWORD = "correct"
"""A password that connects without a challenge."""


@dataclass
class EndUser:
    """A client's end user, with the operations on its members."""

    services: Services
    client: Client
    user: User

    @property
    def worker_services(self) -> WorkerServices:
        return build_worker(self.services)

    def credentials(self, institution: str, login: str | None, password: str | None) -> dict[str, str]:
        values = {"LOGIN": login, "PASSWORD": password}
        fields = self.services.registry.find(institution).credentials
        return {field.guid: value for field in fields if (value := values[field.field_name]) is not None}

    async def connect(
        self,
        login: str = "mxuser",
        password: str = CORRECT_PASSWORD,
        *,
        institution: str = "mxbank",
        **more: Any,
    ) -> Member:
        is_oauth = more.get("is_oauth", False)
        async with self.services.db.transaction() as connection:
            connected = await self.services.members.connect(
                connection,
                self.user,
                NewMember(
                    institution_code=institution,
                    credentials={} if is_oauth else self.credentials(institution, login, password),
                    **more,
                ),
            )
        return connected.member

    async def connected(self, login: str = "mxuser", password: str = CORRECT_PASSWORD, **more: Any) -> Member:
        """Connects a member and runs its jobs."""
        member = await self.connect(login, password, **more)
        await run_pending(self.services)
        return await self.reload(member)

    async def start(self, member: Member, kind: JobKind, **more: Any) -> Member:
        async with self.services.db.transaction() as connection:
            return await self.services.members.start(
                connection, member, JobRequest(kinds=(kind,), requested_by=self.client.guid, **more)
            )

    async def run_job(self, member: Member, kind: JobKind, **more: Any) -> Member:
        """Runs a job of this kind. Returns the member."""
        await self.start(member, kind, **more)
        await run_pending(self.services)
        return await self.reload(member)

    async def change(self, member: Member, login: str | None, password: str | None, **more: Any) -> Member:
        given = self.credentials(member.institution_code, login, password)
        async with self.services.db.transaction() as connection:
            return await self.services.members.change(
                connection, member, MemberChanges(credentials=given, **more)
            )

    async def challenges(self, member: Member) -> list[Challenge]:
        async with self.services.db.connection() as connection:
            return list(await self.services.members.challenges(connection, member))

    async def answer(self, member: Member, *values: str) -> Member:
        """Answers the member's challenges, in their order."""
        challenges = await self.challenges(member)
        answers = [(each.guid, value) for each, value in zip(challenges, values, strict=True)]
        async with self.services.db.transaction() as connection:
            return await self.services.members.answer(connection, member, answers)

    async def reload(self, member: Member) -> Member:
        async with self.services.db.connection() as connection:
            return await find_member(connection, self.user.guid, member.guid)

    async def rows(self, statement: str, **values: Any) -> list[tuple[Any, ...]]:
        """Executes a statement and returns its rows. `%(user)s` is the guid of the user."""
        async with self.services.db.connection() as connection:
            cursor = await connection.execute(statement, {"user": self.user.guid, **values})
            return await cursor.fetchall() if cursor.description else []

    async def events(self, kind: str) -> list[dict[str, Any]]:
        """The payloads of the client's events of this type, oldest first."""
        rows = await self.rows(
            "SELECT payload::jsonb FROM event WHERE owner_guid = %(client)s AND type = %(kind)s ORDER BY position",
            client=self.client.guid,
            kind=kind,
        )
        return [row[0] for row in rows]


async def until(condition: Callable[[], Awaitable[bool]], seconds: float = PATIENCE) -> None:
    """Waits until another task or process makes the condition true."""
    async with asyncio.timeout(seconds):
        while not await condition():  # noqa: ASYNC110 (the condition is in the database)
            await asyncio.sleep(0.02)


async def make_end_user(services: Services, **user: Any) -> EndUser:
    keyed = await make_client(services)
    made = await make_user(services, keyed, **user)
    async with services.db.connection() as connection:
        return EndUser(services, await find_client(connection, keyed.guid), made)
