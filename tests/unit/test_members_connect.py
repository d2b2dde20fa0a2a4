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
    Unavailable,
    UserDisabled,
)
from coatcheck.members.members import MAX_MEMBERS
from coatcheck.members.records import MemberChanges, NewMember
from coatcheck.vault.vault import SecretKind, WorkerReader
from coatcheck.worker_services import run_pending
from tests.member_setup import CORRECT_PASSWORD, make_end_user

JOBS = "SELECT kind, state, outcome FROM member_job WHERE user_guid = %(user)s ORDER BY created_at, guid"


async def change(end_user, member, **attributes):
    async with end_user.services.db.transaction() as connection:
        return await end_user.services.members.change(
            connection, member, MemberChanges(attributes=attributes)
        )


async def test_a_new_member_is_created_and_connected_by_its_job(services):
    end_user = await make_end_user(services)
    async with services.db.transaction() as connection:
        connected = await services.members.connect(
            connection,
            end_user.user,
            NewMember(
                institution_code="mxbank",
                credentials=end_user.credentials("mxbank", "mxuser", CORRECT_PASSWORD),
                id="my-member",
                metadata="mine",
                use_cases=("PFM",),
            ),
        )
    member = connected.member
    assert connected.has_started
    assert (member.connection_status, member.is_being_aggregated) == ("CREATED", True)
    assert (member.id, member.metadata, member.use_cases) == ("my-member", "mine", ["PFM"])
    assert (member.name, member.institution_guid) == ("MX Bank", services.registry.find("mxbank").guid)
    assert await end_user.rows(JOBS) == [("AGGREGATION", "queued", None)]
    await run_pending(services)
    member = await end_user.reload(member)
    assert (member.connection_status, member.is_being_aggregated) == ("CONNECTED", False)
    assert member.aggregated_at == member.successfully_aggregated_at is not None
    assert (member.is_authenticated, member.has_processed_accounts) == (True, True)


async def test_skip_aggregation_starts_no_job(services):
    end_user = await make_end_user(services)
    member = await end_user.connect(skip_aggregation=True)
    assert (member.connection_status, member.is_being_aggregated) == ("CREATED", False)
    assert await end_user.rows(JOBS) == []


async def test_requested_kinds_run_one_after_the_other(services):
    end_user = await make_end_user(services)
    kinds = (JobKind.VERIFICATION, JobKind.IDENTIFICATION, JobKind.AGGREGATION)
    member = await end_user.connected(kinds=kinds)
    assert await end_user.rows(JOBS) == [(kind.value, "ended", "CONNECTED") for kind in kinds]
    assert member.connection_status == "CONNECTED"


async def test_jobs_after_a_failed_job_do_not_start(services):
    end_user = await make_end_user(services)
    await end_user.connected(password="INVALID", kinds=(JobKind.VERIFICATION, JobKind.AGGREGATION))
    assert await end_user.rows(JOBS) == [("VERIFICATION", "ended", "DENIED")]


async def test_credentials_are_stored_only_sealed(services):
    end_user = await make_end_user(services)
    member = await end_user.connect("mxuser+no_tx", "a-secret-password")
    async with services.db.connection() as connection:
        kept = await services.vault.disclose_secret(
            connection,
            owner_guid=end_user.user.guid,
            record_guid=member.guid,
            kind=SecretKind.CREDENTIALS,
            reader=WorkerReader("JOB-test"),
        )
    assert kept == b'{"LOGIN": "mxuser+no_tx", "PASSWORD": "a-secret-password"}'
    tables = ("member", "member_job", "sealed_secret", "event", "audit_event")
    everything = [await end_user.rows(f"SELECT t::text FROM {table} t") for table in tables]
    assert "a-secret-password" not in str(everything)
    assert b"a-secret-password".hex() not in str(everything)


async def test_a_second_member_with_the_same_login_is_refused_with_the_guid_of_the_first(services):
    end_user = await make_end_user(services)
    member = await end_user.connect("MxUser")
    with pytest.raises(DuplicateMember) as refused:
        await end_user.connect("mxuser", "another-password")
    assert refused.value.member_guid == member.guid


async def test_the_same_login_can_connect_another_institution_or_another_user(services):
    end_user, neighbour = await make_end_user(services), await make_end_user(services)
    one = await end_user.connect("mxuser")
    others = [
        await end_user.connect("mxuser", institution="mxcu_credential"),
        await neighbour.connect("mxuser"),
        await end_user.connect("someone-else"),
    ]
    assert len({one.guid, *(other.guid for other in others)}) == 4


async def test_equal_logins_of_two_users_have_different_hashes(services):
    users = [await make_end_user(services) for _ in range(2)]
    for each in users:
        await each.connect("mxuser")
    hashes = [await each.rows("SELECT login_hash FROM member WHERE user_guid = %(user)s") for each in users]
    assert hashes[0] != hashes[1]


async def connect(end_user, *login, **more):
    """Creates a member. On a busy machine a connection or the lock may be free too late: then it tries again."""
    while True:
        try:
            return await end_user.connect(*login, **more)
        except Unavailable:
            continue


async def test_of_100_simultaneous_creations_one_succeeds_and_99_refer_to_it(settings, clock):
    async with build(replace(settings, pool_size=25), clock) as services:
        end_user = await make_end_user(services)
        results = await asyncio.gather(*(connect(end_user) for _ in range(100)), return_exceptions=True)
        created = [result for result in results if not isinstance(result, BaseException)]
        refused = [result for result in results if isinstance(result, DuplicateMember)]
        assert (len(created), len(refused)) == (1, 99)
        assert {refusal.member_guid for refusal in refused} == {created[0].guid}
        assert await end_user.rows("SELECT count(*) FROM member WHERE user_guid = %(user)s") == [(1,)]
        assert await end_user.rows("SELECT count(*) FROM member_job WHERE user_guid = %(user)s") == [(1,)]


async def test_simultaneous_creations_make_at_most_25_members(settings, clock):
    async with build(replace(settings, pool_size=25), clock) as services:
        end_user = await make_end_user(services)
        results = await asyncio.gather(
            *(
                connect(end_user, f"user-{number}", skip_aggregation=True)
                for number in range(MAX_MEMBERS + 5)
            ),
            return_exceptions=True,
        )
        assert sum(isinstance(result, ConstraintNotMet) for result in results) == 5
        assert await end_user.rows("SELECT count(*) FROM member WHERE user_guid = %(user)s") == [
            (MAX_MEMBERS,)
        ]


async def test_an_id_is_unique_among_the_members_of_a_user(services):
    end_user, neighbour = await make_end_user(services), await make_end_user(services)
    await end_user.connect("one", id="same")
    await neighbour.connect("one", id="same")
    with pytest.raises(Conflict) as refused:
        await end_user.connect("two", id="same")
    assert not isinstance(refused.value, DuplicateMember)
    other = await end_user.connect("two", id="other")
    with pytest.raises(Conflict):
        await change(end_user, other, id="same")
    assert (await end_user.reload(other)).id == "other"


@pytest.mark.parametrize("password", [None, ""])
async def test_a_missing_credential_is_reported_by_its_label(services, password):
    end_user = await make_end_user(services)
    with pytest.raises(InvalidRequest, match="Password") as refused:
        await end_user.connect("mxuser", password)
    assert "Username" not in refused.value.problem
    assert await end_user.rows("SELECT FROM member WHERE user_guid = %(user)s") == []


async def test_an_unknown_credential_is_refused(services):
    end_user = await make_end_user(services)
    given = end_user.credentials("mxbank", "mxuser", CORRECT_PASSWORD) | {"CRD-unknown": "x"}
    with pytest.raises(InvalidRequest, match="no such credential"):
        async with services.db.transaction() as connection:
            await services.members.connect(
                connection, end_user.user, NewMember(institution_code="mxbank", credentials=given)
            )


async def test_an_unknown_institution_is_not_found(services):
    end_user = await make_end_user(services)
    async with services.db.transaction() as connection:
        with pytest.raises(NotFound):
            await services.members.connect(connection, end_user.user, NewMember(institution_code="nowhere"))


async def test_an_unsupported_job_is_refused_and_writes_nothing(services):
    end_user = await make_end_user(services)
    with pytest.raises(JobNotSupported, match="identification"):
        await end_user.connect(institution="junipergate_bank", kinds=(JobKind.IDENTIFICATION,))
    assert await end_user.rows("SELECT FROM member WHERE user_guid = %(user)s") == []


async def test_is_oauth_must_fit_the_institution(services):
    end_user = await make_end_user(services)
    with pytest.raises(InvalidRequest, match="own sign-in page"):
        await end_user.connect(institution="mxcu_oauth")
    with pytest.raises(InvalidRequest, match="without is_oauth"):
        await end_user.connect(institution="mxbank", is_oauth=True)


async def test_a_disabled_user_cannot_connect_a_member(services):
    end_user = await make_end_user(services, is_disabled=True)
    with pytest.raises(UserDisabled):
        await end_user.connect()


async def test_new_credentials_start_an_aggregation_that_uses_them(services):
    end_user = await make_end_user(services)
    member = await end_user.connected("mxuser", "INVALID")
    assert member.connection_status == "DENIED"
    changed = await end_user.change(member, "mxuser", CORRECT_PASSWORD)
    assert (changed.connection_status, changed.is_being_aggregated) == ("UPDATED", True)
    await run_pending(services)
    assert (await end_user.reload(member)).connection_status == "CONNECTED"


async def test_a_new_password_keeps_the_login(services):
    end_user = await make_end_user(services)
    member = await end_user.connected("mxuser", "INVALID")
    await end_user.change(member, None, CORRECT_PASSWORD)
    await run_pending(services)
    assert (await end_user.reload(member)).connection_status == "CONNECTED"


async def test_new_credentials_with_skip_aggregation_start_no_job(services):
    end_user = await make_end_user(services)
    member = await end_user.connected("mxuser", "INVALID")
    changed = await end_user.change(member, "mxuser", CORRECT_PASSWORD, skip_aggregation=True)
    assert (changed.connection_status, changed.is_being_aggregated) == ("UPDATED", False)


async def test_a_login_cannot_change_to_that_of_another_member(services):
    end_user = await make_end_user(services)
    first, second = await end_user.connected("first"), await end_user.connected("second")
    with pytest.raises(DuplicateMember) as refused:
        await end_user.change(second, "FIRST", CORRECT_PASSWORD)
    assert refused.value.member_guid == first.guid
    same = await end_user.change(second, "second", "new-password")
    assert same.connection_status == "UPDATED"


async def test_new_credentials_replace_a_job_that_waits_for_an_answer(services):
    end_user = await make_end_user(services)
    member = await end_user.connected(password="challenge")
    assert member.connection_status == "CHALLENGED"
    await end_user.change(member, "mxuser", CORRECT_PASSWORD)
    assert await end_user.challenges(member) == []
    await run_pending(services)
    assert (await end_user.reload(member)).connection_status == "CONNECTED"
    assert await end_user.rows(JOBS) == [
        ("AGGREGATION", "ended", None),
        ("AGGREGATION", "ended", "CONNECTED"),
    ]


async def test_attributes_change_without_a_job(services):
    end_user = await make_end_user(services)
    member = await end_user.connected(id="before")
    changed = await change(
        end_user, member, id=None, metadata="new", use_cases=["PFM"], background_aggregation_is_disabled=True
    )
    assert (changed.id, changed.metadata, changed.use_cases) == (None, "new", ["PFM"])
    assert changed.background_aggregation_is_disabled
    assert (changed.connection_status, changed.is_being_aggregated) == ("CONNECTED", False)


async def test_deleting_a_member_deletes_its_secrets_and_data(services):
    end_user = await make_end_user(services)
    member = await end_user.connected(password="challenge")
    await end_user.answer(member, "correct")
    await run_pending(services)
    await end_user.run_job(member, JobKind.VERIFICATION)
    other = await end_user.connected("other")
    async with services.db.transaction() as connection:
        await services.members.disconnect(connection, await end_user.reload(member))
    with pytest.raises(NotFound):
        await end_user.reload(member)
    left = await end_user.rows(
        """SELECT record_guid FROM sealed_secret WHERE owner_guid = %(user)s
           UNION SELECT member_guid FROM account WHERE user_guid = %(user)s
           UNION SELECT member_guid FROM account_number WHERE user_guid = %(user)s
           UNION SELECT member_guid FROM transaction WHERE user_guid = %(user)s
           UNION SELECT member_guid FROM member_job WHERE user_guid = %(user)s"""
    )
    assert left == [(other.guid,)]


async def test_creation_change_and_deletion_send_events(services):
    end_user = await make_end_user(services)
    member = await end_user.connect(callback_payload="echo", skip_aggregation=True)
    changed = await change(end_user, member, metadata="new")
    async with services.db.transaction() as connection:
        await services.members.disconnect(connection, changed)
    events = await end_user.events("MEMBER")
    assert [(each["action"], each["member"]["metadata"]) for each in events] == [
        ("created", None),
        ("updated", "new"),
        ("deleted", "new"),
    ]
    echoes = await end_user.rows(
        "SELECT callback_payload FROM event WHERE owner_guid = %(client)s AND format = 'mx' ORDER BY position",
        client=end_user.client.guid,
    )
    assert echoes == [("echo",), (None,), (None,)]


async def test_each_operation_writes_an_audit_entry_without_personal_data(services):
    end_user = await make_end_user(services)
    member = await end_user.connect("a-login-name")
    await end_user.change(member, "a-login-name", CORRECT_PASSWORD)
    async with services.db.transaction() as connection:
        await services.members.disconnect(connection, member)
    bodies = await end_user.rows(
        "SELECT body FROM audit_entry WHERE client_guid = %(client)s ORDER BY guid",
        client=end_user.client.guid,
    )
    said = "".join(body for (body,) in bodies)
    for action in ("member.created", "job.requested", "member.credentials_changed", "member.deleted"):
        assert f'"action":"{action}"' in said
    assert "a-login-name" not in said


async def test_every_spelling_of_a_login_is_refused_or_the_same_member(services):
    end_user = await make_end_user(services)
    member = await end_user.connect("Ann Jos\u00e9", skip_aggregation=True)
    for login in (
        "Ann Jose\u0301",
        " Ann Jos\u00e9",
        "ann jos\u00e9\u00a0",
        "ANN JOS\u00c9\t",
        "Ann\x00 Jos\u00e9",
    ):
        with pytest.raises((DuplicateMember, InvalidRequest)):
            await end_user.connect(login, skip_aggregation=True)
    assert await end_user.rows("SELECT guid FROM member WHERE user_guid = %(user)s") == [(member.guid,)]


@pytest.mark.parametrize("value", ["\x00", "pass\x00word", "pass\nword", "\x7f"])
async def test_a_credential_with_control_characters_is_refused(services, value):
    end_user = await make_end_user(services)
    with pytest.raises(InvalidRequest, match="control characters"):
        await end_user.connect("mxuser", value)
    with pytest.raises(InvalidRequest, match="control characters"):
        await end_user.connect(value, CORRECT_PASSWORD)
    assert await end_user.rows("SELECT FROM member WHERE user_guid = %(user)s") == []


async def test_a_password_is_sealed_as_it_was_entered(services):
    end_user = await make_end_user(services)
    password = " pa\u00a0ss\uff11 "
    member = await end_user.connect("mxuser", password, skip_aggregation=True)
    async with services.db.connection() as connection:
        sealed = await services.vault.disclose_secret(
            connection,
            owner_guid=end_user.user.guid,
            record_guid=member.guid,
            kind=SecretKind.CREDENTIALS,
            reader=WorkerReader("JOB-test"),
        )
    assert json.loads(sealed or b"")["PASSWORD"] == password
