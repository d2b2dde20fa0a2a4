"""Micro-deposits: sent once, at most three attempts, and a verified account."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from coatcheck.app import build
from coatcheck.errors import (
    Conflict,
    ConstraintNotMet,
    DuplicateMicroDeposit,
    InvalidRequest,
    JobNotSupported,
    NotFound,
)
from coatcheck.micro_deposits.sender import RETENTION, SENDING_TIMEOUT, DepositSender
from coatcheck.model.accounts import find_account
from coatcheck.model.micro_deposits import DepositAccount, find_micro_deposit
from coatcheck.vault.vault import ClientReader
from coatcheck.worker import run_pending
from tests.factories import Keyed, make_processor, make_token
from tests.member_setup import make_home
from tests.spellings import SPELLINGS, spelled

AT_ONCE = "3333000042"
"""The sandbox's deposits to accounts that begin so arrive at once."""
RIGHT = (Decimal("0.03"), Decimal("0.15"))
WRONG = (Decimal("0.01"), Decimal("0.02"))


async def create(home, number=AT_ONCE, *, account_type="CHECKING", **more):
    account = DepositAccount(
        **{
            "account_number": number,
            "routing_number": "091000019",
            "account_name": "Everyday",
            "email": "ada@example.test",
            "first_name": "Ada",
            "last_name": "Example",
        }
        | more
    )
    async with home.services.db.transaction() as connection:
        return await home.services.micro_deposits.create(connection, home.user, account, account_type)


async def verify(home, deposit, amounts=RIGHT):
    async with home.services.db.transaction() as connection:
        return await home.services.micro_deposits.verify(connection, deposit, amounts)


async def again(home, deposit):
    async with home.services.db.connection() as connection:
        return await find_micro_deposit(connection, home.client.guid, deposit.guid)


async def deposited(home, number=AT_ONCE, **more):
    deposit = await create(home, number, **more)
    await run_pending(home.services)
    return await again(home, deposit)


async def test_deposits_are_initiated_sent_by_the_worker_and_arrive(services):
    home = await make_home(services)
    deposit = await create(home)
    assert (deposit.status, deposit.account_type) == ("INITIATED", "CHECKING")
    assert deposit.guid.startswith("MIC-")
    await run_pending(services)
    assert (await again(home, deposit)).status == "DEPOSITED"
    told = [each["micro_deposit"]["status_name"] for each in await home.events("MICRO_DEPOSIT")]
    assert told == ["INITIATED", "REQUESTED", "DEPOSITED"]


async def test_requested_deposits_arrive_by_the_clock_on_a_read_and_on_a_sweep(services, clock):
    home = await make_home(services)
    swept, read = await deposited(home, "1234567842"), await deposited(home, "1234567843")
    assert (swept.status, read.status) == ("REQUESTED", "REQUESTED")
    with pytest.raises(ConstraintNotMet, match="REQUESTED"):
        await verify(home, read)
    clock.advance(timedelta(days=4))
    async with services.db.transaction() as connection:
        assert (await services.micro_deposits.refresh(connection, read)).status == "DEPOSITED"
    await home.worker_services.sweep()
    assert (await again(home, swept)).status == "DEPOSITED"
    assert (await verify(home, swept)).status == "VERIFIED"


@pytest.mark.parametrize("amounts", [RIGHT, RIGHT[::-1], (Decimal("0.030"), Decimal("0.1500"))])
async def test_the_right_amounts_verify_in_either_order(services, amounts):
    home = await make_home(services)
    verified = await verify(home, await deposited(home), amounts)
    assert verified.status == "VERIFIED"
    assert verified.verified_at == verified.updated_at


async def test_a_verified_account_has_numbers_and_a_processor_can_have_a_token_for_it(services):
    home = await make_home(services)
    await verify(home, await deposited(home))
    ((member, account, mask, is_manual, name),) = await home.rows(
        """SELECT m.guid, a.guid, a.account_number, m.is_manual AND a.is_manual, a.name
           FROM account a JOIN member m ON m.user_guid = a.user_guid AND m.guid = a.member_guid
           WHERE a.user_guid = %(user)s"""
    )
    assert (mask, is_manual, name) == ("0042", True, "Everyday")
    async with services.db.connection() as connection:
        shown = await services.vault.disclose_numbers(
            connection, ClientReader(home.client.guid, home.user.guid, member, account)
        )
        found = await find_account(connection, home.user.guid, account)
    assert [(each.account_number, each.routing_number) for each in shown.items] == [(AT_ONCE, "091000019")]
    processor = await make_processor(services, Keyed(home.client.guid, ""))
    assert await make_token(services, found, processor)


async def test_the_third_wrong_answer_is_the_last(services):
    home = await make_home(services)
    deposit = await deposited(home)
    statuses = [(await verify(home, deposit, WRONG)).status for _ in range(3)]
    assert statuses == ["DENIED", "DENIED", "PREVENTED"]
    with pytest.raises(ConstraintNotMet, match="PREVENTED"):
        await verify(home, deposit, RIGHT)
    assert await home.rows("SELECT FROM account WHERE user_guid = %(user)s") == []


async def test_a_right_answer_after_two_wrong_ones_counts(services):
    home = await make_home(services)
    deposit = await deposited(home)
    for _ in range(2):
        await verify(home, deposit, WRONG)
    verified = await verify(home, deposit, RIGHT)
    assert (verified.status, verified.error_message) == ("VERIFIED", None)


async def test_simultaneous_attempts_are_counted_one_by_one(services):
    home = await make_home(services)
    deposit = await deposited(home)
    results = await asyncio.gather(*(verify(home, deposit, WRONG) for _ in range(8)), return_exceptions=True)
    assert sum(isinstance(result, ConstraintNotMet) for result in results) == 5
    kept = await again(home, deposit)
    assert (kept.status, kept.wrong_attempts) == ("PREVENTED", 3)


async def test_simultaneous_right_answers_create_one_account(services):
    home = await make_home(services)
    deposit = await deposited(home)
    await asyncio.gather(*(verify(home, deposit) for _ in range(4)), return_exceptions=True)
    assert await home.rows("SELECT count(*) FROM account WHERE user_guid = %(user)s") == [(1,)]


async def test_an_account_gets_no_second_deposits_until_the_first_are_deleted(services):
    home, neighbour = await make_home(services), await make_home(services)
    deposit = await create(home)
    with pytest.raises(Conflict):
        await create(home)
    await create(neighbour)
    async with services.db.transaction() as connection:
        await services.micro_deposits.delete(connection, deposit)
    with pytest.raises(NotFound):
        await again(home, deposit)
    assert (await create(home)).status == "INITIATED"


async def test_an_email_address_can_have_three_accounts(services):
    home, neighbour = await make_home(services), await make_home(services)
    for number in ("3333000001", "3333000002", "3333000003"):
        await create(home, number)
    with pytest.raises(ConstraintNotMet, match="at most 3"):
        await create(home, "3333000004", email="ADA@example.test")
    await create(home, "3333000004", email="grace@example.test")
    await create(neighbour, "3333000004")


async def test_a_holder_without_an_account_is_preinitiated_and_nothing_is_sent(services):
    home = await make_home(services)
    deposit = await create(home, None, routing_number=None, account_type=None)
    assert (deposit.status, deposit.account_type) == ("PREINITIATED", None)
    await run_pending(services)
    assert (await again(home, deposit)).status == "PREINITIATED"
    with pytest.raises(ConstraintNotMet):
        await verify(home, deposit)


@pytest.mark.parametrize(
    "wrong",
    [
        {"number": "123"},
        {"number": "123456789012345678"},
        {"number": "12345abc"},
        {"number": "１２３４５"},  # noqa: RUF001 (digits, but no ASCII ones)
        {"number": None},
        {"routing_number": "091000018"},
        {"routing_number": None},
        {"account_type": "LOAN"},
        {"account_type": None},
        {"number": None, "routing_number": None, "first_name": None},
    ],
    ids=str,
)
async def test_an_invalid_account_is_refused(services, wrong):
    home = await make_home(services)
    with pytest.raises(InvalidRequest):
        await create(home, **wrong)
    assert await home.rows("SELECT FROM micro_deposit WHERE user_guid = %(user)s") == []


async def test_an_institution_of_a_connector_is_found_by_its_routing_number(services):
    home = await make_home(services)
    institution = services.registry.find("mxbank")
    deposit = await deposited(home, routing_number=institution.routing_numbers[0])
    assert (deposit.institution_code, deposit.institution_name) == ("mxbank", "MX Bank")
    await verify(home, deposit)
    assert await home.rows("SELECT institution_guid FROM member WHERE user_guid = %(user)s") == [
        (institution.guid,)
    ]


async def test_micro_deposits_need_a_connector_that_can_send_money(settings, clock):
    async with build(replace(settings, connectors=()), clock) as services:
        home = await make_home(services)
        with pytest.raises(JobNotSupported):
            await create(home)


async def test_a_worker_that_dies_while_sending_sends_no_second_time(services, clock):
    home = await make_home(services)
    deposit = await create(home)
    await home.rows("UPDATE micro_deposit SET status = 'REQUESTED' WHERE user_guid = %(user)s")
    assert deposit.guid not in {each.guid for each in await DepositSender(services.dependencies).claim(1000)}
    clock.advance(SENDING_TIMEOUT - timedelta(minutes=1))
    await home.worker_services.sweep()
    assert (await again(home, deposit)).status == "REQUESTED"
    clock.advance(timedelta(minutes=2))
    await home.worker_services.sweep()
    failed = await again(home, deposit)
    assert failed.status == "ERRORED"
    assert "not known" in failed.error_message
    assert (await create(home)).status == "INITIATED", "another try is the user's to make"


async def test_of_simultaneous_claims_one_gets_the_deposits(settings, clock):
    async with build(replace(settings, pool_size=10), clock) as services:
        home = await make_home(services)
        deposit = await create(home)
        claims = await asyncio.gather(*(DepositSender(services.dependencies).claim(1000) for _ in range(10)))
        claimed = [each.guid for claim in claims for each in claim]
        assert claimed.count(deposit.guid) == 1


async def test_what_was_never_verified_is_removed_with_its_secret_after_three_weeks(services, clock):
    home = await make_home(services)
    forgotten, verified = await deposited(home, "3333000001"), await deposited(home, "3333000042")
    await verify(home, verified)
    clock.advance(RETENTION + timedelta(days=1))
    await home.worker_services.sweep()
    left = "SELECT guid FROM micro_deposit WHERE user_guid = %(user)s"
    assert await home.rows(left) == [(verified.guid,)]
    kept = "SELECT record_guid FROM sealed_secret WHERE owner_guid = %(user)s AND kind = 'MICRO_DEPOSIT'"
    assert await home.rows(kept) == [(verified.guid,)]
    assert forgotten.guid != verified.guid


async def test_reading_the_account_writes_a_disclosure_to_the_client(services):
    home = await make_home(services)
    deposit = await create(home)
    async with services.db.connection() as connection:
        account = await services.micro_deposits.account_of(connection, deposit)
    assert (account.account_number, account.email) == (AT_ONCE, "ada@example.test")
    assert AT_ONCE not in repr(account)
    shown = "SELECT reader_guid, what FROM disclosure WHERE user_guid = %(user)s AND record_guid = %(record)s"
    assert await home.rows(shown, record=deposit.guid) == [(home.client.guid, "MICRO_DEPOSIT")]


async def test_the_account_and_the_amounts_are_stored_sealed_only(services):
    home = await make_home(services)
    await deposited(home)
    everything = await home.rows(
        """SELECT (SELECT string_agg(d::text, '') FROM micro_deposit d WHERE user_guid = %(user)s),
                  (SELECT string_agg(s::text, '') FROM sealed_secret s WHERE owner_guid = %(user)s),
                  (SELECT string_agg(payload, '') FROM event WHERE client_guid = %(client)s),
                  (SELECT string_agg(body, '') FROM audit_event WHERE client_guid = %(client)s)""",
        client=home.client.guid,
    )
    for secret in (AT_ONCE, "ada@example.test", "0.15", "Everyday"):
        assert secret not in str(everything)
        assert secret.encode().hex() not in str(everything)


async def test_the_lock_after_three_wrong_attempts_holds_against_every_spelling(services):
    home = await make_home(services)
    deposit = await deposited(home)
    for _ in range(3):
        await verify(home, deposit, WRONG)
    assert (await again(home, deposit)).status == "PREVENTED"
    for spelling in SPELLINGS:
        for field, value in (("number", AT_ONCE), ("routing_number", "091000019")):
            with pytest.raises((DuplicateMicroDeposit, InvalidRequest)):
                await create(home, **{field: spelled(value, spelling)})
    assert await home.rows("SELECT count(*) FROM micro_deposit WHERE user_guid = %(user)s") == [(1,)]


@pytest.mark.parametrize(
    ("field", "value"), [("number", AT_ONCE), ("routing_number", "091000019"), ("email", "ann1@example.com")]
)
async def test_every_spelling_is_refused_or_sealed_canonical(services, field, value):
    home = await make_home(services)
    accepted = 0
    for spelling in SPELLINGS:
        try:
            deposit = await create(home, **{field: spelled(value, spelling)})
        except InvalidRequest:
            continue
        async with services.db.transaction() as connection:
            account = await services.micro_deposits.account_of(connection, deposit)
            await services.micro_deposits.delete(connection, deposit)
        accepted += 1
        assert (account.account_number, account.routing_number) == (AT_ONCE, "091000019")
        assert account.email is not None
        assert account.email.isascii()
        assert account.email == account.email.strip()
    assert accepted


async def test_an_email_address_is_counted_in_every_case_and_width(services):
    home = await make_home(services)
    for number in ("3333000001", "3333000002", "3333000003"):
        await create(home, number)
    with pytest.raises(ConstraintNotMet):
        await create(home, "3333000004", email=" \uff41\uff44\uff41@EXAMPLE.test\u00a0")


async def test_what_is_verified_reaches_the_processor_in_canonical_spelling(services):
    home = await make_home(services)
    await verify(home, await deposited(home, routing_number=spelled("091000019", "full-width digits")))
    ((account, member),) = await home.rows("SELECT guid, member_guid FROM account WHERE user_guid = %(user)s")
    async with services.db.connection() as connection:
        disclosed = await services.vault.disclose_numbers(
            connection, ClientReader(home.client.guid, home.user.guid, member, account)
        )
    assert [each.routing_number for each in disclosed.items] == ["091000019"]
