"""Tokens that are bound to a key (DPoP, RFC 9449) or a certificate (mTLS, RFC 8705): on every route that reads."""

import asyncio
from collections import Counter
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from httpx import ASGITransport

from coatcheck.api.routes.table import ROUTES
from coatcheck.app import Services, build
from coatcheck.clock import MovableClock
from coatcheck.config import Settings
from coatcheck.errors import ConfigurationError
from coatcheck.http.client_certificates import parse_networks
from coatcheck.http.route import Caller
from coatcheck.model.accounts import Account
from coatcheck.model.processor_authentication import ClientAuthentication, SenderConstraint
from coatcheck.server import behind_proxies, create_app
from tests.certificates import Certificate, make_certificate
from tests.dpop import Holder
from tests.factories import Keyed, make_account, make_client, make_code, make_processor, make_token, make_user

URL = "/oauth/token"
READS = [(route.method, route.path) for route in ROUTES if route.caller is Caller.TOKEN]


@dataclass
class Setup:
    services: Services
    http: httpx.AsyncClient
    processor: Keyed
    account: Account

    @property
    def holder(self) -> Holder:
        return Holder(self.services.clock.now())

    async def constrain(self, constraint: SenderConstraint) -> None:
        async with self.services.db.transaction() as connection:
            await self.services.processors.security.set_sender_constraint(
                connection, self.processor.guid, constraint, actor="operator"
            )

    async def exchange(self, headers: dict[str, str], **form: str) -> httpx.Response:
        code = await make_code(self.services, self.account)
        form = {"grant_type": "authorization_code", "code": code, **form}
        auth = None if form.get("client_id") else self.processor.auth
        return await self.http.post(URL, data=form, headers=headers, auth=auth)

    async def dpop_token(self, holder: Holder) -> str:
        answer = await self.exchange({"DPoP": holder.proof("POST", URL)})
        assert answer.json()["token_type"] == "DPoP"
        return str(answer.json()["access_token"])

    async def mtls_token(self, certificate: Certificate) -> str:
        answer = await self.exchange({"Client-Cert": certificate.header})
        assert answer.json()["token_type"] == "Bearer"
        return str(answer.json()["access_token"])

    async def introspected(self, token: str) -> dict[str, Any]:
        answer = await self.http.post("/oauth/introspect", data={"token": token}, auth=self.processor.auth)
        return dict(answer.json())

    async def recorded(self, action: str) -> int:
        return len(await self.reasons(action))

    async def reasons(self, action: str) -> list[str | None]:
        """The reason in each entry of the audit log about an action of the processor."""
        async with self.services.db.connection() as connection:
            cursor = await connection.execute(
                """SELECT body::jsonb -> 'detail' ->> 'reason' FROM audit_entry WHERE body::jsonb ->> 'action' = %s
                   AND body::jsonb ->> 'actor' = %s ORDER BY number""",
                (action, self.processor.guid),
            )
            return [reason for (reason,) in await cursor.fetchall()]


def behind_proxy(
    services: Services, *, trusted: str = "127.0.0.1", reads_certificates: bool = True
) -> httpx.AsyncClient:
    """A client of the server, whose connections come from 127.0.0.1."""
    app = behind_proxies(create_app(services), trusted, reads_certificates=reads_certificates)
    return httpx.AsyncClient(transport=ASGITransport(app), base_url=services.settings.base_url)


@pytest.fixture
async def setup(services: Services) -> Any:
    client = await make_client(services)
    processor = await make_processor(services, client)
    account = await make_account(services, await make_user(services, client))
    async with behind_proxy(services) as http:
        yield Setup(services, http, processor, account)


def challenge(answer: httpx.Response) -> tuple[int, str, str]:
    return answer.status_code, answer.json()["error"]["type"], answer.headers["www-authenticate"].split()[0]


# --- DPoP ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/account/check_balance"), ("GET", "/account/transactions?max_age=1")]
)
async def test_a_proof_whose_request_was_refused_is_not_accepted_again(
    setup: Setup, method: str, path: str
) -> None:
    holder = setup.holder
    token = await setup.dpop_token(holder)
    async with setup.services.db.connection() as connection:
        # Then neither a job can be started for it, nor its data be young.
        await connection.execute(
            "UPDATE member SET is_manual = true WHERE guid = %s", (setup.account.member_guid,)
        )
    headers = holder.headers(method, path.partition("?")[0], token)
    first = await setup.http.request(method, path, headers=headers)
    assert first.status_code == 405, first.text
    again = await setup.http.request(method, path, headers=headers)
    assert again.status_code == 401
    algorithms = "ES256 PS256 Ed25519 EdDSA"
    assert again.headers["www-authenticate"] == f'DPoP error="invalid_dpop_proof", algs="{algorithms}"'
    assert await setup.recorded("token.refused") == 1


@pytest.mark.parametrize(("method", "path"), READS)
async def test_a_token_that_is_bound_to_a_key_reads_with_a_proof_of_that_key_only(
    setup: Setup, method: str, path: str
) -> None:
    holder, thief = setup.holder, setup.holder
    token = await setup.dpop_token(holder)
    other = await setup.dpop_token(holder)

    async def read(headers: dict[str, str]) -> httpx.Response:
        return await setup.http.request(method, path, headers=headers)

    stolen = await read({"Authorization": f"Bearer {token}"})
    assert challenge(stolen) == (401, "invalid_token", "Bearer")
    with_own_key = await read(thief.headers(method, path, token))
    assert challenge(with_own_key) == (401, "invalid_token", "Bearer")
    assert with_own_key.text == stolen.text
    with_proof = {"Authorization": f"Bearer {token}", "DPoP": holder.proof(method, path, token)}
    assert (await read(with_proof)).status_code == 401
    now = int(holder.now.timestamp())
    for headers in (
        {"Authorization": f"DPoP {token}"},
        {"Authorization": f"DPoP {token}", "DPoP": "a.b.c"},
        holder.headers("PUT", path, token),
        holder.headers(method, "/users", token),
        {"Authorization": f"DPoP {token}", "DPoP": holder.proof(method, path, other)},
        {"Authorization": f"DPoP {token}", "DPoP": holder.proof(method, path)},
        holder.headers(method, path, token, iat=now - 120),
        holder.headers(method, path, token, iat=now + 120),
    ):
        assert challenge(await read(headers)) == (401, "invalid_dpop_proof", "DPoP")
    used = holder.headers(method, path, token)
    assert (await read(used)).status_code == 200
    assert challenge(await read(used)) == (401, "invalid_dpop_proof", "DPoP")
    assert (await read(holder.headers(method, f"{path}", token))).status_code == 200
    # Stolen, with another key, as a bearer token with a proof, and with a proof that was used before.
    assert await setup.recorded("token.refused") == 4


async def test_the_query_of_the_address_is_no_part_of_the_proof(setup: Setup) -> None:
    holder = setup.holder
    token = await setup.dpop_token(holder)
    path = "/account/transactions"
    headers = holder.headers("GET", path, token)
    assert (await setup.http.get(f"{path}?page=1", headers=headers)).status_code == 200
    # The token is checked first, and then the filter: one request, one use of its proof.
    headers = holder.headers("GET", path, token)
    assert (await setup.http.get(f"{path}?from_date=x", headers=headers)).status_code == 400


async def test_one_of_32_reads_with_one_proof_is_answered(setup: Setup) -> None:
    holder = setup.holder
    token = await setup.dpop_token(holder)
    headers = holder.headers("GET", "/payment_account", token)
    answers = await asyncio.gather(*(setup.http.get("/payment_account", headers=headers) for _ in range(32)))
    assert Counter(answer.status_code for answer in answers) == {200: 1, 401: 31}


async def test_two_dpop_headers_or_two_authorizations_are_refused(setup: Setup) -> None:
    holder = setup.holder
    token = await setup.dpop_token(holder)
    path = "/payment_account"
    proofs = [("DPoP", holder.proof("GET", path, token)) for _ in range(2)]
    twice = await setup.http.get(path, headers=[("Authorization", f"DPoP {token}"), *proofs])
    assert twice.status_code == 401
    both = [("Authorization", f"DPoP {token}"), ("Authorization", f"Bearer {token}"), proofs[0]]
    assert (await setup.http.get(path, headers=both)).status_code == 400


async def test_a_bearer_token_is_refused_with_the_dpop_scheme(setup: Setup) -> None:
    token = await make_token(setup.services, setup.account, setup.processor)
    refused = await setup.http.get(
        "/payment_account", headers=setup.holder.headers("GET", "/payment_account", token)
    )
    assert challenge(refused) == (401, "invalid_token", "Bearer")
    bearer = {"Authorization": f"Bearer {token}"}
    assert (await setup.http.get("/payment_account", headers=bearer)).status_code == 200


async def test_a_proof_for_another_request_buys_no_token_and_the_code_stays(setup: Setup) -> None:
    holder, now = setup.holder, int(setup.services.clock.now().timestamp())
    code = await make_code(setup.services, setup.account)
    form = {"grant_type": "authorization_code", "code": code}
    used = holder.proof("POST", URL)
    await setup.exchange({"DPoP": used})
    for proof in (
        "x",
        used,
        holder.proof("GET", URL),
        holder.proof("POST", "/token"),
        holder.proof("POST", URL, iat=now - 120),
        holder.proof("POST", URL, jti=None),
    ):
        refused = await setup.http.post(URL, data=form, headers={"DPoP": proof}, auth=setup.processor.auth)
        assert (refused.status_code, refused.json()["error"]) == (400, "invalid_dpop_proof")
        assert code not in refused.text
    assert await setup.reasons("processor.authentication_refused") == ["The DPoP proof was used before."]
    proofs = [("DPoP", holder.proof("POST", URL)) for _ in range(2)]
    twice = await setup.http.post(URL, data=form, headers=proofs, auth=setup.processor.auth)
    assert twice.json()["error"] == "invalid_dpop_proof"
    headers = {"DPoP": holder.proof("POST", URL)}
    assert (
        await setup.http.post(URL, data=form, headers=headers, auth=setup.processor.auth)
    ).status_code == 200


async def test_a_processor_whose_tokens_must_be_bound_gets_no_bearer_token_and_its_old_ones_end(
    setup: Setup,
) -> None:
    bearer = await make_token(setup.services, setup.account, setup.processor)
    await setup.constrain(SenderConstraint.DPOP)
    headers = {"Authorization": f"Bearer {bearer}"}
    assert (await setup.http.get("/payment_account", headers=headers)).status_code == 401
    assert (await setup.introspected(bearer)) == {"active": False}
    refused = await setup.exchange({})
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_dpop_proof")
    code = await make_code(setup.services, setup.account)
    query = {"grant_type": "authorization_code", "code": code}
    at_mx = await setup.http.post("/token", params=query, auth=setup.processor.auth)
    assert (at_mx.status_code, at_mx.json()["error"]["type"]) == (400, "invalid_request")
    assert "/oauth/token" in at_mx.json()["error"]["message"]
    proof = {"DPoP": setup.holder.proof("POST", URL)}
    bound = await setup.http.post(URL, data=query, headers=proof, auth=setup.processor.auth)
    assert bound.json()["token_type"] == "DPoP", "the refusal left the code unredeemed"
    token = await setup.dpop_token(setup.holder)
    await setup.constrain(SenderConstraint.NONE)
    assert (await setup.http.get("/payment_account", headers=headers)).status_code == 200
    stolen = {"Authorization": f"Bearer {token}"}
    assert (await setup.http.get("/payment_account", headers=stolen)).status_code == 401


async def test_a_retry_with_the_same_idempotency_key_needs_the_same_key(setup: Setup) -> None:
    holder, thief = setup.holder, setup.holder
    code = await make_code(setup.services, setup.account)
    form = {"grant_type": "authorization_code", "code": code}

    async def exchange(by: Holder) -> httpx.Response:
        headers = {"DPoP": by.proof("POST", URL), "Idempotency-Key": "one"}
        return await setup.http.post(URL, data=form, headers=headers, auth=setup.processor.auth)

    first = await exchange(holder)
    assert (await exchange(thief)).json()["error"] == "invalid_grant"
    assert (await exchange(holder)).json()["access_token"] == first.json()["access_token"]


async def test_introspection_shows_what_a_token_is_bound_to(setup: Setup) -> None:
    holder, certificate = setup.holder, make_certificate()
    shown = await setup.introspected(await setup.dpop_token(holder))
    assert (shown["token_type"], shown["cnf"]) == ("DPoP", {"jkt": holder.key.thumbprint()})
    await setup.constrain(SenderConstraint.MTLS)
    shown = await setup.introspected(await setup.mtls_token(certificate))
    assert shown["token_type"] == "Bearer"
    assert list(shown["cnf"]) == ["x5t#S256"]


async def test_with_the_setting_a_proof_needs_a_nonce_of_this_server(
    setup: Setup, settings: Settings, clock: MovableClock
) -> None:
    async with build(replace(settings, dpop_nonces=True), clock) as services, behind_proxy(services) as http:
        setup = replace(setup, services=services, http=http)
        holder = setup.holder
        refused = await setup.exchange({"DPoP": holder.proof("POST", URL)})
        assert (refused.status_code, refused.json()["error"]) == (400, "use_dpop_nonce")
        nonce = refused.headers["dpop-nonce"]
        accepted = await setup.exchange({"DPoP": holder.proof("POST", URL, nonce=nonce)})
        token = accepted.json()["access_token"]
        path = "/payment_account"
        for guess in ("\ud800", "guess"):
            refused = await http.get(path, headers=holder.headers("GET", path, token, nonce=guess))
            assert challenge(refused) == (401, "use_dpop_nonce", "DPoP")
        assert refused.headers["dpop-nonce"] == nonce
        headers = holder.headers("GET", path, token, nonce=nonce)
        assert (await http.get(path, headers=headers)).status_code == 200
        clock.advance(timedelta(minutes=10))
        stale = Holder(clock.now(), key=holder.key).headers("GET", path, token, nonce=nonce)
        assert challenge(await http.get(path, headers=stale)) == (401, "use_dpop_nonce", "DPoP")


# --- mTLS ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("method", "path"), READS)
async def test_a_token_that_is_bound_to_a_certificate_reads_with_that_certificate_only(
    setup: Setup, method: str, path: str
) -> None:
    await setup.constrain(SenderConstraint.MTLS)
    certificate, other = make_certificate(), make_certificate()
    token = await setup.mtls_token(certificate)
    bearer = {"Authorization": f"Bearer {token}"}
    refusals: list[dict[str, str]] = [
        {},
        {"Client-Cert": other.header},
        {"Client-Cert": "x"},
        {"Client-Cert": ":!!:"},
        {"Client-Cert": ":AAAA:"},
        {"X-Client-Cert": certificate.header},
    ]
    for headers in refusals:
        refused = await setup.http.request(method, path, headers=bearer | headers)
        assert challenge(refused) == (401, "invalid_token", "Bearer")
    twice = [("Client-Cert", certificate.header)] * 2
    assert (await setup.http.request(method, path, headers=[*bearer.items(), *twice])).status_code == 401
    accepted = await setup.http.request(method, path, headers=bearer | {"Client-Cert": certificate.header})
    assert accepted.status_code == 200


async def test_a_certificate_is_believed_only_if_a_trusted_proxy_sends_it(setup: Setup) -> None:
    await setup.constrain(SenderConstraint.MTLS)
    certificate = make_certificate()
    token = await setup.mtls_token(certificate)
    headers = {"Authorization": f"Bearer {token}", "Client-Cert": certificate.header}
    for trusted, status in (("", 401), ("10.0.0.0/8, 192.0.2.1", 401), ("127.0.0.0/8", 200), ("*", 200)):
        async with behind_proxy(setup.services, trusted=trusted) as http:
            for forwarded in ({}, {"X-Forwarded-For": "203.0.113.9"}, {"X-Forwarded-For": "10.0.0.1"}):
                answer = await http.get("/payment_account", headers=headers | forwarded)
                assert answer.status_code == status, (trusted, forwarded)
    async with behind_proxy(setup.services, reads_certificates=False) as http:
        assert (await http.get("/payment_account", headers=headers)).status_code == 401
    without_middleware = httpx.AsyncClient(
        transport=ASGITransport(create_app(setup.services)), base_url=setup.services.settings.base_url
    )
    async with without_middleware as http:
        assert (await http.get("/payment_account", headers=headers)).status_code == 401


async def test_the_percent_encoded_form_of_nginx_is_read_too(setup: Setup) -> None:
    await setup.constrain(SenderConstraint.MTLS)
    certificate = make_certificate()
    token = await setup.mtls_token(certificate)
    encoded = certificate.pem.decode().replace(" ", "%20").replace("\n", "%0A")
    headers = {"Authorization": f"Bearer {token}", "Client-Cert": encoded}
    assert (await setup.http.get("/payment_account", headers=headers)).status_code == 200


async def test_without_a_certificate_a_processor_whose_tokens_must_be_bound_to_one_gets_none(
    setup: Setup,
) -> None:
    await setup.constrain(SenderConstraint.MTLS)
    refused = await setup.exchange({})
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_request")


async def test_a_registered_certificate_authenticates_a_processor(setup: Setup, clock: MovableClock) -> None:
    registered, stranger = make_certificate(), make_certificate()
    old = make_certificate(start=datetime.now(UTC) - timedelta(days=9), lifetime=timedelta(days=8))
    guid, settings = setup.processor.guid, setup.services.processors.security
    async with setup.services.db.transaction() as connection:
        await settings.set_certificates(connection, guid, registered.pem + old.pem, actor="operator")
        await settings.set_client_authentication(
            connection, guid, ClientAuthentication.TLS_CERTIFICATE, actor="operator"
        )
    accepted = await setup.exchange({"Client-Cert": registered.header}, client_id=guid)
    assert accepted.status_code == 200
    other = await make_processor(setup.services)
    for headers, named in (
        ({}, guid),
        ({"Client-Cert": stranger.header}, guid),
        ({"Client-Cert": old.header}, guid),
        ({"Client-Cert": registered.header}, other.guid),
    ):
        refused = await setup.exchange(headers, client_id=named)
        assert (refused.status_code, refused.json()["error"]) == (401, "invalid_client")
    with_key = await setup.exchange({"Client-Cert": registered.header})
    assert (with_key.status_code, with_key.json()["error"]) == (401, "invalid_client")
    clock.advance(timedelta(days=400))
    expired = await setup.exchange({"Client-Cert": registered.header}, client_id=guid)
    assert expired.status_code == 401


@pytest.mark.parametrize("text", ["nginx", "10.0.0.0/33", "*, 10.0.0.1"])
def test_a_trusted_proxy_that_is_no_address_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"10\.0\.0\.5"):
        parse_networks(text)
