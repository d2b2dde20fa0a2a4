"""The OAuth institutions of the sandbox bank: authorization page, code, consent and refusals."""

import base64
import hashlib
import re
from datetime import timedelta
from html import unescape
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from coatcheck.clock import MovableClock
from coatcheck.connectors.contract import AuthorizationRequest, AuthorizationResponse, JobKind, Task
from coatcheck.connectors.sandbox.bank import SandboxBank, SandboxSettings
from coatcheck.connectors.sandbox.controls import CONTROLS
from coatcheck.errors import ConsentRevoked, CredentialsDenied, JobNotSupported
from coatcheck.testing.connectors import Run, connector_context, run_connector

BASE_URL = "http://coatcheck.test"
CALLBACK = f"{BASE_URL}/oauth/callback"
VERIFIER = "a-verifier-of-forty-three-characters-or-more-0"
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()


def bank(clock, seed=1) -> SandboxBank:
    return SandboxBank(connector_context(SandboxSettings(seed=seed), name="sandbox", clock=clock))


class SignIn:
    """A sandbox bank, a browser for its authorization page, and a clock."""

    def __init__(self) -> None:
        self.clock = MovableClock()
        self.bank = bank(self.clock)
        app = Starlette(routes=[Mount("/banks/sandbox", app=self.bank.pages)])
        self.browser = httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url=BASE_URL)

    async def page(self, of="mxcu_oauth", **other) -> str:
        url = await self.bank.authorize(
            AuthorizationRequest(
                institution_code=of, redirect_uri=CALLBACK, state="state-1", code_challenge=CHALLENGE
            )
        )
        query = dict(parse_qsl(urlsplit(url).query)) | other
        return f"{url.partition('?')[0]}?{urlencode({key: value for key, value in query.items() if value is not None})}"

    async def decide(self, decision="allow", login="mxuser", page=None) -> httpx.Response:
        page_response = await self.browser.get(page or await self.page())
        assert page_response.status_code == 200
        form = {
            unescape(name): unescape(value)
            for name, value in re.findall(r'type="hidden" name="([^"]*)" value="([^"]*)"', page_response.text)
        }
        action = re.search(r'<form method="post" action="([^"]*)"', page_response.text)[1]
        return await self.browser.post(
            page_response.url.join(action), data={**form, "login": login, "decision": decision}
        )

    async def code(self, **choice) -> str:
        return answer(await self.decide(**choice))["code"]

    async def complete(self, code, institution="mxcu_oauth", verifier=VERIFIER, redirect_uri=CALLBACK):
        return await self.bank.complete(
            AuthorizationResponse(
                institution_code=institution,
                redirect_uri=redirect_uri,
                code=code,
                code_verifier=verifier,
            )
        )

    async def run(self, credentials, institution="mxcu_oauth", kind=JobKind.IDENTIFICATION) -> Run:
        return await run_connector(self.bank, Task(kind, institution, "MBR-1", self.clock.now()), credentials)


def answer(response: httpx.Response) -> dict[str, str]:
    """The parameters of the redirect to the client."""
    assert response.status_code == 303
    location, _, query = response.headers["location"].partition("?")
    assert location == CALLBACK
    return dict(parse_qsl(query))


@pytest.fixture
def sign_in() -> SignIn:
    return SignIn()


async def test_after_consent_each_account_has_two_owners(sign_in):
    redirect = answer(await sign_in.decide(login="ann"))
    assert redirect.keys() == {"code", "state"}
    assert redirect["state"] == "state-1"
    credentials = await sign_in.complete(redirect["code"])
    assert credentials.keys() == {"LOGIN", "CONSENT"}
    assert credentials["LOGIN"] == "ann"
    result = await sign_in.run(credentials)
    owners = {
        account.id: [each.owner_name for each in result.owners if each.account_id == account.id]
        for account in result.accounts
    }
    assert owners
    assert all(len(set(names)) == 2 for names in owners.values())
    assert {each.account_ownership for each in result.accounts} == {"JOINT"}


async def test_at_the_other_oauth_institution_each_account_has_one_owner(sign_in):
    credentials = await sign_in.complete(
        await sign_in.code(page=await sign_in.page("mx_bank_oauth")), "mx_bank_oauth"
    )
    result = await sign_in.run(credentials, "mx_bank_oauth")
    assert len(result.owners) == len(result.accounts)


async def test_denying_returns_access_denied_and_no_code(sign_in):
    assert answer(await sign_in.decide("deny")) == {"error": "access_denied", "state": "state-1"}


async def test_anything_but_allow_is_a_denial(sign_in):
    assert answer(await sign_in.decide("allowed")) == {"error": "access_denied", "state": "state-1"}


async def test_controls_work_on_the_authorization_page(sign_in):
    credentials = await sign_in.complete(await sign_in.code(login="ann+empty"))
    assert (await sign_in.run(credentials)).accounts == ()
    credentials = await sign_in.complete(await sign_in.code(login="ann+consent_revoked"))
    with pytest.raises(ConsentRevoked):
        await sign_in.run(credentials)


async def test_an_unknown_control_is_an_error_on_the_page(sign_in):
    response = await sign_in.decide(login='ann+"><b>typo')
    assert response.status_code == 422
    assert 'role="alert">The login has a control' in response.text
    assert "<b>typo" not in response.text


async def test_an_empty_login_is_an_error_on_the_page(sign_in):
    response = await sign_in.decide(login="  ")
    assert response.status_code == 422
    assert "Enter a username." in response.text


async def test_a_code_works_once(sign_in):
    code = await sign_in.code()
    await sign_in.complete(code)
    with pytest.raises(CredentialsDenied):
        await sign_in.complete(code)


async def test_a_code_works_for_ten_minutes(sign_in):
    early, late = await sign_in.code(), await sign_in.code()
    sign_in.clock.advance(timedelta(minutes=9, seconds=50))
    await sign_in.complete(early)
    sign_in.clock.advance(timedelta(seconds=11))
    with pytest.raises(CredentialsDenied):
        await sign_in.complete(late)


async def test_a_code_needs_its_verifier(sign_in):
    with pytest.raises(CredentialsDenied):
        await sign_in.complete(await sign_in.code(), verifier=f"{VERIFIER}x")


async def test_a_code_is_for_one_institution(sign_in):
    with pytest.raises(CredentialsDenied):
        await sign_in.complete(await sign_in.code(), institution="mx_bank_oauth")


async def test_a_code_is_for_one_redirect_uri(sign_in):
    with pytest.raises(CredentialsDenied):
        await sign_in.complete(await sign_in.code(), redirect_uri="http://evil.test/oauth/callback")


async def test_a_failed_redemption_does_not_invalidate_the_code(sign_in):
    code = await sign_in.code()
    with pytest.raises(CredentialsDenied):
        await sign_in.complete(code, verifier="wrong")
    assert await sign_in.complete(code)


@pytest.mark.parametrize("code", ["", "x", "xx", "é", "AAAA" * 20, "a b", "=" * 8])
async def test_a_malformed_code_is_refused(sign_in, code):
    with pytest.raises(CredentialsDenied):
        await sign_in.complete(code)


async def test_an_altered_code_is_refused(sign_in):
    code = await sign_in.code()
    for place in range(0, len(code), 7):
        other = "A" if code[place] != "A" else "B"
        with pytest.raises(CredentialsDenied):
            await sign_in.complete(f"{code[:place]}{other}{code[place + 1 :]}")
    assert await sign_in.complete(code)


async def test_a_code_of_another_sandbox_is_refused(sign_in):
    other = bank(sign_in.clock, seed=2)
    with pytest.raises(CredentialsDenied):
        await other.complete(
            AuthorizationResponse(
                institution_code="mxcu_oauth",
                redirect_uri=CALLBACK,
                code=await sign_in.code(),
                code_verifier=VERIFIER,
            )
        )


async def test_a_code_does_not_contain_the_login_in_plain_text(sign_in):
    code = await sign_in.code(login="ann-of-green-gables")
    assert b"green-gables" not in base64.urlsafe_b64decode(f"{code}==")


async def test_credentials_without_a_consent_are_refused(sign_in):
    credentials = await sign_in.complete(await sign_in.code(login="ann"))
    for wrong in (
        {"LOGIN": "ann"},
        {"LOGIN": "ann", "CONSENT": ""},
        {"LOGIN": "ann", "CONSENT": "0" * 64},
        {"LOGIN": "bob", "CONSENT": credentials["CONSENT"]},
        {"LOGIN": "ann", "CONSENT": "é"},
    ):
        with pytest.raises(ConsentRevoked):
            await sign_in.run(wrong)
    with pytest.raises(ConsentRevoked):
        await sign_in.run(credentials, "mx_bank_oauth")


async def test_an_institution_with_a_password_has_no_page(sign_in):
    with pytest.raises(JobNotSupported):
        await sign_in.page("mxbank")


@pytest.mark.parametrize(
    "wrong",
    [
        {"redirect_uri": "http://evil.test/oauth/callback"},
        {"redirect_uri": f"{CALLBACK}/../../evil"},
        {"redirect_uri": f"{CALLBACK}?x=1"},
        {"redirect_uri": None},
        {"institution": "mxbank"},
        {"institution": "nobank"},
        {"client_id": "another"},
    ],
)
async def test_a_request_with_a_wrong_client_or_redirect_uri_is_not_redirected(sign_in, wrong):
    page = await sign_in.page(**wrong)
    for response in (
        await sign_in.browser.get(page),
        await sign_in.browser.post(page.partition("?")[0], data=dict(parse_qsl(urlsplit(page).query))),
    ):
        assert response.status_code == 400
        assert "location" not in response.headers
        assert "evil" not in response.text


@pytest.mark.parametrize(
    "wrong",
    [
        {"response_type": "token"},
        {"code_challenge": None},
        {"code_challenge": "short"},
        {"code_challenge_method": "plain"},
        {"code_challenge_method": None},
        {"state": None},
    ],
)
async def test_an_incomplete_request_is_redirected_with_invalid_request(sign_in, wrong):
    redirect = answer(await sign_in.browser.get(await sign_in.page(**wrong)))
    assert redirect["error"] == "invalid_request"
    assert "code" not in redirect


async def test_a_repeated_parameter_is_invalid(sign_in):
    assert (
        answer(await sign_in.browser.get(f"{await sign_in.page()}&state=other"))["error"] == "invalid_request"
    )


async def test_the_page_is_accessible_html_without_scripts(sign_in):
    response = await sign_in.browser.get(await sign_in.page())
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    policy = response.headers["content-security-policy"]
    assert {"default-src 'none'", "style-src 'self'", "frame-ancestors 'none'"} < set(policy.split("; "))
    assert response.headers["referrer-policy"] == "no-referrer"
    assert response.headers["cache-control"] == "no-store"
    page = response.text
    assert "<script" not in page
    assert " style=" not in page
    assert '<html lang="en">' in page
    assert '<label for="login">' in page
    assert 'content="width=device-width, initial-scale=1"' in page
    assert "Sign in to MXCU (OAuth)" in page
    assert all(f"<dt>+{word}</dt>" in page for word in CONTROLS)


async def test_the_page_lists_the_shared_data(sign_in):
    assert "your statements" in (await sign_in.browser.get(await sign_in.page())).text
    assert "your statements" not in (await sign_in.browser.get(await sign_in.page("mx_bank_oauth"))).text


async def test_the_state_is_escaped_and_returned_unchanged(sign_in):
    state = '"><script>&amp;é +'
    response = await sign_in.browser.get(await sign_in.page(state=state))
    assert "<script" not in response.text
    assert answer(await sign_in.decide(page=await sign_in.page(state=state)))["state"] == state


async def test_the_style_sheet_is_a_separate_file(sign_in):
    response = await sign_in.browser.get(f"{BASE_URL}/banks/sandbox/style.css")
    assert response.headers["content-type"] == "text/css; charset=utf-8"
    assert "prefers-color-scheme: dark" in response.text


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing", 404),
        ("GET", "/", 404),
        ("PUT", "/authorize", 405),
        ("POST", "/style.css", 405),
        ("HEAD", "/style.css", 200),
        ("GET", "/authorize", 400),
        ("POST", "/authorize", 400),
    ],
)
async def test_other_requests_have_the_status_of_http(sign_in, method, path, status):
    response = await sign_in.browser.request(method, f"{BASE_URL}/banks/sandbox{path}")
    assert response.status_code == status
    assert ("allow" in response.headers) == (status == 405)
    assert "content-security-policy" in response.headers


async def test_a_form_that_is_too_long_is_not_read(sign_in):
    response = await sign_in.browser.post(f"{BASE_URL}/banks/sandbox/authorize", content=b"a" * 20_000)
    assert response.status_code == 413
