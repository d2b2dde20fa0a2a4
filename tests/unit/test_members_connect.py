"""Connecting, changing and disconnecting members."""

import asyncio
import json
from dataclasses import replace

import pytest

from coatcheck.app import build
from coatcheck.connectors.contract import JobKind
from coatcheck.errors import (
    Conflict,
    ConstraintNotMet,
    DuplicateMember,
    InvalidRequest,
    JobNotSupported,
    NotFound,
    UserDisabled,
)
from coatcheck.members.members import MAX_MEMBERS
from coatcheck.members.records import MemberChanges, NewMember
from coatcheck.vault.vault import SecretKind, WorkerReader
from coatcheck.worker import run_pending
from tests.member_setup import WELL, make_home

JOBS = "SELECT kind, state, outcome FROM member_job WHERE user_guid = %(user)s ORDER BY created_at, guid"


async def change(home, member, **attributes):
    async with home.services.db.transaction() as connection:
        return await home.services.members.change(connection, member, MemberChanges(attributes=attributes))


async def test_a_new_member_is_created_and_connected_by_its_job(services):
    home = await make_home(services)
    async with services.db.transaction() as connection:
        member, starts = await services.members.connect(
            connection,
            home.user,
            NewMember(
                institution_code="mxbank",
                credentials=home.credentials("mxbank", "mxuser", WELL),
                id="my-member",
                metadata="mine",
                use_cases=("PFM",),
            ),
        )
    assert starts
    assert (member.connection_status, member.is_being_aggregated) == ("CREATED", True)
    assert (member.id, member.metadata, member.use_cases) == ("my-member", "mine", ["PFM"])
    assert (member.name, member.institution_guid) == ("MX Bank", services.registry.find("mxbank").guid)
    assert await home.rows(JOBS) == [("AGGREGATION", "queued", None)]
    await run_pending(services)
    member = await home.again(member)
    assert (member.connection_status, member.is_being_aggregated) == ("CONNECTED", False)
    assert member.aggregated_at == member.successfully_aggregated_at is not None
    assert (member.is_authenticated, member.has_processed_accounts) == (True, True)


async def test_without_an_aggregation_nothing_is_started(services):
    home = await make_home(services)
    member = await home.connect(skip_aggregation=True)
    assert (member.connection_status, member.is_being_aggregated) == ("CREATED", False)
    assert await home.rows(JOBS) == []


async def test_wanted_kinds_run_one_after_the_other(services):
    home = await make_home(services)
    wanted = (JobKind.VERIFICATION, JobKind.IDENTIFICATION, JobKind.AGGREGATION)
    member = await home.connected(kinds=wanted)
    assert await home.rows(JOBS) == [(kind.value, "ended", "CONNECTED") for kind in wanted]
    assert member.connection_status == "CONNECTED"


async def test_jobs_after_a_failed_job_do_not_start(services):
    home = await make_home(services)
    await home.connected(password="INVALID", kinds=(JobKind.VERIFICATION, JobKind.AGGREGATION))
    assert await home.rows(JOBS) == [("VERIFICATION", "ended", "DENIED")]


async def test_credentials_are_stored_sealed_only(services):
    home = await make_home(services)
    member = await home.connect("mxuser+no_tx", "a-secret-password")
    async with services.db.connection() as connection:
        kept = await services.vault.disclose_secret(
            connection,
            owner_guid=home.user.guid,
            record_guid=member.guid,
            kind=SecretKind.CREDENTIALS,
            reader=WorkerReader("JOB-test"),
        )
    assert kept == b'{"LOGIN": "mxuser+no_tx", "PASSWORD": "a-secret-password"}'
    tables = ("member", "member_job", "sealed_secret", "event", "audit_event")
    everything = [await home.rows(f"SELECT t::text FROM {table} t") for table in tables]
    assert "a-secret-password" not in str(everything)
    assert b"a-secret-password".hex() not in str(everything)


async def test_a_second_member_with_the_same_login_is_refused_with_the_guid_of_the_first(services):
    home = await make_home(services)
    member = await home.connect("MxUser")
    with pytest.raises(DuplicateMember) as refused:
        await home.connect("mxuser", "another-password")
    assert refused.value.member_guid == member.guid


async def test_the_same_login_can_connect_another_institution_or_another_user(services):
    home, neighbour = await make_home(services), await make_home(services)
    one = await home.connect("mxuser")
    others = [
        await home.connect("mxuser", institution="mxcu_credential"),
        await neighbour.connect("mxuser"),
        await home.connect("someone-else"),
    ]
    assert len({one.guid, *(other.guid for other in others)}) == 4


async def test_of_100_simultaneous_creations_one_succeeds_and_99_refer_to_it(settings, clock):
    async with build(replace(settings, pool_size=25), clock) as services:
        home = await make_home(services)
        results = await asyncio.gather(*(home.connect() for _ in range(100)), return_exceptions=True)
        created = [result for result in results if not isinstance(result, BaseException)]
        refused = [result for result in results if isinstance(result, DuplicateMember)]
        assert (len(created), len(refused)) == (1, 99)
        assert {refusal.member_guid for refusal in refused} == {created[0].guid}
        assert await home.rows("SELECT count(*) FROM member WHERE user_guid = %(user)s") == [(1,)]
        assert await home.rows("SELECT count(*) FROM member_job WHERE user_guid = %(user)s") == [(1,)]


async def test_simultaneous_creations_make_at_most_25_members(settings, clock):
    async with build(replace(settings, pool_size=25), clock) as services:
        home = await make_home(services)
        results = await asyncio.gather(
            *(home.connect(f"user-{number}", skip_aggregation=True) for number in range(MAX_MEMBERS + 5)),
            return_exceptions=True,
        )
        assert sum(isinstance(result, ConstraintNotMet) for result in results) == 5
        assert await home.rows("SELECT count(*) FROM member WHERE user_guid = %(user)s") == [(MAX_MEMBERS,)]


async def test_an_id_is_unique_among_the_members_of_a_user(services):
    home, neighbour = await make_home(services), await make_home(services)
    await home.connect("one", id="same")
    await neighbour.connect("one", id="same")
    with pytest.raises(Conflict) as refused:
        await home.connect("two", id="same")
    assert not isinstance(refused.value, DuplicateMember)
    other = await home.connect("two", id="other")
    with pytest.raises(Conflict):
        await change(home, other, id="same")
    assert (await home.again(other)).id == "other"


@pytest.mark.parametrize("password", [None, ""])
async def test_a_missing_credential_is_named_by_its_label(services, password):
    home = await make_home(services)
    with pytest.raises(InvalidRequest, match="Password") as refused:
        await home.connect("mxuser", password)
    assert "Username" not in refused.value.problem
    assert await home.rows("SELECT FROM member WHERE user_guid = %(user)s") == []


async def test_an_unknown_credential_is_refused(services):
    home = await make_home(services)
    given = home.credentials("mxbank", "mxuser", WELL) | {"CRD-unknown": "x"}
    with pytest.raises(InvalidRequest, match="no such credential"):
        async with services.db.transaction() as connection:
            await services.members.connect(
                connection, home.user, NewMember(institution_code="mxbank", credentials=given)
            )


async def test_an_unknown_institution_is_not_found(services):
    home = await make_home(services)
    async with services.db.transaction() as connection:
        with pytest.raises(NotFound):
            await services.members.connect(connection, home.user, NewMember(institution_code="nowhere"))


async def test_an_unsupported_job_is_refused_and_writes_nothing(services):
    home = await make_home(services)
    with pytest.raises(JobNotSupported, match="identification"):
        await home.connect(institution="junipergate_bank", kinds=(JobKind.IDENTIFICATION,))
    assert await home.rows("SELECT FROM member WHERE user_guid = %(user)s") == []


async def test_is_oauth_must_fit_the_institution(services):
    home = await make_home(services)
    with pytest.raises(InvalidRequest, match="own sign-in page"):
        await home.connect(institution="mxcu_oauth")
    with pytest.raises(InvalidRequest, match="without is_oauth"):
        await home.connect(institution="mxbank", is_oauth=True)


async def test_a_disabled_user_connects_nothing(services):
    home = await make_home(services, is_disabled=True)
    with pytest.raises(UserDisabled):
        await home.connect()


async def test_new_credentials_start_an_aggregation_that_uses_them(services):
    home = await make_home(services)
    member = await home.connected("mxuser", "INVALID")
    assert member.connection_status == "DENIED"
    changed = await home.change(member, "mxuser", WELL)
    assert (changed.connection_status, changed.is_being_aggregated) == ("UPDATED", True)
    await run_pending(services)
    assert (await home.again(member)).connection_status == "CONNECTED"


async def test_a_new_password_keeps_the_login(services):
    home = await make_home(services)
    member = await home.connected("mxuser", "INVALID")
    await home.change(member, None, WELL)
    await run_pending(services)
    assert (await home.again(member)).connection_status == "CONNECTED"


async def test_new_credentials_without_an_aggregation_start_no_job(services):
    home = await make_home(services)
    member = await home.connected("mxuser", "INVALID")
    changed = await home.change(member, "mxuser", WELL, skip_aggregation=True)
    assert (changed.connection_status, changed.is_being_aggregated) == ("UPDATED", False)


async def test_a_login_cannot_change_to_that_of_another_member(services):
    home = await make_home(services)
    first, second = await home.connected("first"), await home.connected("second")
    with pytest.raises(DuplicateMember) as refused:
        await home.change(second, "FIRST", WELL)
    assert refused.value.member_guid == first.guid
    same = await home.change(second, "second", "new-password")
    assert same.connection_status == "UPDATED"


async def test_new_credentials_replace_a_job_that_waits_for_an_answer(services):
    home = await make_home(services)
    member = await home.connected(password="challenge")
    assert member.connection_status == "CHALLENGED"
    await home.change(member, "mxuser", WELL)
    assert await home.challenges(member) == []
    await run_pending(services)
    assert (await home.again(member)).connection_status == "CONNECTED"
    assert await home.rows(JOBS) == [
        ("AGGREGATION", "ended", None),
        ("AGGREGATION", "ended", "CONNECTED"),
    ]


async def test_attributes_change_without_a_job(services):
    home = await make_home(services)
    member = await home.connected(id="before")
    changed = await change(
        home, member, id=None, metadata="new", use_cases=["PFM"], background_aggregation_is_disabled=True
    )
    assert (changed.id, changed.metadata, changed.use_cases) == (None, "new", ["PFM"])
    assert changed.background_aggregation_is_disabled
    assert (changed.connection_status, changed.is_being_aggregated) == ("CONNECTED", False)


async def test_deleting_a_member_deletes_its_secrets_and_data(services):
    home = await make_home(services)
    member = await home.connected(password="challenge")
    await home.answer(member, "correct")
    await run_pending(services)
    await home.done(member, JobKind.VERIFICATION)
    other = await home.connected("other")
    async with services.db.transaction() as connection:
        await services.members.disconnect(connection, await home.again(member))
    with pytest.raises(NotFound):
        await home.again(member)
    left = await home.rows(
        """SELECT record_guid FROM sealed_secret WHERE owner_guid = %(user)s
           UNION SELECT member_guid FROM account WHERE user_guid = %(user)s
           UNION SELECT member_guid FROM account_number WHERE user_guid = %(user)s
           UNION SELECT member_guid FROM transaction WHERE user_guid = %(user)s
           UNION SELECT member_guid FROM member_job WHERE user_guid = %(user)s"""
    )
    assert left == [(other.guid,)]


async def test_creation_change_and_deletion_send_events(services):
    home = await make_home(services)
    member = await home.connect(callback_payload="echo", skip_aggregation=True)
    changed = await change(home, member, metadata="new")
    async with services.db.transaction() as connection:
        await services.members.disconnect(connection, changed)
    told = await home.events("MEMBER")
    assert [(each["action"], each["member"]["metadata"]) for each in told] == [
        ("created", None),
        ("updated", "new"),
        ("deleted", "new"),
    ]
    echoes = await home.rows(
        "SELECT callback_payload FROM event WHERE client_guid = %(client)s ORDER BY guid",
        client=home.client.guid,
    )
    assert echoes == [("echo",), (None,), (None,)]


async def test_each_operation_writes_an_audit_entry_without_personal_data(services):
    home = await make_home(services)
    member = await home.connect("a-login-name")
    await home.change(member, "a-login-name", WELL)
    async with services.db.transaction() as connection:
        await services.members.disconnect(connection, member)
    bodies = await home.rows(
        "SELECT body FROM audit_event WHERE client_guid = %(client)s ORDER BY guid", client=home.client.guid
    )
    said = "".join(body for (body,) in bodies)
    for action in ("member.created", "job.requested", "member.credentials_changed", "member.deleted"):
        assert f'"action":"{action}"' in said
    assert "a-login-name" not in said


async def test_every_spelling_of_a_login_is_refused_or_one_member(services):
    home = await make_home(services)
    member = await home.connect("Ann Jos\u00e9", skip_aggregation=True)
    for login in (
        "Ann Jose\u0301",
        " Ann Jos\u00e9",
        "ann jos\u00e9\u00a0",
        "ANN JOS\u00c9\t",
        "Ann\x00 Jos\u00e9",
    ):
        with pytest.raises((DuplicateMember, InvalidRequest)):
            await home.connect(login, skip_aggregation=True)
    assert await home.rows("SELECT guid FROM member WHERE user_guid = %(user)s") == [(member.guid,)]


@pytest.mark.parametrize("value", ["\x00", "pass\x00word", "pass\nword", "\x7f"])
async def test_control_characters_are_no_part_of_a_credential(services, value):
    home = await make_home(services)
    with pytest.raises(InvalidRequest, match="control characters"):
        await home.connect("mxuser", value)
    with pytest.raises(InvalidRequest, match="control characters"):
        await home.connect(value, WELL)
    assert await home.rows("SELECT FROM member WHERE user_guid = %(user)s") == []


async def test_a_password_is_sealed_as_it_was_entered(services):
    home = await make_home(services)
    password = " pa\u00a0ss\uff11 "
    member = await home.connect("mxuser", password, skip_aggregation=True)
    async with services.db.connection() as connection:
        sealed = await services.vault.disclose_secret(
            connection,
            owner_guid=home.user.guid,
            record_guid=member.guid,
            kind=SecretKind.CREDENTIALS,
            reader=WorkerReader("JOB-test"),
        )
    assert json.loads(sealed or b"")["PASSWORD"] == password
