"""How the operator sets the authentication of a processor and what its tokens are bound to, with every refusal."""

import asyncio
import json
from base64 import b64encode, urlsafe_b64encode
from typing import Any

import pytest
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey

from coatcheck.app import Services
from coatcheck.errors import ConstraintNotMet, InvalidRequest, NotFound
from coatcheck.model.processor_security import (
    ClientAuthentication,
    ProcessorSecurity,
    Profile,
    SenderConstraint,
    find_processor_security,
)
from tests.certificates import make_certificate
from tests.factories import Keyed
from tests.waiting_statements import until_waiting

EC = ECKey.generate_key("P-256", parameters={"kid": "one"})


def jwks(*keys: dict[str, Any]) -> str:
    return json.dumps({"keys": keys or [EC.as_dict(private=False)]})


async def change(services: Services, processor: Keyed, verb: str, value: Any) -> ProcessorSecurity:
    settings = services.processors.security
    async with services.db.transaction() as connection:
        change_ = getattr(settings, f"set_{verb}")
        changed: ProcessorSecurity = await change_(connection, processor.guid, value, actor="operator")
        return changed


async def test_a_new_processor_uses_its_api_key_and_bearer_tokens(
    services: Services, processor: Keyed
) -> None:
    async with services.db.connection() as connection:
        security = await find_processor_security(connection, processor.guid)
    assert security == ProcessorSecurity(
        processor.guid,
        ClientAuthentication.CLIENT_SECRET,
        SenderConstraint.NONE,
        Profile.DEFAULT,
        None,
        [],
    )


async def test_keys_and_certificates_are_registered_before_the_method_that_uses_them(
    services: Services, processor: Keyed
) -> None:
    with pytest.raises(ConstraintNotMet, match="set-jwks"):
        await change(services, processor, "client_authentication", ClientAuthentication.PRIVATE_KEY_JWT)
    with pytest.raises(ConstraintNotMet, match="set-certificates"):
        await change(services, processor, "client_authentication", ClientAuthentication.TLS_CERTIFICATE)
    await change(services, processor, "jwks", jwks())
    certificate = make_certificate()
    security = await change(services, processor, "certificates", certificate.pem)
    thumbprint = urlsafe_b64encode(certificate.thumbprint_bytes).decode().rstrip("=")
    assert security.certificate_thumbprints == [thumbprint]
    for method in ClientAuthentication:
        security = await change(services, processor, "client_authentication", method)
        assert security.client_authentication == method


async def test_the_profile_fapi2_needs_a_key_and_bound_tokens_and_keeps_them(
    services: Services, processor: Keyed
) -> None:
    with pytest.raises(ConstraintNotMet, match="no shared secret"):
        await change(services, processor, "profile", Profile.FAPI2)
    await change(services, processor, "jwks", jwks())
    await change(services, processor, "client_authentication", ClientAuthentication.PRIVATE_KEY_JWT)
    with pytest.raises(ConstraintNotMet, match="bound tokens"):
        await change(services, processor, "profile", Profile.FAPI2)
    await change(services, processor, "sender_constraint", SenderConstraint.DPOP)
    assert (await change(services, processor, "profile", Profile.FAPI2)).is_fapi2
    with pytest.raises(ConstraintNotMet):
        await change(services, processor, "client_authentication", ClientAuthentication.CLIENT_SECRET)
    with pytest.raises(ConstraintNotMet):
        await change(services, processor, "sender_constraint", SenderConstraint.NONE)
    assert (await change(services, processor, "sender_constraint", SenderConstraint.MTLS)).is_fapi2
    assert not (await change(services, processor, "profile", Profile.DEFAULT)).is_fapi2


async def test_of_two_changes_at_once_that_contradict_each_other_one_is_refused(
    services: Services, processor: Keyed
) -> None:
    await change(services, processor, "jwks", jwks())
    await change(services, processor, "client_authentication", ClientAuthentication.PRIVATE_KEY_JWT)
    await change(services, processor, "sender_constraint", SenderConstraint.DPOP)
    async with services.db.transaction() as connection:
        await find_processor_security(connection, processor.guid, lock=True)
        changes = [
            asyncio.create_task(change(services, processor, "profile", Profile.FAPI2)),
            asyncio.create_task(
                change(services, processor, "client_authentication", ClientAuthentication.CLIENT_SECRET)
            ),
        ]
        await until_waiting(services, 2)
    results = await asyncio.gather(*changes, return_exceptions=True)
    assert {type(result) for result in results} == {ConstraintNotMet, ProcessorSecurity}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"keys": {}}',
        '{"keys": []}',
        '{"keys": [1]}',
        "[" * 5000,
        jwks(EC.as_dict(private=True)),
        jwks(OctKey.generate_key(256).as_dict()),
        jwks(ECKey.generate_key("P-384").as_dict(private=False)),
        jwks(OKPKey.generate_key("X25519").as_dict(private=False)),
        jwks({"kty": "RSA", "n": "A" * 300, "e": "AQAB"}),
        jwks(EC.as_dict(private=False), EC.as_dict(private=False)),
        jwks(EC.as_dict(private=False), RSAKey.generate_key(2048).as_dict(private=False)),
        jwks(*({**EC.as_dict(private=False), "kid": str(number)} for number in range(21))),
        " " * 70_000,
        jwks({"kty": []}),
        jwks({"kty": "RSA", "crv": {}}),
        jwks({**EC.as_dict(private=False), "kid": []}),
        jwks(*({**EC.as_dict(private=False), "kid": [number]} for number in range(2))),
    ],
    ids=range(20),
)
async def test_a_jwk_set_that_cannot_be_used_is_refused_and_the_keys_stay(
    services: Services, processor: Keyed, text: str
) -> None:
    stored = await change(services, processor, "jwks", jwks())
    with pytest.raises(InvalidRequest):
        await change(services, processor, "jwks", text)
    async with services.db.connection() as connection:
        assert await find_processor_security(connection, processor.guid) == stored


def of_unknown_version() -> bytes:
    """A certificate whose version is 6."""
    der = make_certificate().der.replace(b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x05", 1)
    return b"-----BEGIN CERTIFICATE-----\n" + b64encode(der) + b"\n-----END CERTIFICATE-----\n"


@pytest.mark.parametrize("pem", [b"", b"x", make_certificate().der, of_unknown_version()], ids=range(4))
async def test_a_file_without_certificates_is_refused(
    services: Services, processor: Keyed, pem: bytes
) -> None:
    with pytest.raises(InvalidRequest):
        await change(services, processor, "certificates", pem)


async def test_of_a_key_only_what_its_verification_needs_is_stored(
    services: Services, processor: Keyed
) -> None:
    public = EC.as_dict(private=False)
    security = await change(
        services, processor, "jwks", jwks({**public, "x5u": "https://x.test", "note": "n"})
    )
    assert json.loads(security.jwks or "") == {"keys": [public]}


async def test_each_change_is_audited_with_the_thumbprints_of_keys_and_an_unknown_processor_is_not_found(
    services: Services, processor: Keyed
) -> None:
    await change(services, processor, "jwks", jwks())
    await change(services, processor, "sender_constraint", SenderConstraint.DPOP)
    async with services.db.connection() as connection:
        cursor = await connection.execute(
            """SELECT body::jsonb -> 'detail' FROM audit_entry
               WHERE body::jsonb ->> 'subject' = %s AND body::jsonb ->> 'action' = 'processor.security_changed'
               ORDER BY guid""",
            (processor.guid,),
        )
        details = [detail for (detail,) in await cursor.fetchall()]
    assert details == [{"jwks": EC.thumbprint()}, {"sender_constraint": "dpop"}]
    with pytest.raises(NotFound):
        await change(services, Keyed("PPR-unknown", ""), "profile", Profile.DEFAULT)
