"""OAuth members: the sign-in at the institution's page, completed, refused and repeated."""

import re
from datetime import timedelta
from html import unescape
from urllib.parse import parse_qs, urlsplit

import pytest

from coatcheck.connectors.contract import JobKind, SignInPage
from coatcheck.errors import (
    ConstraintNotMet,
    CredentialsDenied,
    DuplicateMember,
    InvalidRequest,
    UserDisabled,
)
from coatcheck.members.oauth_windows import OAuthAttempt, OAuthWindow, SignInPlace
from coatcheck.members.records import MemberChanges
from coatcheck.worker_services import run_pending
from tests.member_setup import make_end_user

VERIFIER = "a-verifier-of-forty-three-characters-or-more-0"
JOBS = "SELECT kind, state, outcome FROM member_job WHERE user_guid = %(user)s ORDER BY created_at, guid"


def attempt(code_verifier=VERIFIER, **window):
    return OAuthAttempt(OAuthWindow(**window), code_verifier)


async def pending(end_user, **more):
    return await end_user.connect(institution="mxcu_oauth", is_oauth=True, **more)


async def code_from_bank(end_user, http, member, login="mxuser"):
    """The authorization code with which the bank redirects a user who consents."""
    page = await end_user.services.oauth.sign_in_page(
        SignInPlace(member.institution_code, member.user_guid), state="state-1", code_verifier=VERIFIER
    )
    page = await http.get(page.url)
    fields = re.findall(r'type="hidden" name="([^"]*)" value="([^"]*)"', page.text)
    action = re.search(r'<form method="post" action="([^"]*)"', page.text)[1]
    answer = await http.post(
        page.url.join(unescape(action)),
        data={unescape(name): unescape(value) for name, value in fields}
        | {"login": login, "decision": "allow"},
    )
    back = parse_qs(urlsplit(answer.headers["location"]).query)
    assert back["state"] == ["state-1"]
    return back["code"][0]


async def complete(end_user, http, member, login="mxuser", **more):
    code = await code_from_bank(end_user, http, member, login)
    return await end_user.services.oauth.complete(member, attempt(**more), code)


async def test_a_member_is_pending_and_its_jobs_wait_until_the_user_signs_in(services, http):
    end_user = await make_end_user(services)
    member = await pending(end_user, kinds=(JobKind.VERIFICATION, JobKind.AGGREGATION))
    assert (member.connection_status, member.is_being_aggregated, member.is_oauth) == ("PENDING", False, True)
    assert await end_user.rows(JOBS) == []
    completed = await complete(end_user, http, member)
    assert (completed.connection_status, completed.is_being_aggregated) == ("CREATED", True)
    await run_pending(services)
    assert (await end_user.reload(member)).connection_status == "CONNECTED"
    assert await end_user.rows(JOBS) == [
        ("VERIFICATION", "ended", "CONNECTED"),
        ("AGGREGATION", "ended", "CONNECTED"),
    ]


async def test_a_sign_in_starts_no_job_if_the_aggregation_is_skipped(services, http):
    end_user, other = await make_end_user(services), await make_end_user(services)
    for each, at_creation in ((end_user, True), (other, False)):
        member = await pending(each, skip_aggregation=at_creation)
        completed = await complete(each, http, member, skip_aggregation=not at_creation)
        assert (completed.connection_status, completed.is_being_aggregated) == ("CREATED", False)


async def test_a_second_sign_in_reconnects_the_member_and_starts_an_aggregation(services, http):
    end_user = await make_end_user(services)
    member = await pending(end_user, skip_aggregation=True)
    await complete(end_user, http, member, "mxuser+consent_revoked")
    member = await end_user.run_job(member, JobKind.AGGREGATION)
    assert member.connection_status == "DISCONNECTED"
    again = await complete(end_user, http, member, callback_payload="echo")
    assert (again.connection_status, again.is_being_aggregated) == ("RECONNECTED", True)
    await run_pending(services)
    assert (await end_user.reload(member)).connection_status == "CONNECTED"


async def test_the_authorization_request_has_the_redirect_uri_and_the_hashed_verifier(services):
    end_user = await make_end_user(services)
    member = await pending(end_user)
    page = await services.oauth.sign_in_page(
        SignInPlace(member.institution_code, member.user_guid), state="state-1", code_verifier=VERIFIER
    )
    query = parse_qs(urlsplit(page.url).query)
    assert query["redirect_uri"] == ["http://coatcheck.test/oauth/callback"]
    assert query["state"] == ["state-1"]
    assert query["code_challenge_method"] == ["S256"]
    assert VERIFIER not in page.url


async def test_a_code_that_the_bank_refuses_sets_denied(services, http):
    end_user = await make_end_user(services)
    member = await pending(end_user)
    code = await code_from_bank(end_user, http, member)
    with pytest.raises(CredentialsDenied):
        await services.oauth.complete(member, attempt("another" + VERIFIER), code)
    member = await end_user.reload(member)
    assert (member.connection_status, member.is_being_aggregated) == ("DENIED", False)
    assert [each["connection_status"] for each in await end_user.events("CONNECTION_STATUS")] == ["DENIED"]


async def test_a_refusal_denies_a_pending_member_and_the_user_can_try_again(services, http):
    end_user = await make_end_user(services)
    member = await pending(end_user, kinds=(JobKind.VERIFICATION,))
    async with services.db.transaction() as connection:
        refused = await services.oauth.refuse(connection, member)
    assert refused.connection_status == "DENIED"
    await complete(end_user, http, member)
    await run_pending(services)
    assert await end_user.rows(JOBS) == [("VERIFICATION", "ended", "CONNECTED")]


async def test_a_refused_second_sign_in_keeps_the_status(services, http):
    end_user = await make_end_user(services)
    member = await pending(end_user)
    await complete(end_user, http, member)
    await run_pending(services)
    async with services.db.transaction() as connection:
        kept = await services.oauth.refuse(connection, member)
    assert kept.connection_status == "CONNECTED"
    assert (await end_user.run_job(member, JobKind.AGGREGATION)).connection_status == "CONNECTED"


async def test_a_user_has_one_oauth_member_at_an_institution(services):
    end_user = await make_end_user(services)
    member = await pending(end_user)
    with pytest.raises(DuplicateMember) as refused:
        await pending(end_user)
    assert refused.value.member_guid == member.guid
    other = await end_user.connect(institution="mx_bank_oauth", is_oauth=True)
    assert other.guid != member.guid


async def test_an_oauth_member_accepts_no_credentials_and_another_member_no_sign_in(services):
    end_user = await make_end_user(services)
    member = await pending(end_user)
    with pytest.raises(InvalidRequest, match="takes no credentials"):
        async with services.db.transaction() as connection:
            await services.members.change(connection, member, MemberChanges(credentials={}))
    by_credentials = await end_user.connect(skip_aggregation=True)
    prepared = await services.oauth.prepare_window(SignInPlace(member.institution_code, member.user_guid))
    async with services.db.transaction() as connection:
        for each, page in ((by_credentials, prepared), (by_credentials, None), (member, None)):
            with pytest.raises(ConstraintNotMet):
                await services.oauth.open_window(connection, each, OAuthWindow(), page)
        with pytest.raises(ConstraintNotMet):
            await services.oauth.refuse(connection, by_credentials)


async def test_no_job_starts_before_the_sign_in(services):
    end_user = await make_end_user(services)
    member = await pending(end_user)
    with pytest.raises(ConstraintNotMet, match="signing in"):
        await end_user.start(member, JobKind.AGGREGATION)


async def test_the_sign_in_of_a_disabled_user_stores_nothing(services, http):
    end_user = await make_end_user(services)
    member = await pending(end_user)
    code = await code_from_bank(end_user, http, member)
    await end_user.rows("UPDATE end_user SET is_disabled = true WHERE guid = %(user)s")
    with pytest.raises(UserDisabled):
        await services.oauth.complete(member, attempt(), code)
    assert await end_user.rows("SELECT FROM sealed_secret WHERE owner_guid = %(user)s") == []


async def test_the_issued_credentials_are_sealed(services, http):
    end_user = await make_end_user(services)
    member = await pending(end_user, skip_aggregation=True)
    await complete(end_user, http, member, "a-secret-login")
    everything = await end_user.rows(
        """SELECT m::text, s::text FROM member m JOIN sealed_secret s ON s.record_guid = m.guid
           WHERE m.user_guid = %(user)s"""
    )
    assert len(everything) == 1
    assert "a-secret-login" not in str(everything)
    assert b"a-secret-login".hex() not in str(everything)


async def test_a_sign_in_replaces_a_running_job(services, http):
    end_user = await make_end_user(services)
    member = await pending(end_user, skip_aggregation=True)
    await complete(end_user, http, member)
    await end_user.start(member, JobKind.AGGREGATION)
    services.clock.advance(timedelta(seconds=1))
    await complete(end_user, http, member)
    assert await end_user.rows(JOBS) == [("AGGREGATION", "ended", None), ("AGGREGATION", "queued", None)]
    await run_pending(services)
    assert (await end_user.reload(member)).connection_status == "CONNECTED"


async def test_a_connector_gets_back_what_its_sign_in_page_needs_and_whose_sign_in_it_is(
    services, monkeypatch
):
    end_user = await make_end_user(services)
    member = await pending(end_user)
    requests, responses = [], []

    async def authorize(request):
        requests.append(request)
        return SignInPage(f"https://bank.example/?state={request.state}", resume="upstream-1")

    async def complete(response):
        responses.append(response)
        return {"TOKEN": "t"}

    bank = services.registry.connector_for(member.institution_code)
    monkeypatch.setattr(bank, "authorize", authorize)
    monkeypatch.setattr(bank, "complete", complete)
    prepared = await services.oauth.prepare_window(
        SignInPlace(member.institution_code, member.user_guid, member.guid)
    )
    browser = "b" * 43
    async with services.db.transaction() as connection:
        url = await services.oauth.open_window(connection, member, OAuthWindow(), prepared)
        state = url.rpartition("/")[2]
        started = await services.oauth.start(connection, state, browser, site=None)
    assert started.url == f"https://bank.example/?state={state}"
    async with services.db.transaction() as connection:
        claimed = await services.oauth.claim(connection, state, browser)
    assert await services.oauth.finish(claimed, code="code", error=None) is None
    assert [(each.user_guid, each.member_guid) for each in requests] == [(member.user_guid, member.guid)]
    assert [each.resume for each in responses] == ["upstream-1"]
