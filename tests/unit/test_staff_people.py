"""Invitations of staff: which answers use one up."""

from datetime import timedelta

import pytest

from coatcheck.app import Services
from coatcheck.clock import MovableClock
from coatcheck.errors import NotFound, SignInFailed
from coatcheck.staff.people import NewStaff
from coatcheck.staff.roles import Role
from coatcheck.staff.sign_ins import Purpose


async def test_an_answer_that_was_begun_with_an_earlier_invitation_does_not_use_the_new_one(
    services: Services, clock: MovableClock
) -> None:
    people, sign_ins = services.staff.people, services.staff.sign_ins
    async with services.db.transaction() as connection:
        new = NewStaff("Ann", "ann.earlier@example.com", Role.OPERATOR)
        invited = (await people.invite(connection, new, actor="operator")).staff
        secrets = []
        for _ in range(2):
            secrets.append(
                await sign_ins.begin(connection, Purpose.JOIN, staff_guid=invited.guid, next_path="/")
            )
            clock.advance(timedelta(seconds=1))
            if len(secrets) == 1:
                await people.reset(connection, invited.guid, actor="operator")
        earlier, later = [await sign_ins.finish(connection, secret) for secret in secrets]
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
