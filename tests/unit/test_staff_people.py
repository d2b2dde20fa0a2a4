"""Invitations of staff: which answers use one up."""

import asyncio
from datetime import timedelta

import pytest

from coatcheck.app import Services
from coatcheck.clock import MovableClock
from coatcheck.errors import InvalidToken, NotFound, SignInFailed
from coatcheck.staff.people import NewStaff
from coatcheck.staff.roles import Role
from coatcheck.staff.sign_ins import Purpose
from tests.waiting_statements import until_waiting


async def test_an_answer_that_was_begun_with_an_earlier_invitation_does_not_use_the_new_one(
    services: Services, clock: MovableClock
) -> None:
    people, sign_ins = services.staff.people, services.staff.sign_ins
    async with services.db.transaction() as connection:
        new = NewStaff("Ann", "ann.earlier@example.com", Role.OPERATOR)
        invited = (await people.invite(connection, new, actor="operator")).staff
        begun = []
        for _ in range(2):
            # As with an identity provider: the sign-in is used up before the provider is asked.
            secret = await sign_ins.begin(connection, Purpose.JOIN, staff_guid=invited.guid, next_path="/")
            begun.append(await sign_ins.finish(connection, secret))
            clock.advance(timedelta(seconds=1))
            if len(begun) == 1:
                await people.reset(connection, invited.guid, actor="operator")
        earlier, later = begun
        with pytest.raises(NotFound):
            await people.use_invitation(connection, invited.guid, begun_at=earlier.begun_at)
        await people.use_invitation(connection, invited.guid, begun_at=later.begun_at)


async def test_after_a_reset_an_account_of_the_identity_provider_needs_the_new_invitation(
    services: Services,
) -> None:
    people = services.staff.people
    async with services.db.transaction() as connection:
        new = NewStaff("Bea", "bea.reset@example.com", Role.OPERATOR)
        invited = (await people.invite(connection, new, actor="operator")).staff
        assert await people.identified(connection, "subject-1", invited.email)
        await people.reset(connection, invited.guid, actor="operator")
        for subject in ("subject-1", "subject-2"):
            with pytest.raises(SignInFailed):
                await people.identified(connection, subject, invited.email)
        await people.bind(connection, invited.guid, "subject-1")  # with the link
        assert (await people.identified(connection, "subject-1", None)).guid == invited.guid


async def test_what_a_person_began_before_a_reset_is_not_finished_after_it(services: Services) -> None:
    people, sign_ins = services.staff.people, services.staff.sign_ins
    async with services.db.transaction() as connection:
        new = NewStaff("Cyd", "cyd.reset@example.com", Role.OPERATOR)
        invited = (await people.invite(connection, new, actor="operator")).staff
        secret = await sign_ins.begin(connection, Purpose.ADD_PASSKEY, staff_guid=invited.guid, next_path="/")
        await people.reset(connection, invited.guid, actor="operator")
        with pytest.raises(SignInFailed):
            await sign_ins.finish(connection, secret)


async def test_a_session_that_starts_during_a_reset_ends_with_it(services: Services) -> None:
    people, sessions = services.staff.people, services.staff.sessions
    async with services.db.transaction() as connection:
        new = NewStaff("Dee", "dee.reset@example.com", Role.OPERATOR)
        invited = (await people.invite(connection, new, actor="operator")).staff

    async def reset() -> None:
        async with services.db.transaction() as connection:
            await people.reset(connection, invited.guid, actor="operator")

    async with services.db.transaction() as connection:
        await people.identified(connection, "subject-dee", invited.email)
        started = await sessions.start(connection, invited.guid, method="identity provider")
        resetting = asyncio.create_task(reset())
        await until_waiting(services, 1)
    await resetting
    async with services.db.connection() as connection:
        with pytest.raises(InvalidToken):
            await sessions.find(connection, started.secret)
