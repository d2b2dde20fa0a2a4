"""Members at the sandbox bank, brought to where a test begins."""

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
from coatcheck.worker import WorkerServices, build_worker, run_pending
from tests.factories import make_client, make_user

WELL = "correct"
"""A password that leads straight in."""


@dataclass
class Home:
    """A client's user, and what can be done with its members."""

    services: Services
    client: Client
    user: User

    @property
    def worker_services(self) -> WorkerServices:
        return build_worker(self.services)

    def credentials(self, institution: str, login: str | None, password: str | None) -> dict[str, str]:
        values = {"LOGIN": login, "PASSWORD": password}
        boxes = self.services.registry.find(institution).credentials
        return {box.guid: value for box in boxes if (value := values[box.field_name]) is not None}

    async def connect(
        self, login: str = "mxuser", password: str = WELL, *, institution: str = "mxbank", **more: Any
    ) -> Member:
        is_oauth = more.get("is_oauth", False)
        async with self.services.db.transaction() as connection:
            member, _ = await self.services.members.connect(
                connection,
                self.user,
                NewMember(
                    institution_code=institution,
                    credentials={} if is_oauth else self.credentials(institution, login, password),
                    **more,
                ),
            )
        return member

    async def connected(self, login: str = "mxuser", password: str = WELL, **more: Any) -> Member:
        """A member whose jobs have been done."""
        member = await self.connect(login, password, **more)
        await run_pending(self.services)
        return await self.again(member)

    async def start(self, member: Member, kind: JobKind, **more: Any) -> Member:
        async with self.services.db.transaction() as connection:
            return await self.services.members.start(
                connection, member, JobRequest(kinds=(kind,), requested_by=self.client.guid, **more)
            )

    async def done(self, member: Member, kind: JobKind, **more: Any) -> Member:
        """The member after a job of the kind."""
        await self.start(member, kind, **more)
        await run_pending(self.services)
        return await self.again(member)

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

    async def again(self, member: Member) -> Member:
        async with self.services.db.connection() as connection:
            return await find_member(connection, self.user.guid, member.guid)

    async def rows(self, statement: str, **values: Any) -> list[tuple[Any, ...]]:
        """What a statement about the user gives; `%(user)s` is its guid."""
        async with self.services.db.connection() as connection:
            cursor = await connection.execute(statement, {"user": self.user.guid, **values})
            return await cursor.fetchall() if cursor.description else []

    async def events(self, kind: str) -> list[dict[str, Any]]:
        """The payloads the client was told of, oldest first."""
        rows = await self.rows(
            "SELECT payload::jsonb FROM event WHERE client_guid = %(client)s AND type = %(kind)s ORDER BY guid",
            client=self.client.guid,
            kind=kind,
        )
        return [row[0] for row in rows]


async def until(condition: Callable[[], Awaitable[bool]], seconds: float = 10) -> None:
    """Waits for what another task or process brings about."""
    async with asyncio.timeout(seconds):
        while not await condition():  # noqa: ASYNC110 (what is waited for happens in the database)
            await asyncio.sleep(0.02)


async def make_home(services: Services, **user: Any) -> Home:
    keyed = await make_client(services)
    made = await make_user(services, keyed, **user)
    async with services.db.connection() as connection:
        return Home(services, await find_client(connection, keyed.guid), made)
