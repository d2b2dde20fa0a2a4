"""The connector `mx`: what it asks its upstream, what it makes of the answers, and what it refuses."""

import json
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import httpx
import pytest

from coatcheck.connectors.catalogue import read_institutions, write_institutions
from coatcheck.connectors.contract import (
    AuthorizationRequest,
    AuthorizationResponse,
    DisconnectedMember,
    Institution,
    JobKind,
    Secret,
    Task,
)
from coatcheck.connectors.mx.connector import MxConnector, MxSettings
from coatcheck.connectors.settings import read_settings
from coatcheck.errors import (
    ActionNeeded,
    BankDataUnusable,
    BankFailed,
    BankRateLimited,
    ConfigurationError,
    ConsentRevoked,
    CredentialsDenied,
    LoginClosed,
    LoginLocked,
)
from coatcheck.testing.connectors import (
    NOW,
    ConnectorUnderTest,
    Faults,
    conformance_checks,
    connector_context,
    disconnect_member,
    run_connector,
)
from tests.mx_upstream import FIELDS, MxUpstream, transaction

LOGIN = {"LOGIN": "ann-42", "PASSWORD": "right-17"}
RETURN_TO = "https://coatcheck.test/oauth/callback"


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return tmp_path_factory.mktemp("mx") / "institutions.json"


@pytest.fixture
def upstream():
    return MxUpstream()


def settings(file, **more):
    return MxSettings("client", Secret("key"), file, **more)


@pytest.fixture
async def connector(file, upstream):
    connector = MxConnector(connector_context(settings(file), name="mx", transport=upstream.transport))
    write_institutions(file, await connector.fetch_institutions())
    upstream.requests.clear()
    return connector


def task(kind=JobKind.AGGREGATION, institution="tidewater"):
    return Task(kind, institution, "MBR-ours", NOW, user_guid="USR-ours")


def request_of(member_guid=None):
    return AuthorizationRequest("heron", RETURN_TO, "state-1", "challenge", "USR-ours", member_guid)


def response_to(page):
    return AuthorizationResponse("heron", RETURN_TO, "returned", "verifier", page.resume)


class MxUnderTest(ConnectorUnderTest):
    institution_code = "tidewater"
    credentials = LOGIN
    credentials_with_question = {"LOGIN": "ann-42", "PASSWORD": "mfa"}
    credentials_without_accounts = {"LOGIN": "new", "PASSWORD": "right-17"}
    # The others send the same requests with another name of the job.
    kinds = (JobKind.AGGREGATION, JobKind.VERIFICATION, JobKind.STATEMENT)
    disconnects = True
    lists_unreadable_accounts = True

    def __init__(self, file: Path) -> None:
        self._file = file

    @property
    def has_access(self):
        return bool(self._upstream.members)

    def reset(self):
        self._upstream = MxUpstream()

    def make_account_unreadable(self):
        self._upstream.accounts[0]["balance"] = None

    def build(self, faults: Faults):
        transport = faults.transport(self._upstream.transport)
        return MxConnector(connector_context(settings(self._file), name="mx", transport=transport))

    def answer(self, question):
        return "dog"

    def wrong_answer(self, question):
        return "cat"


CHECKS = conformance_checks(MxUnderTest(Path()))


@pytest.mark.parametrize("number", range(len(CHECKS)), ids=[str(each) for each in CHECKS])
async def test_conformance(connector, file, number):
    await conformance_checks(MxUnderTest(file))[number]()


# --- what is read ------------------------------------------------------------------------------------


async def test_accounts_and_every_page_of_transactions_are_read(connector):
    run = await run_connector(connector, task(), LOGIN)
    assert [(each.id, each.balance, each.account_number_mask) for each in run.accounts] == [
        ("ACT-1", Decimal("120.55"), "6789"),
        ("ACT-2", Decimal(7), None),
    ]
    assert [(each.id, each.amount) for each in run.transactions] == [
        (f"TRN-{number}", Decimal("12.1")) for number in (1, 2, 3)
    ]


async def test_a_full_page_of_a_list_without_pagination_is_not_taken_for_the_whole(connector, file, upstream):
    upstream.accounts = [dict(upstream.accounts[0], guid=f"ACT-{number}") for number in range(150)]

    def without_pagination(request):
        response = upstream.answer(request)
        if not request.url.path.endswith("/accounts"):
            return response
        start = 100 * (int(request.url.params["page"]) - 1)
        return httpx.Response(200, json={"accounts": upstream.accounts[start : start + 100]})

    reading = MxConnector(
        connector_context(settings(file), name="mx", transport=httpx.MockTransport(without_pagination))
    )
    assert len((await run_connector(reading, task(), LOGIN)).accounts) == 150


async def test_an_open_account_without_a_balance_is_listed_and_not_read(connector, upstream):
    run = await run_connector(connector, task(), LOGIN)
    assert list(run.result.unread_accounts) == ["ACT-3"]
    upstream.accounts[2]["is_closed"] = True
    assert list((await run_connector(connector, task(), LOGIN)).result.unread_accounts) == []


async def test_numbers_of_accounts_that_are_not_listed_are_left_out(connector):
    run = await run_connector(connector, task(JobKind.VERIFICATION), LOGIN)
    assert [(each.account_number, each.routing_number, each.is_tokenized) for each in run.numbers] == [
        ("000123456789", "091000019", True)
    ]


async def test_the_first_run_of_a_sign_in_reads_the_numbers_whatever_it_reads(connector, upstream):
    first = await run_connector(connector, task(), LOGIN)
    assert [each.account_number for each in first.numbers] == ["000123456789"]
    upstream.requests.clear()
    assert not (await run_connector(connector, task(), LOGIN, state=first.result.state)).numbers
    assert not [each for each in upstream.requests if "verify" in each or "account_numbers" in each]


async def test_a_state_without_a_word_about_numbers_has_read_them(connector, upstream):
    (state,) = (await run_connector(connector, task(), LOGIN)).saved_states
    earlier = {name: value for name, value in json.loads(state).items() if name != "has_numbers"}
    upstream.requests.clear()
    await run_connector(connector, task(), LOGIN, state=json.dumps(earlier).encode())
    assert not [each for each in upstream.requests if "verify" in each]


async def test_an_upstream_that_offers_no_verification_is_read_without_numbers(connector, upstream):
    upstream.refuses["/verify"] = 403
    run = await run_connector(connector, task(), LOGIN)
    assert (len(run.accounts), json.loads(run.result.state)["has_numbers"]) == (2, True)


async def test_no_verification_is_started_where_the_setting_forbids_it(file, connector, upstream):
    saving = MxConnector(
        connector_context(settings(file, verifies_first=False), name="mx", transport=upstream.transport)
    )
    assert (await run_connector(saving, task(), LOGIN)).is_finished
    assert not [each for each in upstream.requests if "verify" in each]


async def test_a_question_of_the_verification_is_asked_once(connector, upstream):
    upstream.asks_for = "verify"
    asked = await run_connector(connector, task(), LOGIN)
    assert [each.label for each in asked.needs_answers.questions] == ["Which pet?"]
    run = await run_connector(
        connector,
        task(),
        LOGIN,
        answers={asked.needs_answers.questions[0].key: "dog"},
        resume=asked.needs_answers.resume,
        state=asked.saved_states[0],
    )
    assert (len(run.transactions), len(run.numbers)) == (3, 1)


async def test_owners_and_statements_are_read(connector):
    owners = (await run_connector(connector, task(JobKind.IDENTIFICATION), LOGIN)).owners
    assert [(each.account_id, each.owner_name) for each in owners] == [("ACT-1", "Ann Example")]
    statements = (await run_connector(connector, task(JobKind.STATEMENT), LOGIN)).statements
    assert [(each.account_id, each.id, each.pdf) for each in statements] == [("ACT-1", "STA-1", b"%PDF-1.7")]


async def test_a_value_that_cannot_be_read_costs_a_row_only_if_it_is_required(
    connector, upstream, monkeypatch
):
    odd = [
        transaction(1, memo=7, posted_at="yesterday", transacted_at="2026-11-20T10:00:00"),
        transaction(2, date=None, transacted_at="2026-11-19T10:00:00Z"),
        transaction(3, amount="much"),
        transaction(4, status="FLOATING"),
        transaction(5, date=None),
    ]
    rows_of = upstream.rows_of
    monkeypatch.setattr(upstream, "rows_of", lambda what: odd if what == "transactions" else rows_of(what))
    run = await run_connector(connector, task(), LOGIN)
    assert [(each.id, each.date.isoformat(), each.memo, each.posted_at) for each in run.transactions] == [
        ("TRN-1", "2026-11-20", None, None),
        ("TRN-2", "2026-11-19", None, None),
    ]
    assert dict(run.skipped) == {
        ("BankTransaction", "amount"): 1,
        ("BankTransaction", "status"): 1,
        ("BankTransaction", "date"): 1,
    }


# --- the member at the upstream -----------------------------------------------------------------------


async def test_the_login_is_sent_once_and_not_kept(connector, upstream):
    first = await run_connector(connector, task(), LOGIN)
    (state,) = first.saved_states
    assert b"right-17" not in state
    assert list(upstream.users) == ["USR-ours"]
    upstream.requests.clear()
    await run_connector(connector, task(), LOGIN, state=state)
    assert [each.split()[0] for each in upstream.requests if "PUT" in each or each.endswith("/members")] == []
    assert len(upstream.members) == 1


async def test_new_credentials_change_the_member_instead_of_creating_another(connector, upstream):
    with pytest.raises(CredentialsDenied):
        await run_connector(connector, task(), {"LOGIN": "ann-42", "PASSWORD": "wrong"})
    run = await run_connector(connector, task(), LOGIN)
    assert run.is_finished
    (member,) = upstream.members.values()
    assert member["values"] == {FIELDS["LOGIN"]: "ann-42", FIELDS["PASSWORD"]: "right-17"}
    assert member["id"] == "MBR-ours"


async def test_a_member_that_the_upstream_deleted_is_created_again(connector, upstream):
    (state,) = (await run_connector(connector, task(), LOGIN)).saved_states
    upstream.members.clear()
    run = await run_connector(connector, task(), LOGIN, state=state)
    assert run.is_finished
    assert len(run.saved_states) == 1


async def test_answers_that_the_upstream_waits_for_no_longer_lead_to_a_new_question(connector, upstream):
    login = {"LOGIN": "ann-42", "PASSWORD": "mfa"}
    asked = await run_connector(connector, task(), login)
    (member,) = upstream.members.values()
    member["connection_status"] = "EXPIRED"
    again = await run_connector(
        connector,
        task(),
        login,
        answers={asked.needs_answers.questions[0].key: "dog"},
        resume=asked.needs_answers.resume,
        state=asked.saved_states[0],
    )
    assert [each.label for each in again.needs_answers.questions] == ["Which pet?"]


# --- refusals -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("password", "error"),
    [
        ("wrong", CredentialsDenied),
        ("locked", LoginLocked),
        ("closed", LoginClosed),
        ("impeded", ActionNeeded),
        ("failing", BankFailed),
    ],
)
async def test_a_status_of_the_upstream_is_that_of_the_member(connector, password, error):
    with pytest.raises(error):
        await run_connector(connector, task(), {"LOGIN": "ann-42", "PASSWORD": password})


@pytest.mark.parametrize(("status", "error"), [(401, BankFailed), (403, BankFailed), (429, BankRateLimited)])
async def test_a_refusal_of_the_upstream_says_nothing_about_the_request(connector, upstream, status, error):
    upstream.refuses["/users"] = status
    with pytest.raises(error) as refused:
        await run_connector(connector, task(), LOGIN)
    assert "ann-42" not in f"{refused.value.problem} {refused.value.detail}"


async def test_a_job_that_the_upstream_does_not_offer_fails(connector, upstream):
    upstream.refuses["/verify"] = 400
    with pytest.raises(BankFailed):
        await run_connector(connector, task(JobKind.VERIFICATION), LOGIN)


async def test_a_job_that_never_starts_because_of_others_fails(connector, upstream):
    (state,) = (await run_connector(connector, task(), LOGIN)).saved_states
    upstream.requests.clear()
    upstream.refuses["/verify"] = 409
    with pytest.raises(BankFailed):
        await run_connector(connector, task(JobKind.VERIFICATION), LOGIN, state=state)
    assert sum(each.endswith("/verify") for each in upstream.requests) == 5


async def test_a_list_without_rows_is_unusable(connector, upstream, monkeypatch):
    monkeypatch.setattr(upstream, "rows_of", lambda _: ["no object"])
    with pytest.raises(BankDataUnusable):
        await run_connector(connector, task(), LOGIN)


# --- signing in at the institution's own page ---------------------------------------------------------


async def test_a_sign_in_leads_to_the_upstream_s_page_and_back(connector, upstream):
    page = await connector.authorize(request_of())
    assert page.url == "https://upstream.example/MBR-1"
    assert upstream.members["MBR-1"]["redirect"] == f"{RETURN_TO}?state=state-1&code=returned"
    with pytest.raises(CredentialsDenied):
        await connector.complete(response_to(page))
    upstream.members["MBR-1"]["connection_status"] = "CREATED"
    credentials = await connector.complete(response_to(page))
    run = await run_connector(connector, task(institution="heron"), credentials)
    assert run.is_finished
    assert upstream.members["MBR-1"]["id"] == "MBR-ours"


async def test_a_second_sign_in_uses_the_same_member(connector, upstream):
    page = await connector.authorize(request_of())
    upstream.members["MBR-1"]["connection_status"] = "CONNECTED"
    await run_connector(connector, task(institution="heron"), await connector.complete(response_to(page)))
    again = await connector.authorize(request_of("MBR-ours"))
    assert (again.resume, len(upstream.members)) == (page.resume, 1)


async def test_a_sign_in_member_that_the_upstream_deleted_needs_a_new_sign_in(connector, upstream):
    page = await connector.authorize(request_of())
    upstream.members["MBR-1"]["connection_status"] = "CONNECTED"
    credentials = await connector.complete(response_to(page))
    upstream.members.clear()
    with pytest.raises(ConsentRevoked):
        await connector.complete(response_to(page))
    upstream.refuses["/MBR-1"] = 404
    with pytest.raises(ConsentRevoked):
        await run_connector(connector, task(institution="heron"), credentials)


# --- institutions and settings ------------------------------------------------------------------------


async def test_the_upstream_s_institutions_are_listed_with_what_they_support(connector):
    tidewater, heron = sorted(connector.institutions(), key=lambda each: each.code, reverse=True)
    assert (tidewater.name, tidewater.supports_oauth) == ("Tidewater Bank", False)
    assert tidewater.supports == frozenset(JobKind)
    assert [each.field_name for each in tidewater.credentials] == ["LOGIN", "PASSWORD"]
    assert heron.supports == {JobKind.AGGREGATION, JobKind.BALANCE, JobKind.VERIFICATION}
    assert (heron.url, heron.instructional_text, heron.popularity) == ("", "Read this.", 1)


async def test_a_prefix_keeps_two_upstreams_with_the_same_institution_apart(connector, file, upstream):
    prefixed = MxConnector(
        connector_context(settings(file, code_prefix="eu_"), name="eu", transport=upstream.transport)
    )
    found = await prefixed.fetch_institutions("tide")
    assert {each.code for each in found} == {"eu_tidewater", "eu_heron"}
    assert not {each.guid for each in found} & {each.guid for each in connector.institutions()}


def test_a_missing_list_of_institutions_names_the_command_that_writes_it(tmp_path):
    with pytest.raises(ConfigurationError, match="coatcheck institution fetch mx"):
        read_institutions("mx", tmp_path / "none.json")


def test_an_unreadable_list_of_institutions_is_refused(tmp_path):
    (tmp_path / "list.json").write_text("[{")
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read_institutions("mx", tmp_path / "list.json")
    with pytest.raises(ConfigurationError, match="cannot be written"):
        write_institutions(tmp_path / "no-directory" / "list.json", [])


def test_a_list_of_institutions_is_read_as_it_was_written(tmp_path):
    institution = Institution("a", "INS-1", "A", "https://a.example", supports=frozenset({JobKind.BALANCE}))
    other = replace(institution, code="b", guid="INS-2", created_at=NOW)
    write_institutions(tmp_path / "list.json", [other, institution])
    assert read_institutions("mx", tmp_path / "list.json") == (institution, other)


@pytest.mark.parametrize("url", ["http://api.mx.com", "ftp://localhost", "https://", "int-api.mx.com"])
def test_an_upstream_over_an_open_connection_is_refused(url):
    given = {"client_id": "c", "api_key": "k", "institutions_file": "list.json", "base_url": url}
    with pytest.raises(ConfigurationError, match="base_url must be an https URL"):
        read_settings("mx", MxSettings, given)


def test_an_upstream_on_this_machine_needs_no_https():
    given = {"client_id": "c", "api_key": "k", "institutions_file": "list.json"}
    for url in ("http://localhost:8000", "http://127.0.0.1:8000", "http://[::1]:8000"):
        assert read_settings("mx", MxSettings, {**given, "base_url": url}).base_url == url


# --- what a deleted member leaves ------------------------------------------------------------------------------


async def test_a_member_that_signed_in_at_its_bank_is_deleted_at_the_upstream(connector, upstream):
    page = await connector.authorize(request_of())
    upstream.members["MBR-1"]["connection_status"] = "CREATED"
    credentials = await connector.complete(response_to(page))
    await disconnect_member(connector, DisconnectedMember("MBR-ours", "USR-ours", "heron"), credentials)
    assert not upstream.members


async def test_a_member_that_an_interrupted_run_created_is_found_by_our_guid_and_deleted(connector, upstream):
    await run_connector(connector, task(), LOGIN)
    await run_connector(connector, replace(task(), member_guid="MBR-other"), LOGIN)
    await disconnect_member(connector, DisconnectedMember("MBR-ours", "USR-ours", "tidewater"), LOGIN)
    assert [each["id"] for each in upstream.members.values()] == ["MBR-other"]


async def test_an_upstream_that_does_not_know_the_user_has_nothing_to_delete(connector, upstream):
    await disconnect_member(connector, DisconnectedMember("MBR-ours", "USR-new", "tidewater"), LOGIN)
    assert not any(each.startswith("DELETE") for each in upstream.requests)
