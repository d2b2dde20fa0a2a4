"""How a processor authenticates at the OAuth endpoints: by one method, with an assertion once."""

import json
from datetime import timedelta
from uuid import uuid4

import pytest
from joserfc import jwt
from joserfc.jwk import Key, RSAKey

from coatcheck.app import Services
from coatcheck.clock import MovableClock
from coatcheck.errors import InvalidClient
from coatcheck.grants.client_certificates import read_certificate
from coatcheck.grants.processor_authentication import PresentedAssertion, PresentedCertificate, PresentedKey
from coatcheck.grants.refusals import MAX_PER_PERIOD
from coatcheck.grants.secrets import day_of
from coatcheck.model.processor_authentication import ClientAuthentication, Profile, SenderConstraint
from tests.certificates import make_certificate
from tests.dpop import assertion, new_key
from tests.factories import Keyed, make_processor
from tests.sealed_log import entries

URL = "http://coatcheck.test/oauth/token"


async def use_assertions(services: Services, processor: Keyed, key: Key) -> None:
    security = services.processors.security
    async with services.db.transaction() as connection:
        jwks = json.dumps({"keys": [key.as_dict(private=False)]})
        await security.set_jwks(connection, processor.guid, jwks, actor="operator")
        await security.set_client_authentication(
            connection, processor.guid, ClientAuthentication.PRIVATE_KEY_JWT, actor="operator"
        )


async def reason_of_refusal(
    services: Services, presented: PresentedKey | PresentedAssertion | PresentedCertificate
) -> str | None:
    """Why the processor is refused, which the log has; None if it is authenticated."""
    async with services.db.connection() as connection:
        try:
            found = await services.oauth_server.authentication.authenticate(
                connection, presented, endpoint=URL
            )
        except InvalidClient as refusal:
            return str(refusal.detail)
    assert found.guid == presented.processor_guid
    return None


async def signed(services: Services, processor: Keyed, text: str) -> str | None:
    return await reason_of_refusal(services, PresentedAssertion(processor.guid, text))


@pytest.mark.own_database
async def test_an_assertion_authenticates_once_and_its_second_use_is_recorded(
    services: Services, clock: MovableClock, processor: Keyed
) -> None:
    key = new_key()
    await use_assertions(services, processor, key)
    text = assertion(key, processor.guid, clock.now())["client_assertion"]
    assert await signed(services, processor, text) is None
    assert await signed(services, processor, text) == "The client assertion was used before."
    (refused,) = [
        entry for entry in await entries(services) if entry["action"] == "processor.authentication_refused"
    ]
    assert (refused["client_guid"], refused["actor"], refused["subject"], refused["detail"]) == (
        None,
        processor.guid,
        processor.guid,
        {"reason": "The client assertion was used before."},
    )


async def test_two_processors_may_choose_the_same_id_for_an_assertion(
    services: Services, clock: MovableClock, client: Keyed, processor: Keyed
) -> None:
    other, jti = await make_processor(services, client), str(uuid4())
    for each in (processor, other):
        key = new_key()
        await use_assertions(services, each, key)
        text = assertion(key, each.guid, clock.now(), jti=jti)["client_assertion"]
        assert await signed(services, each, text) is None


@pytest.mark.own_database
async def test_the_id_of_an_assertion_is_kept_as_long_as_the_assertion_is_accepted(
    services: Services, clock: MovableClock, processor: Keyed
) -> None:
    key = new_key()
    await use_assertions(services, processor, key)
    midnight = clock.now().replace(hour=0, minute=0, second=0) + timedelta(days=1)
    before = int(midnight.timestamp()) - 5  # it is accepted until five seconds after midnight
    clock.advance(midnight - timedelta(minutes=1) - clock.now())
    text = assertion(key, processor.guid, clock.now(), exp=before)["client_assertion"]
    assert await signed(services, processor, text) is None
    async with services.db.connection() as connection:
        cursor = await connection.execute("SELECT expires_day FROM used_jti")
        assert await cursor.fetchall() == [(day_of(midnight),)]


async def test_the_profile_fapi2_permits_no_pkcs_1_signature(
    services: Services, clock: MovableClock, processor: Keyed
) -> None:
    key = RSAKey.generate_key(2048, parameters={"kid": "one"})
    await use_assertions(services, processor, key)

    def text(alg: str) -> str:
        claims = {
            "iss": processor.guid,
            "sub": processor.guid,
            "aud": "http://coatcheck.test",
            "jti": str(uuid4()),
            "exp": int(clock.now().timestamp()) + 60,
        }
        return jwt.encode({"alg": alg, "kid": "one"}, claims, key, algorithms=[alg])

    assert await signed(services, processor, text("RS256")) is None
    security = services.processors.security
    async with services.db.transaction() as connection:
        await security.set_sender_constraint(
            connection, processor.guid, SenderConstraint.DPOP, actor="operator"
        )
        await security.set_profile(connection, processor.guid, Profile.FAPI2, actor="operator")
    refused = await signed(services, processor, text("RS256"))
    assert refused is not None
    assert refused.startswith("The client assertion is refused: ")
    assert await signed(services, processor, text("PS256")) is None


async def test_another_method_than_the_processors_is_refused_and_both_are_named(
    services: Services, processor: Keyed
) -> None:
    certificate = read_certificate(make_certificate().pem.decode())
    assert certificate is not None
    assert await reason_of_refusal(services, PresentedKey(*processor.auth)) is None
    assert await reason_of_refusal(services, PresentedCertificate(processor.guid, certificate)) == (
        "The processor authenticates with client_secret, not self_signed_tls_client_auth."
    )
    await use_assertions(services, processor, new_key())
    assert await reason_of_refusal(services, PresentedKey(*processor.auth)) == (
        "The processor authenticates with private_key_jwt, not client_secret."
    )


async def test_a_certificate_must_be_registered_and_valid(
    services: Services, clock: MovableClock, processor: Keyed
) -> None:
    now = clock.now()
    registered = make_certificate(start=now - timedelta(days=1), lifetime=timedelta(days=2))
    other = make_certificate(start=now - timedelta(days=1))
    security = services.processors.security
    async with services.db.transaction() as connection:
        await security.set_certificates(connection, processor.guid, registered.pem, actor="operator")
        method = ClientAuthentication.TLS_CERTIFICATE
        await security.set_client_authentication(connection, processor.guid, method, actor="operator")

    async def reason(pem: bytes) -> str | None:
        certificate = read_certificate(pem.decode())
        assert certificate is not None
        return await reason_of_refusal(services, PresentedCertificate(processor.guid, certificate))

    assert await reason(registered.pem) is None
    assert await reason(other.pem) == "The certificate is not registered."
    clock.advance(timedelta(days=3))
    assert await reason(registered.pem) == "The certificate has expired or is not valid yet."


async def test_a_processor_that_does_not_exist_is_refused_and_not_recorded(services: Services) -> None:
    assert await reason_of_refusal(services, PresentedKey("PPR-unknown", "x")) == (
        "There is no such processor, or it is not accepted from this network."
    )


@pytest.mark.own_database
async def test_of_a_processors_refused_authentications_60_a_minute_are_recorded(
    services: Services, client: Keyed, processor: Keyed
) -> None:
    other = await make_processor(services, client)
    for _ in range(MAX_PER_PERIOD + 2):
        assert await reason_of_refusal(services, PresentedKey(processor.guid, other.api_key)) == (
            "The API key is wrong or has expired."
        )
    await reason_of_refusal(services, PresentedKey(other.guid, processor.api_key))
    actors = [
        entry["actor"]
        for entry in await entries(services)
        if entry["action"] == "processor.authentication_refused"
    ]
    assert actors == [processor.guid] * MAX_PER_PERIOD + [other.guid]
