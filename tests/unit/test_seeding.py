"""Guids and secrets of a sandbox with a seed: a function of the seed, of what makes them, and of their order."""

import asyncio
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import timedelta

import httpx
import pytest

from coatcheck import ids
from coatcheck.app import build
from coatcheck.clock import MovableClock
from coatcheck.config import Settings, load
from coatcheck.errors import ConfigurationError
from coatcheck.grants.secrets import Kind, generate
from coatcheck.seeding import Seeding
from coatcheck.server import create_app
from tests.databases import copied_database
from tests.factories import make_client
from tests.member_setup import make_end_user

HASH_KEY = bytes(32)


def made_in(scope: AbstractContextManager[None], *prefixes: str) -> list[str]:
    with scope:
        return [ids.new(prefix) for prefix in prefixes]


def test_the_same_seed_gives_a_caller_the_same_guids_and_secrets() -> None:
    def make() -> list[str]:
        seeding = Seeding(7, 1)
        with seeding.caller("CLT-a"):
            return [ids.new("USR"), ids.new("USR"), generate(Kind.TOKEN, HASH_KEY).text]

    assert make() == make()
    assert len(set(make())) == 3


@pytest.mark.parametrize("other", [Seeding(8, 1), Seeding(7, 2)])
def test_another_seed_or_another_start_of_the_process_gives_others(other: Seeding) -> None:
    assert made_in(Seeding(7, 1).caller("CLT-a"), "USR") != made_in(other.caller("CLT-a"), "USR")


def test_what_a_request_makes_of_one_kind_does_not_depend_on_what_it_makes_of_others() -> None:
    assert (
        made_in(Seeding(7).caller("CLT-a"), "USR", "USR")
        == made_in(Seeding(7).caller("CLT-a"), "USR", "REQ", "AUD", "USR")[::3]
    )


def test_two_callers_never_get_the_same() -> None:
    seeding = Seeding(7)
    assert made_in(seeding.caller("CLT-a"), "USR") != made_in(seeding.caller("CLT-b"), "USR")
    one, other = Seeding(7), Seeding(7)
    with one.caller("CLT-a"):
        token = generate(Kind.TOKEN, HASH_KEY).text
    with other.caller("CLT-b"):
        assert generate(Kind.TOKEN, HASH_KEY).text != token


async def test_what_jobs_make_does_not_depend_on_which_runs_first() -> None:
    async def run(seeding: Seeding, job: str, first: asyncio.Event, then: asyncio.Event) -> list[str]:
        with seeding.once(job, "attempt 1"):
            await first.wait()
            made = [ids.new("TRN")]
            then.set()
            return [*made, ids.new("TRN")]

    async def run_both(*, is_reversed: bool) -> list[list[str]]:
        seeding, events = Seeding(7), [asyncio.Event(), asyncio.Event()]
        events[is_reversed].set()
        jobs = ["JOB-00000000-0000-8000-8000-000000000001", "JOB-00000000-0000-8000-8000-000000000002"]
        return await asyncio.gather(
            run(seeding, jobs[0], events[0], events[1]), run(seeding, jobs[1], events[1], events[0])
        )

    assert await run_both(is_reversed=False) == await run_both(is_reversed=True)


def test_guids_of_one_kind_have_the_order_in_which_requests_make_them() -> None:
    seeding = Seeding(7, 1)
    guids = [made_in(seeding.caller(name), "TKN")[0] for name in ("PPR-b", "PPR-a", "PPR-c", "PPR-a")]
    assert guids == sorted(guids)
    assert guids[-1] < made_in(Seeding(7, 2).caller("PPR-a"), "TKN")[0]


def test_what_is_made_for_an_object_comes_between_it_and_the_next_one() -> None:
    seeding = Seeding(7, 1)
    first, second = made_in(seeding.caller("CLT-a"), "JOB", "JOB")
    followers = [
        *made_in(seeding.once(first, "attempt 1"), "JOB"),
        *made_in(seeding.about(first), "JOB", "JOB"),
    ]
    assert [first, *sorted(followers), second] == sorted([first, *followers, second])


def test_a_guid_is_a_uuid_of_version_8() -> None:
    (guid,) = made_in(Seeding(7).caller("CLT-a"), "USR")
    assert (guid[:4], guid[18]) == ("USR-", "8")


def test_without_a_seed_everything_is_random() -> None:
    seeding = Seeding()
    with seeding.caller("CLT-a"):
        made = {ids.new("USR"), generate(Kind.TOKEN, HASH_KEY).text}
    with Seeding().caller("CLT-a"):
        assert not made & {ids.new("USR"), generate(Kind.TOKEN, HASH_KEY).text}


@pytest.mark.parametrize("sandbox", [None, "false"])
def test_a_production_server_does_not_start_with_a_seed(sandbox: str | None) -> None:
    environment = {"COATCHECK_SEED": "7"} | ({} if sandbox is None else {"COATCHECK_SANDBOX": sandbox})
    with pytest.raises(ConfigurationError, match="predictable"):
        load(environment)


@pytest.fixture
def urls(server_url: str) -> Iterator[list[str]]:
    with copied_database(server_url) as one, copied_database(server_url) as other:
        yield [one, other]


async def test_two_sandboxes_with_one_seed_answer_the_same_calls_with_the_same_guids(
    settings: Settings, urls: list[str]
) -> None:
    async def users(url: str) -> list[str]:
        seeded = replace(settings, database_url=url, sandbox=True, seed=7)
        async with build(seeded) as services:
            with services.seeding.caller("operator"):
                client = await make_client(services)
            transport = httpx.ASGITransport(create_app(services))
            async with httpx.AsyncClient(
                transport=transport, base_url="http://test", auth=client.auth
            ) as http:
                answers = [await http.post("/users", json={"user": {"metadata": "x"}}) for _ in range(3)]
        return [answer.json()["user"]["guid"] for answer in answers]

    first, second = [await users(url) for url in urls]
    assert len(set(first)) == 3
    assert first == second


async def test_a_restarted_sandbox_makes_no_guid_twice(settings: Settings, urls: list[str]) -> None:
    made = set()
    for _ in range(2):
        async with build(replace(settings, database_url=urls[0], sandbox=True, seed=7)) as services:
            made |= set(made_in(services.seeding.caller("CLT-a"), "USR", "USR"))
    assert len(made) == 4


@pytest.mark.own_database
async def test_the_audit_entries_of_daily_aggregations_follow_from_the_seed(
    settings: Settings, clock: MovableClock
) -> None:
    async with build(replace(settings, seed=7, sandbox=True), clock) as services:
        end_user = await make_end_user(services)
        await end_user.connected()
        clock.advance(timedelta(days=1))
        await end_user.worker_services.scheduler.refresh()
        entries = await end_user.rows(
            "SELECT guid FROM audit_event WHERE action = 'job.requested' AND actor = 'coatcheck'"
        )
    # A random guid has version 7.
    assert [guid.version for (guid,) in entries] == [8]
