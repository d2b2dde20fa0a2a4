"""The statuses that the operator gives institutions: what each refuses, and whom it disconnects."""

import asyncio
from datetime import timedelta
from decimal import Decimal

import pytest

from coatcheck.connectors.contract import JobKind
from coatcheck.errors import (
    ConnectionBroken,
    InstitutionInMaintenance,
    InstitutionPrevented,
    InstitutionPreventsNew,
    InstitutionPreventsVerification,
    InstitutionUnavailable,
    JobNotSupported,
)
from coatcheck.members.institutions import ClientAt
from coatcheck.members.oauth_windows import OAuthWindow, SignInPlace
from coatcheck.model.accounts import accounts_of_member
from coatcheck.model.institution_statuses import ClientStatus, InstitutionStatus
from coatcheck.model.members import find_member
from coatcheck.model.micro_deposits import DepositAccount
from coatcheck.model.tokens import LiveToken
from coatcheck.worker_services import run_pending
from tests.factories import Keyed, make_processor, make_token
from tests.member_setup import make_end_user

BANK = "mxbank"
STATUSES = {
    InstitutionStatus.MAINTENANCE: InstitutionInMaintenance,
    InstitutionStatus.UNAVAILABLE: InstitutionUnavailable,
}
PREVENTING_ALL = (ClientStatus.PREVENT_ALL, ClientStatus.PREVENT_ALL_AND_DISCONNECT)

pytestmark = pytest.mark.own_database


async def set_status(services, status):
    async with services.db.transaction() as connection:
        await services.institutions.set_status(connection, BANK, status, actor="operator")


async def set_client_status(services, end_user, status):
    return await services.institutions.set_client_status(
        ClientAt(end_user.client.guid, BANK), status, actor="operator"
    )


async def entries(end_user, action):
    """The actor, the subject and the detail of the audit entries."""
    return await end_user.rows(
        """SELECT body::json->>'actor', body::json->>'subject', body::json->'detail', client_guid FROM audit_entry
           WHERE body::json->>'action' = %(action)s ORDER BY number""",
        action=action,
    )


@pytest.fixture
async def end_user(services):
    return await make_end_user(services)


async def verified_by_deposits(services, end_user):
    """The member of an account that micro-deposits have verified at the bank."""
    account = DepositAccount(
        account_number="3333000042",
        routing_number=services.registry.find(BANK).routing_numbers[0],
        account_name="Everyday",
        email="ada@example.test",
        first_name="Ada",
        last_name="Example",
    )
    async with services.db.transaction() as connection:
        deposit = await services.micro_deposits.create(connection, end_user.user, account, "CHECKING")
    await run_pending(services)
    async with services.db.transaction() as connection:
        amounts = Decimal("0.03"), Decimal("0.15")
        await services.micro_deposits.verify(connection, deposit, amounts)
    [(guid,)] = await end_user.rows("SELECT guid FROM member WHERE user_guid = %(user)s")
    async with services.db.connection() as connection:
        return await find_member(connection, end_user.user.guid, guid)


@pytest.mark.parametrize(("status", "error"), STATUSES.items())
async def test_an_institution_in_maintenance_or_unavailable_takes_no_member_and_no_job(
    services, end_user, status, error
):
    member = await end_user.connected()
    await set_status(services, status)
    with pytest.raises(error):
        await end_user.connect("another")
    for kind in JobKind:
        with pytest.raises(error):
            await end_user.start(member, kind)
    with pytest.raises(error):
        await end_user.change(member, None, "new-password")
    assert (await end_user.reload(member)).connection_status == "CONNECTED"
    await set_status(services, InstitutionStatus.OPERATIONAL)
    assert (await end_user.run_job(member, JobKind.VERIFICATION)).connection_status == "CONNECTED"


async def test_a_degraded_institution_refuses_nothing(services, end_user):
    await set_status(services, InstitutionStatus.DEGRADED)
    member = await end_user.connected()
    assert (await end_user.run_job(member, JobKind.VERIFICATION)).connection_status == "CONNECTED"


async def test_other_institutions_are_not_affected(services, end_user):
    await set_status(services, InstitutionStatus.UNAVAILABLE)
    await set_client_status(services, end_user, ClientStatus.PREVENT_ALL)
    member = await end_user.connected(institution="rooksbridge_bank")
    assert member.connection_status == "CONNECTED"


async def test_prevent_new_refuses_new_members_and_no_job(services, end_user):
    member = await end_user.connected()
    await set_client_status(services, end_user, ClientStatus.PREVENT_NEW)
    with pytest.raises(InstitutionPreventsNew):
        await end_user.connect("another")
    with pytest.raises(InstitutionPreventsNew):
        await end_user.connect("another", skip_aggregation=True)
    assert (await end_user.run_job(member, JobKind.VERIFICATION)).connection_status == "CONNECTED"
    await set_client_status(services, end_user, ClientStatus.AVAILABLE)
    assert (await end_user.connected("another")).connection_status == "CONNECTED"


@pytest.mark.parametrize("status", PREVENTING_ALL)
async def test_prevent_all_refuses_new_members_and_jobs(services, end_user, status):
    member = await end_user.connected()
    await set_client_status(services, end_user, status)
    with pytest.raises(InstitutionPrevented):
        await end_user.connect("another")
    for kind in JobKind:
        with pytest.raises(InstitutionPrevented):
            await end_user.start(member, kind)
    with pytest.raises(InstitutionPrevented):
        await end_user.change(member, None, "new-password")


async def test_prevent_all_refuses_answers_and_sign_ins_that_were_open(services, end_user):
    asked = await end_user.connected(password="challenge")
    assert asked.connection_status == "CHALLENGED"
    await set_client_status(services, end_user, ClientStatus.PREVENT_ALL)
    with pytest.raises(InstitutionPrevented):
        await end_user.answer(asked, "correct")
    other = await end_user.connect(institution="mx_bank_oauth", is_oauth=True)
    await services.institutions.set_client_status(
        ClientAt(end_user.client.guid, "mx_bank_oauth"), ClientStatus.PREVENT_ALL, actor="operator"
    )
    prepared = await services.oauth.prepare_window(SignInPlace("mx_bank_oauth", other.user_guid))
    async with services.db.transaction() as connection:
        with pytest.raises(InstitutionPrevented):
            await services.oauth.open_window(connection, other, OAuthWindow(), prepared)


async def test_prevent_verification_refuses_that_job_only(services, end_user):
    member = await end_user.connected()
    await set_client_status(services, end_user, ClientStatus.PREVENT_VERIFICATION)
    with pytest.raises(InstitutionPreventsVerification):
        await end_user.start(member, JobKind.VERIFICATION)
    with pytest.raises(InstitutionPreventsVerification):
        await end_user.connect("another", kinds=[JobKind.VERIFICATION])
    for kind in set(JobKind) - {JobKind.VERIFICATION}:
        assert (await end_user.run_job(member, kind)).connection_status == "CONNECTED"


async def test_a_verification_that_waited_when_it_was_prevented_reads_nothing(services, end_user):
    member = await end_user.connected()
    for kind, status in ((JobKind.VERIFICATION, "FAILED"), (JobKind.AGGREGATION, "CONNECTED")):
        await set_client_status(services, end_user, ClientStatus.AVAILABLE)
        await end_user.start(member, kind)
        await set_client_status(services, end_user, ClientStatus.PREVENT_VERIFICATION)
        await run_pending(services)
        assert (await end_user.reload(member)).connection_status == status


@pytest.mark.parametrize(
    "status", [*PREVENTING_ALL[:1], ClientStatus.PREVENT_BACKGROUND_AGG], ids=lambda status: status.value
)
async def test_the_daily_aggregation_passes_over_members_at_a_prevented_institution(
    services, clock, end_user, status
):
    await end_user.connected()
    await set_client_status(services, end_user, status)
    clock.advance(services.settings.background_interval + timedelta(hours=1))
    assert await end_user.worker_services.scheduler.refresh() == 0
    await set_client_status(services, end_user, ClientStatus.AVAILABLE)
    assert await end_user.worker_services.scheduler.refresh() == 1


@pytest.mark.parametrize("status", STATUSES)
async def test_the_daily_aggregation_waits_for_the_end_of_a_maintenance(services, clock, end_user, status):
    await end_user.connected()
    await set_status(services, status)
    clock.advance(services.settings.background_interval + timedelta(hours=1))
    assert await end_user.worker_services.scheduler.refresh() == 0
    await set_status(services, InstitutionStatus.OPERATIONAL)
    assert await end_user.worker_services.scheduler.refresh() == 1


async def test_prevent_background_agg_refuses_no_request(services, end_user):
    await set_client_status(services, end_user, ClientStatus.PREVENT_BACKGROUND_AGG)
    member = await end_user.connected()
    assert (await end_user.run_job(member, JobKind.VERIFICATION)).connection_status == "CONNECTED"


async def test_a_client_status_concerns_that_client_only(services, end_user):
    other = await make_end_user(services)
    await set_client_status(services, end_user, ClientStatus.PREVENT_ALL)
    member = await other.connected()
    assert await set_client_status(services, end_user, ClientStatus.PREVENT_ALL_AND_DISCONNECT) == 0
    assert (await other.reload(member)).connection_status == "CONNECTED"


async def test_a_job_that_waited_when_the_status_was_set_does_not_read_the_institution(services, end_user):
    member = await end_user.connect()
    await set_client_status(services, end_user, ClientStatus.PREVENT_ALL)
    await run_pending(services)
    assert (await end_user.reload(member)).connection_status == "FAILED"
    assert await end_user.rows("SELECT reason FROM member_job WHERE user_guid = %(user)s") == [
        ("Nothing may be read from this institution.",)
    ]
    assert await end_user.rows("SELECT guid FROM account WHERE user_guid = %(user)s") == []


async def read_numbers(services, token) -> LiveToken:
    return (await services.access.numbers(services.access.parse_token(token))).token


async def test_disconnecting_suspends_the_tokens_until_a_job_succeeds_again(services, end_user):
    client = Keyed(end_user.client.guid, "")
    processor = await make_processor(services, client)
    member = await end_user.connected(kinds=[JobKind.VERIFICATION])
    async with services.db.connection() as connection:
        account = (await accounts_of_member(connection, end_user.user.guid, member.guid))[0]
    token = await make_token(services, account, processor)
    await read_numbers(services, token)
    assert await set_client_status(services, end_user, ClientStatus.PREVENT_ALL_AND_DISCONNECT) == 1
    assert (await end_user.reload(member)).connection_status == "DISCONNECTED"
    with pytest.raises(ConnectionBroken):
        await read_numbers(services, token)
    await set_client_status(services, end_user, ClientStatus.AVAILABLE)
    with pytest.raises(ConnectionBroken):
        await read_numbers(services, token)
    await end_user.run_job(member, JobKind.VERIFICATION)
    await read_numbers(services, token)
    announced = await end_user.rows(
        """SELECT type FROM event WHERE owner_guid = %(client)s AND format = 'coatcheck'
           AND (type LIKE 'connection.%%' OR type LIKE 'token.%%' OR type = 'consent.changed') ORDER BY position""",
        client=client.guid,
    )
    # The user's consent is not withdrawn.
    assert [row[0] for row in announced] == [
        "connection.broken",
        "token.suspended",
        "connection.repaired",
        "token.resumed",
    ]


async def test_disconnecting_ends_the_running_job_and_is_repeated_without_effect(services, end_user):
    member = await end_user.connect()
    (job,) = await end_user.worker_services.scheduler.claim(1)
    assert await set_client_status(services, end_user, ClientStatus.PREVENT_ALL_AND_DISCONNECT) == 1
    await end_user.worker_services.sync.run(job)
    assert (await end_user.reload(member)).connection_status == "DISCONNECTED"
    assert await set_client_status(services, end_user, ClientStatus.PREVENT_ALL_AND_DISCONNECT) == 0


async def test_each_setting_and_each_disconnected_member_is_in_the_audit_log(services, end_user):
    member = await end_user.connected()
    await set_status(services, InstitutionStatus.DEGRADED)
    await set_client_status(services, end_user, ClientStatus.PREVENT_ALL_AND_DISCONNECT)
    assert await entries(end_user, "institution.status_set") == [
        ("operator", BANK, {"status": "DEGRADED"}, None)
    ]
    client = end_user.client.guid
    assert await entries(end_user, "institution.client_status_set") == [
        ("operator", BANK, {"client_status": "PREVENT_ALL_AND_DISCONNECT"}, client)
    ]
    assert await entries(end_user, "member.disconnected") == [
        ("operator", member.guid, {"institution_code": BANK}, client)
    ]


async def test_a_member_is_created_without_the_jobs_that_are_refused_if_the_request_says_so(
    services, end_user
):
    await set_client_status(services, end_user, ClientStatus.PREVENT_VERIFICATION)
    kinds = [JobKind.VERIFICATION, JobKind.IDENTIFICATION]
    member = await end_user.connected(kinds=kinds, omits_refused_jobs=True)
    assert member.connection_status == "CONNECTED"
    jobs = await end_user.rows("SELECT kind FROM member_job WHERE user_guid = %(user)s")
    assert jobs == [("IDENTIFICATION",)]


async def test_without_that_an_unsupported_job_creates_no_member(services, end_user):
    with pytest.raises(JobNotSupported):
        await end_user.connect(
            institution="mx_bank_oauth", is_oauth=True, kinds=[JobKind.HISTORY, JobKind.AGGREGATION]
        )
    assert await end_user.rows("SELECT guid FROM member WHERE user_guid = %(user)s") == []


async def test_operators_can_set_statuses_at_the_same_time(services, end_user):
    statuses = [each for each in InstitutionStatus if each is not InstitutionStatus.OPERATIONAL] * 2
    await asyncio.gather(*(set_status(services, each) for each in statuses))
    assert len(await entries(end_user, "institution.status_set")) == len(statuses)
    await asyncio.gather(*(set_client_status(services, end_user, each) for each in PREVENTING_ALL * 2))
    assert len(await entries(end_user, "institution.client_status_set")) == 2 * len(PREVENTING_ALL)


async def test_an_account_that_micro_deposits_verified_has_no_connection_to_end(services, end_user):
    member = await verified_by_deposits(services, end_user)
    assert member.institution_code == BANK
    assert await set_client_status(services, end_user, ClientStatus.PREVENT_ALL_AND_DISCONNECT) == 0
    assert (await end_user.reload(member)).connection_status is None
