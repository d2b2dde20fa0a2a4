"""The FDX connector against a simulated provider: conformance, tokens, tolerant reading and refusals."""

import json
from contextlib import nullcontext
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

from coatcheck.clock import MovableClock
from coatcheck.connectors.contract import (
    AuthorizationRequest,
    AuthorizationResponse,
    DisconnectedMember,
    Finished,
    JobKind,
    Session,
    Task,
)
from coatcheck.connectors.fdx.profiles import load_profile
from coatcheck.errors import (
    ActionNeeded,
    BankDataUnusable,
    BankError,
    BankFailed,
    BankRateLimited,
    BankTimedOut,
    BankUnavailable,
    ConfigurationError,
    ConsentRevoked,
    CredentialsDenied,
    CredentialsMissing,
    LoginClosed,
)
from coatcheck.testing.connectors import (
    NOW,
    ConnectorUnderTest,
    conformance_checks,
    disconnect_member,
    run_connector,
)
from tests.fdx_provider import (
    CODE,
    ISSUER,
    FdxProvider,
    account,
    connector_of,
    read,
    state_of,
    transaction,
    write_profile,
)


class FdxUnderTest(ConnectorUnderTest):
    institution_code = CODE
    profile = ""
    provider: FdxProvider
    clock: MovableClock

    @property
    def credentials(self) -> dict[str, str]:  # type: ignore[override]
        return FdxProvider().credentials()

    kinds = (JobKind.AGGREGATION, JobKind.VERIFICATION, JobKind.IDENTIFICATION, JobKind.STATEMENT)
    disconnects = True
    lists_unreadable_accounts = True

    @property
    def has_access(self) -> bool:
        return not self.provider.is_revoked

    def reset(self) -> None:
        self.provider = FdxProvider(accounts=[account("a1")])
        self.clock = MovableClock()

    def make_account_unreadable(self) -> None:
        self.provider.accounts = [account("a1", currentBalance=None, availableBalance=None)]

    def build(self, faults: Any) -> Any:
        # Each process starts when the token of the one before has expired, so that every run replaces it.
        self.clock.advance(timedelta(hours=1))
        return connector_of(self.provider, self.profile, faults=faults, clock=self.clock)


UNDER_TEST = FdxUnderTest()


@pytest.mark.parametrize("check", conformance_checks(UNDER_TEST), ids=str)
async def test_the_fdx_connector_conforms(check: Any, profile: str) -> None:
    UNDER_TEST.profile = profile
    await check()


# --- what is read -------------------------------------------------------------------------------------------


async def test_accounts_transactions_and_the_first_numbers_are_read(
    provider: FdxProvider, profile: str
) -> None:
    run = await read(provider, profile)
    assert [(each.id, each.type, each.balance, each.account_number_mask) for each in run.accounts] == [
        ("a1", "CHECKING", Decimal("120.5"), "00a1"),
        ("a2", "CHECKING", Decimal("120.5"), "00a2"),
    ]
    assert len(run.transactions) == 10
    first = run.transactions[0]
    assert (first.amount, first.type, first.status, first.date) == (
        Decimal("12.34"),
        "DEBIT",
        "POSTED",
        date(2026, 11, 20),
    )
    assert [(each.account_number, each.routing_number) for each in run.numbers] == [
        ("12345678a1", "091000019"),
        ("12345678a2", "091000019"),
    ]


async def test_the_numbers_of_an_account_that_the_first_run_could_not_read_are_read_once_it_can(
    provider: FdxProvider, profile: str
) -> None:
    unreadable = account("a2", currentBalance=None, availableBalance=None)
    provider.accounts = [account("a1"), unreadable]
    first = await read(provider, profile)
    assert isinstance(first.result, Finished)
    second = await read(provider, profile, state=first.result.state)
    assert not second.numbers
    provider.accounts = [account("a1"), account("a2")]
    third = await read(
        provider, profile, state=second.saved_states[-1] if second.saved_states else first.result.state
    )
    assert isinstance(third.result, Finished)
    assert {each.account_id for each in third.numbers} == {"a2"}
    assert not (await read(provider, profile, state=third.result.state)).numbers


async def test_numbers_are_read_once_for_a_consent_and_by_every_verification(
    provider: FdxProvider, profile: str
) -> None:
    first = await read(provider, profile)
    state = first.result.state  # type: ignore[union-attr]
    assert not (await read(provider, profile, state=state)).numbers
    assert len((await read(provider, profile, JobKind.VERIFICATION, state=state)).numbers) == 2


async def test_owners_are_read_from_the_holders_and_the_contact(provider: FdxProvider, profile: str) -> None:
    owner, _ = (await read(provider, profile, JobKind.IDENTIFICATION)).owners
    assert (owner.owner_name, owner.address, owner.state) == ("Ann Example", "12 Main Street", "UT")
    assert (owner.email, owner.phone) == ("ann@example.com", "+18015550123")


async def test_statements_are_read(provider: FdxProvider, profile: str) -> None:
    run = await read(provider, profile, JobKind.STATEMENT)
    assert [each.id for each in run.statements] == ["a1-2026/10", "a2-2026/10"]
    assert "/accounts/a1/statements/a1-2026%2F10" in str([request.url for request in provider.requests])


async def test_each_call_says_who_is_present_and_has_its_own_interaction_id(
    provider: FdxProvider, profile: str
) -> None:
    await read(provider, profile)
    reads = [each for each in provider.requests if each.url.host == "api.example"]
    ids = [each.headers["x-fapi-interaction-id"] for each in reads]
    assert len(set(ids)) == len(ids) > 5
    assert {each.headers["fdx-api-actor-type"] for each in reads} == {"USER"}
    provider.requests.clear()
    await read(provider, profile, state=state_of(provider), is_background=True)
    reads = [each for each in provider.requests if each.url.host == "api.example"]
    assert {each.headers["fdx-api-actor-type"] for each in reads} == {"BATCH"}


async def test_no_more_requests_are_open_than_the_profile_permits(
    provider: FdxProvider, tmp_path: Path
) -> None:
    provider.accounts = [account(f"a{number}") for number in range(20)]
    provider.latency = 0.002
    await read(provider, write_profile(tmp_path, concurrent_reads=3))
    assert provider.most_concurrent == 3


# --- tokens -------------------------------------------------------------------------------------------------


async def test_32_concurrent_refusals_of_a_token_lead_to_one_refresh(
    provider: FdxProvider, tmp_path: Path
) -> None:
    provider.accounts = [account(f"a{number:02}") for number in range(32)]
    # The token is replaced once at the start; the bank then ends it while 32 reads are under way.
    provider.latency, provider.consent_id = 0.005, None
    profile = write_profile(tmp_path, concurrent_reads=32, page_size=100)

    def end_token(path: str, _parameters: dict[str, str]) -> None:
        if path == "/accounts":
            provider.refuses_bearer = 32

    provider.override = end_token
    run = await read(provider, profile)
    assert len(run.accounts) == 32
    assert provider.calls["/token"] == 2
    assert not provider.is_revoked
    assert len(run.saved_states) == 2


async def test_the_new_token_is_saved_before_the_run_goes_on(provider: FdxProvider, profile: str) -> None:
    provider.answers["/accounts"] = httpx.Response(500)
    saved: list[bytes] = []

    async def store(state: bytes) -> None:
        saved.append(state)

    session = Session(
        Task(JobKind.AGGREGATION, CODE, "MBR-1", NOW), provider.credentials(), store_state=store
    )
    with pytest.raises(BankFailed):
        await connector_of(provider, profile).run(session)
    assert json.loads(saved[0])["refresh_token"] == provider.refresh_token


async def test_a_provider_that_does_not_rotate_keeps_its_refresh_token(
    provider: FdxProvider, profile: str
) -> None:
    provider.rotates = False
    run = await read(provider, profile)
    assert json.loads(run.saved_states[0])["refresh_token"] == "refresh-0"


@pytest.mark.parametrize("lifetime", ["9" * 30, 10**15, "9" * 5000, -1, None, True, "soon", "²"])
async def test_an_odd_lifetime_of_a_token_loses_no_refresh_token(
    provider: FdxProvider, profile: str, lifetime: object
) -> None:
    provider.lifetime = lifetime
    run = await read(provider, profile)
    tokens = json.loads(run.saved_states[-1])
    assert tokens["refresh_token"] == provider.refresh_token
    assert datetime.fromisoformat(tokens["expires_at"]) < NOW + timedelta(days=4000)


async def test_a_refresh_token_that_was_used_elsewhere_means_that_the_consent_has_ended(
    provider: FdxProvider, profile: str
) -> None:
    provider.refresh_token = "another"
    with pytest.raises(ConsentRevoked):
        await read(provider, profile)


async def test_a_token_that_stays_refused_means_that_the_consent_has_ended(
    provider: FdxProvider, profile: str
) -> None:
    provider.answers["/accounts"] = httpx.Response(401)
    with pytest.raises(ConsentRevoked):
        await read(provider, profile)
    assert provider.calls["/token"] == 2


async def test_the_id_token_is_sent_where_the_profile_says_so(provider: FdxProvider, tmp_path: Path) -> None:
    await read(provider, write_profile(tmp_path, bearer="id_token"))
    assert {
        each.headers["authorization"] for each in provider.requests if each.url.host == "api.example"
    } == {"Bearer id-1"}


async def test_a_member_of_another_connector_has_to_sign_in(provider: FdxProvider, profile: str) -> None:
    connector = connector_of(provider, profile)
    with pytest.raises(CredentialsMissing):
        await run_connector(
            connector, Task(JobKind.AGGREGATION, CODE, "MBR-1", NOW), {"LOGIN": "ann", "PASSWORD": "x"}
        )


# --- consent ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["REVOKED", "EXPIRED"])
async def test_an_ended_consent_ends_the_run(provider: FdxProvider, profile: str, status: str) -> None:
    provider.consent_status = status
    with pytest.raises(ConsentRevoked):
        await read(provider, profile)
    assert "/accounts" not in provider.calls


async def test_a_provider_without_consent_api_is_read(provider: FdxProvider, profile: str) -> None:
    provider.answers["/consents/consent-1"] = httpx.Response(404, text="<html>")
    assert (await read(provider, profile)).accounts


async def test_the_consent_is_not_read_where_the_profile_says_so(
    provider: FdxProvider, tmp_path: Path
) -> None:
    await read(provider, write_profile(tmp_path, reads_consent=False))
    assert "/consents/consent-1" not in provider.calls


# --- sign-in ------------------------------------------------------------------------------------------------

REQUEST = AuthorizationRequest(
    CODE, "http://coatcheck.test/oauth/callback", state="s1", code_challenge="c" * 43
)


async def test_the_sign_in_page_gets_pkce_scope_and_the_consent_that_is_asked_for(
    provider: FdxProvider, tmp_path: Path
) -> None:
    tables = (
        '[authorization_parameters]\nprompt = "consent"\n'
        '[consent]\ndata_clusters = ["TRANSACTIONS"]\nduration_days = 90\nlookback_days = 60\n'
    )
    profile = write_profile(tmp_path, tables=tables)
    url = urlsplit(await connector_of(provider, profile).authorize(REQUEST))
    query = dict(parse_qsl(url.query))
    assert url._replace(query="").geturl() == f"{ISSUER}/authorize"
    assert (query["response_type"], query["state"], query["prompt"]) == ("code", "s1", "consent")
    assert (query["code_challenge"], query["code_challenge_method"]) == ("c" * 43, "S256")
    assert query["scope"] == "fdx:accountdetailed:read fdx:transactions:read"
    (detail,) = json.loads(query["authorization_details"])
    assert detail["type"] == "FDX_CONSENT"
    assert detail["consentRequest"]["lookbackPeriod"] == 60
    assert detail["consentRequest"]["resources"][0]["dataClusters"] == ["TRANSACTIONS"]


async def test_the_request_is_pushed_where_the_provider_takes_it(
    provider: FdxProvider, tmp_path: Path
) -> None:
    provider.answers["/par"] = httpx.Response(201, json={"request_uri": "urn:x", "expires_in": 60})
    profile = write_profile(tmp_path, pushed_authorization_request_endpoint=f"{ISSUER}/par")
    url = await connector_of(provider, profile).authorize(REQUEST)
    assert dict(parse_qsl(urlsplit(url).query)) == {"client_id": "ledger", "request_uri": "urn:x"}
    pushed = next(each for each in provider.requests if each.url.path == "/par")
    assert dict(parse_qsl(pushed.content.decode()))["state"] == "s1"
    assert pushed.headers["authorization"] == "Basic bGVkZ2VyOnMzY3JldA=="


async def test_a_code_is_exchanged_for_credentials(provider: FdxProvider, profile: str) -> None:
    response = AuthorizationResponse(CODE, REQUEST.redirect_uri, code="c1", code_verifier="v" * 43)
    credentials = await connector_of(provider, profile).complete(response)
    sent = dict(parse_qsl(provider.requests[-1].content.decode()))
    assert (sent["code"], sent["code_verifier"], sent["redirect_uri"]) == (
        "c1",
        "v" * 43,
        REQUEST.redirect_uri,
    )
    connector = connector_of(provider, profile)
    run = await run_connector(connector, Task(JobKind.AGGREGATION, CODE, "MBR-1", NOW), credentials)
    assert run.accounts
    assert provider.calls["/token"] == 1


@pytest.mark.parametrize(
    ("says_issuer", "issuer", "is_accepted"),
    [
        (True, ISSUER, True),
        (False, ISSUER, True),
        (False, None, True),
        (True, None, False),
        (True, "https://evil.example", False),
        (False, "https://evil.example", False),
    ],
)
async def test_the_code_of_another_server_is_not_sent_to_this_one(
    provider: FdxProvider, profile: str, says_issuer: bool, issuer: str | None, is_accepted: bool
) -> None:
    provider.metadata = {"authorization_response_iss_parameter_supported": says_issuer}
    response = AuthorizationResponse(CODE, REQUEST.redirect_uri, "c1", "v" * 43, issuer=issuer)
    with nullcontext() if is_accepted else pytest.raises(CredentialsDenied):
        await connector_of(provider, profile).complete(response)
    assert ("/token" in provider.calls) is is_accepted


def drop_issuer(profile: Path) -> None:
    lines = profile.read_text().splitlines()
    profile.write_text("\n".join(line for line in lines if not line.startswith("issuer")))


async def test_without_an_issuer_in_the_profile_any_server_is_believed(
    provider: FdxProvider, tmp_path: Path
) -> None:
    endpoints = {"authorization_endpoint": f"{ISSUER}/authorize", "token_endpoint": f"{ISSUER}/token"}
    profile = write_profile(tmp_path, **endpoints)
    drop_issuer(Path(profile))
    response = AuthorizationResponse(
        CODE, REQUEST.redirect_uri, "c1", "v" * 43, issuer="https://other.example"
    )
    assert await connector_of(provider, profile).complete(response)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (httpx.Response(400, json={"error": "invalid_grant"}), CredentialsDenied),
        (httpx.Response(401, json={"error": "invalid_client"}), BankFailed),
        (httpx.Response(503, text="<html>"), BankUnavailable),
        (httpx.Response(200, text="<html>"), BankDataUnusable),
        (httpx.Response(200, text="[" * 100_000), BankDataUnusable),
        (httpx.Response(200, json={"token_type": "Bearer"}), BankDataUnusable),
    ],
)
async def test_a_refused_code_is_denied_and_a_failure_is_a_failure(
    provider: FdxProvider, profile: str, answer: httpx.Response, error: type[BankError]
) -> None:
    provider.answers["/token"] = answer
    response = AuthorizationResponse(CODE, REQUEST.redirect_uri, code="c1", code_verifier="v" * 43)
    with pytest.raises(error):
        await connector_of(provider, profile).complete(response)


async def test_metadata_of_another_issuer_are_refused(provider: FdxProvider, profile: str) -> None:
    metadata = {"issuer": "https://evil.example", "authorization_endpoint": "x", "token_endpoint": "y"}
    provider.answers["/.well-known/openid-configuration"] = httpx.Response(200, json=metadata)
    with pytest.raises(BankDataUnusable, match="another issuer"):
        await connector_of(provider, profile).authorize(REQUEST)


@pytest.mark.parametrize(
    ("key", "algorithm", "as_pem"),
    [
        (ECKey.generate_key("P-256", {"kid": "k1"}), "ES256", False),
        (RSAKey.generate_key(2048, {"kid": "k1"}), "PS256", True),
    ],
)
async def test_a_client_signs_an_assertion_with_its_key(
    provider: FdxProvider, tmp_path: Path, key: ECKey | RSAKey, algorithm: str, as_pem: bool
) -> None:
    (tmp_path / "key").write_text(
        key.as_pem(private=True).decode() if as_pem else json.dumps(key.as_dict(private=True))
    )
    changes = {"client_authentication": "private_key_jwt", "private_key_file": "key", "key_id": "at-the-bank"}
    await read(provider, write_profile(tmp_path, **changes))
    request = next(each for each in provider.requests if each.url.path == "/token")
    form = dict(parse_qsl(request.content.decode()))
    assert "authorization" not in request.headers
    token = jwt.decode(form["client_assertion"], key, algorithms=[algorithm])
    assert token.header["kid"] == "at-the-bank"
    assert (token.claims["iss"], token.claims["sub"], token.claims["aud"]) == ("ledger", "ledger", ISSUER)
    assert token.claims["exp"] - token.claims["iat"] == 60


# --- failures -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (httpx.Response(403, text="no JSON"), ActionNeeded),
        (httpx.Response(404, json={"code": 601}), LoginClosed),
        (httpx.Response(404, json={"error": "not FDX"}), BankFailed),
        (httpx.Response(429, headers={"retry-after": "60"}), BankRateLimited),
        (httpx.Response(500, json=[]), BankFailed),
        (httpx.Response(500, text="[" * 100_000), BankFailed),
        (httpx.Response(503), BankUnavailable),
        (httpx.Response(504), BankTimedOut),
        (httpx.Response(200, text="[]"), BankDataUnusable),
        (httpx.Response(200, text='{"accounts": ['), BankDataUnusable),
        (httpx.Response(200, text="[" * 100_000), BankDataUnusable),
    ],
)
async def test_an_error_of_the_provider_need_not_be_one_of_fdx(
    provider: FdxProvider, profile: str, answer: httpx.Response, error: type[BankError]
) -> None:
    provider.answers["/accounts"] = answer
    with pytest.raises(error):
        await read(provider, profile)


async def test_pages_that_do_not_end_are_refused(provider: FdxProvider, profile: str) -> None:
    provider.answers["/transactions"] = httpx.Response(
        200, json={"page": {"nextOffset": "1"}, "transactions": [transaction("t1")]}
    )
    with pytest.raises(BankDataUnusable, match="do not end"):
        await read(provider, profile)


async def test_a_later_page_that_is_missing_ends_the_run(provider: FdxProvider, profile: str) -> None:
    def lose_later_pages(_path: str, parameters: dict[str, str]) -> httpx.Response | None:
        return httpx.Response(404) if parameters.get("offset") else None

    provider.override = lose_later_pages
    with pytest.raises(BankFailed):
        await read(provider, profile)


# --- profiles -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"colour": "red"}, "unknown field `colour`"),
        ({"api_url": "http://api.example/fdx/v6"}, "must be an https address"),
        ({"api_url": "https://api.example/fdx/v6/"}, "api_url"),
        ({"client_authentication": "private_key_jwt"}, "needs private_key_file"),
        ({"client_authentication": "tls_client_auth"}, "needs certificate_file"),
        ({"client_authentication": "none"}, "client_authentication"),
        ({"bearer": "cookie"}, "bearer"),
    ],
)
def test_a_wrong_profile_is_refused_with_its_field(
    tmp_path: Path, changes: dict[str, str], problem: str
) -> None:
    with pytest.raises(ConfigurationError, match=problem):
        load_profile(write_profile(tmp_path, **changes))


def test_a_profile_needs_an_issuer_or_both_endpoints(tmp_path: Path) -> None:
    file = Path(write_profile(tmp_path))
    drop_issuer(file)
    with pytest.raises(ConfigurationError, match="needs issuer"):
        load_profile(str(file))


@pytest.mark.parametrize("missing", ["profile.toml", "secret"])
def test_a_missing_file_is_named(tmp_path: Path, missing: str) -> None:
    profile = write_profile(tmp_path)
    (tmp_path / missing).unlink()
    with pytest.raises(ConfigurationError, match=missing):
        connector_of(FdxProvider(), profile)


def test_a_file_without_a_usable_key_is_refused(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(ECKey.generate_key("P-521").as_pem(private=True).decode())
    profile = write_profile(tmp_path, client_authentication="private_key_jwt", private_key_file="key")
    with pytest.raises(ConfigurationError, match="P-256 or RSA"):
        connector_of(FdxProvider(), profile)


# --- what a deleted member leaves ------------------------------------------------------------------------------


GONE = DisconnectedMember("MBR-1", "USR-1", CODE)


async def test_a_bank_that_names_no_consent_is_asked_to_revoke_the_refresh_token(
    provider: FdxProvider, profile: str
) -> None:
    provider.consent_id = None
    await disconnect_member(connector_of(provider, profile), GONE, provider.credentials())
    assert provider.is_revoked
    assert provider.calls["/revoke"] == 1


async def test_a_bank_without_the_consent_api_is_asked_to_revoke_the_refresh_token(
    provider: FdxProvider, profile: str
) -> None:
    provider.answers["/revocation"] = httpx.Response(404)
    await disconnect_member(connector_of(provider, profile), GONE, provider.credentials())
    assert provider.is_revoked
    assert provider.calls["/revoke"] == 1


async def test_a_bank_whose_consents_are_revoked_by_patch_is_asked_so(
    provider: FdxProvider, profile: str
) -> None:
    provider.revocation_method = "PATCH"
    await disconnect_member(connector_of(provider, profile), GONE, provider.credentials())
    assert provider.is_revoked
    assert provider.calls["/revoke"] == 0


async def test_a_bank_without_metadata_revokes_at_the_endpoint_of_the_profile(
    provider: FdxProvider, tmp_path: Path
) -> None:
    provider.consent_id = None
    endpoints = {f"{name}_endpoint": f"{ISSUER}/{name}" for name in ("authorization", "token")}
    profile = write_profile(tmp_path, issuer=None, **endpoints, revocation_endpoint=f"{ISSUER}/revoke")
    await disconnect_member(connector_of(provider, profile), GONE, provider.credentials())
    assert provider.is_revoked


@pytest.mark.parametrize("name", ["pushed_authorization_request_endpoint", "revocation_endpoint"])
def test_every_endpoint_of_a_profile_must_be_an_https_address(tmp_path: Path, name: str) -> None:
    profile = write_profile(tmp_path, **{name: "http://op.example/endpoint"})
    with pytest.raises(ConfigurationError, match=f"{name} .* must be an https address"):
        connector_of(FdxProvider(), profile)


async def test_tokens_that_are_replaced_for_the_revocation_are_saved(
    provider: FdxProvider, profile: str
) -> None:
    (saved,) = await disconnect_member(connector_of(provider, profile), GONE, provider.credentials())
    assert json.loads(saved)["refresh_token"] == provider.refresh_token


async def test_a_member_that_signed_in_through_another_connector_has_nothing_to_revoke(
    provider: FdxProvider, profile: str
) -> None:
    await disconnect_member(connector_of(provider, profile), GONE, {"LOGIN": "ann"})
    assert not provider.requests
