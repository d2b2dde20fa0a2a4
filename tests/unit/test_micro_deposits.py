"""Micro-deposits: sent once, at most three attempts, and a verified account."""

import asyncio
import itertools
import re
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from functools import partial

import pytest

from coatcheck.app import build
from coatcheck.errors import (
    Conflict,
    ConstraintNotMet,
    DuplicateMicroDeposit,
    InvalidRequest,
    JobNotSupported,
    NotFound,
    Unavailable,
)
from coatcheck.micro_deposits.sender import RETENTION, SENDING_TIMEOUT, DepositSender
from coatcheck.model.accounts import find_account
from coatcheck.model.micro_deposits import DepositAccount, find_micro_deposit
from coatcheck.vault.vault import ClientReader
from coatcheck.worker_services import run_pending
from tests.disclosures import round_trips
from tests.factories import Keyed, make_processor, make_token
from tests.member_setup import make_end_user
from tests.spellings import SPELLINGS, spelled

AT_ONCE = "3333000042"
"""An account number for which the sandbox bank's deposits arrive immediately."""
RIGHT = (Decimal("0.03"), Decimal("0.15"))
WRONG = (Decimal("0.01"), Decimal("0.02"))


async def create(end_user, number=AT_ONCE, *, account_type="CHECKING", **more):
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
    async with end_user.services.db.transaction() as connection:
        return await end_user.services.micro_deposits.create(connection, end_user.user, account, account_type)


async def verify(end_user, deposit, amounts=RIGHT):
    async with end_user.services.db.transaction() as connection:
        return await end_user.services.micro_deposits.verify(connection, deposit, amounts)


async def again(end_user, deposit):
    async with end_user.services.db.connection() as connection:
        return await find_micro_deposit(connection, end_user.client.guid, deposit.guid)


async def deposited(end_user, number=AT_ONCE, **more):
    deposit = await create(end_user, number, **more)
    await run_pending(end_user.services)
    return await again(end_user, deposit)


async def test_deposits_are_initiated_sent_by_the_worker_and_arrive(services):
    end_user = await make_end_user(services)
    deposit = await create(end_user)
    assert (deposit.status, deposit.account_type) == ("INITIATED", "CHECKING")
    assert deposit.guid.startswith("MIC-")
    await run_pending(services)
    assert (await again(end_user, deposit)).status == "DEPOSITED"
    statuses = [each["micro_deposit"]["status_name"] for each in await end_user.events("MICRO_DEPOSIT")]
    assert statuses == ["INITIATED", "REQUESTED", "DEPOSITED"]


async def test_requested_deposits_are_deposited_by_a_read_or_a_sweep_after_they_arrive(services, clock):
    end_user = await make_end_user(services)
    swept, read = await deposited(end_user, "1234567842"), await deposited(end_user, "1234567843")
    assert (swept.status, read.status) == ("REQUESTED", "REQUESTED")
    with pytest.raises(ConstraintNotMet, match="REQUESTED"):
        await verify(end_user, read)
    clock.advance(timedelta(days=4))
    async with services.db.transaction() as connection:
        assert (await services.micro_deposits.refresh(connection, read)).status == "DEPOSITED"
    await end_user.worker_services.sweep()
    assert (await again(end_user, swept)).status == "DEPOSITED"
    assert (await verify(end_user, swept)).status == "VERIFIED"


@pytest.mark.parametrize("amounts", [RIGHT, RIGHT[::-1], (Decimal("0.030"), Decimal("0.1500"))])
async def test_the_right_amounts_verify_in_either_order(services, amounts):
    end_user = await make_end_user(services)
    verified = await verify(end_user, await deposited(end_user), amounts)
    assert verified.status == "VERIFIED"
    assert verified.verified_at == verified.updated_at


async def test_a_verified_account_has_numbers_and_a_processor_can_have_a_token_for_it(services):
    end_user = await make_end_user(services)
    await verify(end_user, await deposited(end_user))
    ((member, account, mask, is_manual, name),) = await end_user.rows(
        """SELECT m.guid, a.guid, a.account_number, m.is_manual AND a.is_manual, a.name
           FROM account a JOIN member m ON m.user_guid = a.user_guid AND m.guid = a.member_guid
           WHERE a.user_guid = %(user)s"""
    )
    assert (mask, is_manual, name) == ("0042", True, "Everyday")
    async with services.db.connection() as connection:
        disclosed = await services.vault.disclose_numbers(
            connection, ClientReader(end_user.client.guid, end_user.user.guid, member, account)
        )
        found = await find_account(connection, end_user.user.guid, account)
    assert [(each.account_number, each.routing_number) for each in disclosed.items] == [
        (AT_ONCE, "091000019")
    ]
    processor = await make_processor(services, Keyed(end_user.client.guid, ""))
    assert await make_token(services, found, processor)


async def test_no_attempt_is_accepted_after_three_wrong_ones(services):
    end_user = await make_end_user(services)
    deposit = await deposited(end_user)
    statuses = [(await verify(end_user, deposit, WRONG)).status for _ in range(3)]
    assert statuses == ["DENIED", "DENIED", "PREVENTED"]
    with pytest.raises(ConstraintNotMet, match="PREVENTED"):
        await verify(end_user, deposit, RIGHT)
    assert await end_user.rows("SELECT FROM account WHERE user_guid = %(user)s") == []


async def test_the_right_amounts_after_two_wrong_attempts_verify(services):
    end_user = await make_end_user(services)
    deposit = await deposited(end_user)
    for _ in range(2):
        await verify(end_user, deposit, WRONG)
    verified = await verify(end_user, deposit, RIGHT)
    assert (verified.status, verified.error_message) == ("VERIFIED", None)


async def test_simultaneous_attempts_are_all_counted(services):
    end_user = await make_end_user(services)
    deposit = await deposited(end_user)
    results = await asyncio.gather(
        *(verify(end_user, deposit, WRONG) for _ in range(8)), return_exceptions=True
    )
    assert sum(isinstance(result, ConstraintNotMet) for result in results) == 5
    kept = await again(end_user, deposit)
    assert (kept.status, kept.wrong_attempts) == ("PREVENTED", 3)


async def test_simultaneous_right_answers_create_one_account(services):
    end_user = await make_end_user(services)
    deposit = await deposited(end_user)
    await asyncio.gather(*(verify(end_user, deposit) for _ in range(4)), return_exceptions=True)
    assert await end_user.rows("SELECT count(*) FROM account WHERE user_guid = %(user)s") == [(1,)]


async def test_an_account_gets_no_second_deposits_until_the_first_are_deleted(services):
    end_user, neighbour = await make_end_user(services), await make_end_user(services)
    deposit = await create(end_user)
    with pytest.raises(Conflict):
        await create(end_user)
    await create(neighbour)
    async with services.db.transaction() as connection:
        await services.micro_deposits.delete(connection, deposit)
    with pytest.raises(NotFound):
        await again(end_user, deposit)
    assert (await create(end_user)).status == "INITIATED"


async def test_an_email_address_can_have_three_accounts(services):
    end_user, neighbour = await make_end_user(services), await make_end_user(services)
    for number in ("3333000001", "3333000002", "3333000003"):
        await create(end_user, number)
    with pytest.raises(ConstraintNotMet, match="at most 3"):
        await create(end_user, "3333000004", email="ADA@example.test")
    await create(end_user, "3333000004", email="grace@example.test")
    await create(neighbour, "3333000004")


async def test_simultaneous_requests_give_an_email_address_three_accounts(services):
    end_user = await make_end_user(services)
    # With connections that are open, the requests run at the same time.
    others = (create(end_user, f"444400000{digit}", email=f"{digit}@example.test") for digit in range(5))
    await asyncio.gather(*others)
    requests = (create(end_user, f"333300000{digit}") for digit in range(5))
    made = await asyncio.gather(*requests, return_exceptions=True)
    assert sum(isinstance(each, ConstraintNotMet) for each in made) == 2


async def test_a_holder_without_an_account_is_preinitiated_and_nothing_is_sent(services):
    end_user = await make_end_user(services)
    deposit = await create(end_user, None, routing_number=None, account_type=None)
    assert (deposit.status, deposit.account_type) == ("PREINITIATED", None)
    await run_pending(services)
    assert (await again(end_user, deposit)).status == "PREINITIATED"
    with pytest.raises(ConstraintNotMet):
        await verify(end_user, deposit)


@pytest.mark.parametrize(
    "wrong",
    [
        {"number": "123"},
        {"number": "123456789012345678"},
        {"number": "12345abc"},
        {"number": "１２３４５"},  # noqa: RUF001 (digits that are not ASCII)
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
    end_user = await make_end_user(services)
    with pytest.raises(InvalidRequest):
        await create(end_user, **wrong)
    assert await end_user.rows("SELECT FROM micro_deposit WHERE user_guid = %(user)s") == []


async def test_an_institution_of_a_connector_is_found_by_its_routing_number(services):
    end_user = await make_end_user(services)
    institution = services.registry.find("mxbank")
    deposit = await deposited(end_user, routing_number=institution.routing_numbers[0])
    assert (deposit.institution_code, deposit.institution_name) == ("mxbank", "MX Bank")
    await verify(end_user, deposit)
    assert await end_user.rows("SELECT institution_guid FROM member WHERE user_guid = %(user)s") == [
        (institution.guid,)
    ]


async def test_micro_deposits_need_a_connector_that_can_send_money(settings, clock):
    async with build(replace(settings, connectors=()), clock) as services:
        end_user = await make_end_user(services)
        with pytest.raises(JobNotSupported):
            await create(end_user)


async def test_deposits_are_not_sent_again_after_a_worker_died_while_sending(services, clock):
    end_user = await make_end_user(services)
    deposit = await create(end_user)
    await end_user.rows("UPDATE micro_deposit SET status = 'REQUESTED' WHERE user_guid = %(user)s")
    assert deposit.guid not in {each.guid for each in await DepositSender(services.dependencies).claim(1000)}
    clock.advance(SENDING_TIMEOUT - timedelta(minutes=1))
    await end_user.worker_services.sweep()
    assert (await again(end_user, deposit)).status == "REQUESTED"
    clock.advance(timedelta(minutes=2))
    await end_user.worker_services.sweep()
    failed = await again(end_user, deposit)
    assert failed.status == "ERRORED"
    assert "not known" in failed.error_message
    assert (await create(end_user)).status == "INITIATED", "the user can request new micro-deposits"


async def test_a_database_that_is_away_after_the_sending_loses_no_amounts(services, monkeypatch):
    end_user = await make_end_user(services)
    deposit = await create(end_user)
    sender = DepositSender(services.dependencies)
    (claimed,) = [each for each in await sender.claim(1000) if each.guid == deposit.guid]
    sent, calls, transaction = [], itertools.count(1), services.db.transaction
    depositor = services.registry.depositor()
    send_deposits = depositor.send_deposits

    async def send(**given):
        sent.append(given)
        return await send_deposits(**given)

    def away_twice():
        if next(calls) in {1, 3}:
            raise Unavailable
        return transaction()

    monkeypatch.setattr(depositor, "send_deposits", send)
    monkeypatch.setattr(services.db, "transaction", away_twice)
    await sender.send(claimed)
    monkeypatch.undo()
    assert len(sent) == 1
    assert (await again(end_user, deposit)).status == "DEPOSITED"
    assert (await verify(end_user, deposit)).status == "VERIFIED"


async def test_only_one_of_simultaneous_claims_gets_the_deposits(settings, clock):
    async with build(replace(settings, pool_size=10), clock) as services:
        end_user = await make_end_user(services)
        deposit = await create(end_user)
        claims = await asyncio.gather(*(DepositSender(services.dependencies).claim(1000) for _ in range(10)))
        claimed = [each.guid for claim in claims for each in claim]
        assert claimed.count(deposit.guid) == 1


async def test_unverified_deposits_are_deleted_with_their_secret_after_three_weeks(services, clock):
    end_user = await make_end_user(services)
    forgotten, verified = await deposited(end_user, "3333000001"), await deposited(end_user, "3333000042")
    await verify(end_user, verified)
    clock.advance(RETENTION + timedelta(days=1))
    await end_user.worker_services.sweep()
    left = "SELECT guid FROM micro_deposit WHERE user_guid = %(user)s"
    assert await end_user.rows(left) == [(verified.guid,)]
    kept = "SELECT record_guid FROM sealed_secret WHERE owner_guid = %(user)s AND kind = 'MICRO_DEPOSIT'"
    assert await end_user.rows(kept) == [(verified.guid,)]
    assert forgotten.guid != verified.guid


async def test_reading_the_account_writes_a_disclosure_to_the_client(services):
    end_user = await make_end_user(services)
    deposit = await create(end_user)
    async with services.db.connection() as connection:
        account = await services.micro_deposits.account_of(connection, deposit)
    assert (account.account_number, account.email) == (AT_ONCE, "ada@example.test")
    assert AT_ONCE not in repr(account)
    disclosed = (
        "SELECT reader_guid, what FROM disclosure WHERE user_guid = %(user)s AND record_guid = %(record)s"
    )
    assert await end_user.rows(disclosed, record=deposit.guid) == [(end_user.client.guid, "MICRO_DEPOSIT")]


async def test_the_account_and_the_amounts_are_stored_only_sealed(services):
    end_user = await make_end_user(services)
    await deposited(end_user)
    everything = await end_user.rows(
        """SELECT (SELECT string_agg(d::text, '') FROM micro_deposit d WHERE user_guid = %(user)s),
                  (SELECT string_agg(s::text, '') FROM sealed_secret s WHERE owner_guid = %(user)s),
                  (SELECT string_agg(payload, '') FROM event WHERE owner_guid = %(client)s),
                  (SELECT string_agg(body, '') FROM audit_entry WHERE client_guid = %(client)s)""",
        client=end_user.client.guid,
    )
    # The fraction of a second can have the digits of the amount.
    assert not re.search(r"(?<!\d)0\.15", str(everything))
    for secret in (AT_ONCE, "ada@example.test", "Everyday"):
        assert secret not in str(everything)
        assert secret.encode().hex() not in str(everything)


async def test_another_spelling_of_the_account_does_not_bypass_the_attempt_limit(services):
    end_user = await make_end_user(services)
    deposit = await deposited(end_user)
    for _ in range(3):
        await verify(end_user, deposit, WRONG)
    assert (await again(end_user, deposit)).status == "PREVENTED"
    for spelling in SPELLINGS:
        for field, value in (("number", AT_ONCE), ("routing_number", "091000019")):
            with pytest.raises((DuplicateMicroDeposit, InvalidRequest)):
                await create(end_user, **{field: spelled(value, spelling)})
    assert await end_user.rows("SELECT count(*) FROM micro_deposit WHERE user_guid = %(user)s") == [(1,)]


@pytest.mark.parametrize(
    ("field", "value"), [("number", AT_ONCE), ("routing_number", "091000019"), ("email", "ann1@example.com")]
)
async def test_every_spelling_is_refused_or_stored_in_canonical_form(services, field, value):
    end_user = await make_end_user(services)
    accepted = 0
    for spelling in SPELLINGS:
        try:
            deposit = await create(end_user, **{field: spelled(value, spelling)})
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


async def test_email_addresses_are_counted_regardless_of_case_and_width(services):
    end_user = await make_end_user(services)
    for number in ("3333000001", "3333000002", "3333000003"):
        await create(end_user, number)
    with pytest.raises(ConstraintNotMet):
        await create(end_user, "3333000004", email=" \uff41\uff44\uff41@EXAMPLE.test\u00a0")


async def test_a_processor_reads_verified_numbers_in_canonical_form(services):
    end_user = await make_end_user(services)
    await verify(
        end_user, await deposited(end_user, routing_number=spelled("091000019", "full-width digits"))
    )
    ((account, member),) = await end_user.rows(
        "SELECT guid, member_guid FROM account WHERE user_guid = %(user)s"
    )
    async with services.db.connection() as connection:
        disclosed = await services.vault.disclose_numbers(
            connection, ClientReader(end_user.client.guid, end_user.user.guid, member, account)
        )
    assert [each.routing_number for each in disclosed.items] == ["091000019"]


async def test_the_accounts_of_many_micro_deposits_are_read_in_one_statement(services):
    end_user = await make_end_user(services)
    deposits = [
        await create(end_user, f"333300004{digit}", email=f"{digit}@example.test") for digit in range(3)
    ]
    micro_deposits = services.micro_deposits
    async with services.db.transaction() as connection:
        counts = [
            await round_trips(connection, partial(micro_deposits.accounts_of, connection, deposits[:count]))
            for count in (1, 3)
        ]
        await micro_deposits.delete(connection, deposits[1])
        found = await micro_deposits.accounts_of(connection, deposits)
    assert counts == [1, 1]
    assert [(each.guid, account.account_number) for each, account in found] == [
        (deposits[0].guid, "3333000040"),
        (deposits[2].guid, "3333000042"),
    ]
