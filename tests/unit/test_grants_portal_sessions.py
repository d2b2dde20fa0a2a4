"""Sessions of the portal: what happens when two requests of one session arrive at once."""

import asyncio

import pytest

from coatcheck.app import Services
from coatcheck.clock import MovableClock
from coatcheck.errors import InvalidToken
from coatcheck.grants.links import LinkKind
from coatcheck.grants.portal_sessions import EXTENSION_INTERVAL, StartedSession
from coatcheck.model.users import User
from tests.waiting_statements import until_waiting


async def start(services: Services, user: User) -> StartedSession:
    async with services.db.transaction() as connection:
        _, secret = await services.links.issue(
            connection, LinkKind.PORTAL, client_guid=user.client_guid, user_guid=user.guid
        )
        return await services.portal_sessions.open(connection, secret, locale="en")


async def find(services: Services, started: StartedSession) -> None:
    async with services.db.connection() as connection:
        await services.portal_sessions.find(connection, started.session.guid, started.secret)


async def end(services: Services, started: StartedSession) -> None:
    async with services.db.connection() as connection:
        await services.portal_sessions.end(connection, started.session)


async def test_a_request_that_began_before_the_user_left_does_not_revive_the_session(
    clock: MovableClock, services: Services, user: User
) -> None:
    started = await start(services, user)
    clock.advance(EXTENSION_INTERVAL)
    async with services.db.transaction() as lock:
        await lock.execute("SELECT FROM portal_session WHERE guid = %s FOR UPDATE", [started.session.guid])
        leaving = asyncio.create_task(end(services, started))
        await until_waiting(services, 1)
        # It has found the session, and waits to extend it.
        extending = asyncio.create_task(find(services, started))
        await until_waiting(services, 2)
    await asyncio.gather(leaving, extending)
    with pytest.raises(InvalidToken):
        await find(services, started)
