"""DPoP proofs: every check of RFC 9449 4.3, by proofs that fail it alone."""

from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.jwk import ECKey, Key, OctKey, OKPKey, RSAKey

from coatcheck.crypto import base64url_sha256
from coatcheck.grants.dpop import verify_proof
from coatcheck.grants.jwt_verification import InvalidJwt
from tests.dpop import AsciiJson

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
URL = "https://coatcheck.example/account/account_numbers"
TOKEN = "cct_token"
EC = ECKey.generate_key("P-256")
RSA = RSAKey.generate_key(2048)
ED = OKPKey.generate_key("Ed25519")


def proof(key: Key = EC, *, alg: str = "ES256", header: dict[str, Any] | None = None, **claims: Any) -> str:
    """A correct proof, but for what is given; None leaves a claim or a parameter of the header out."""
    given_header = {"typ": "dpop+jwt", "alg": alg, "jwk": key.as_dict(private=False), **(header or {})}
    given_claims = {
        "jti": "one",
        "htm": "GET",
        "htu": URL,
        "iat": int(NOW.timestamp()),
        "ath": base64url_sha256(TOKEN.encode()),
    } | claims
    return jwt.encode(
        {name: value for name, value in given_header.items() if value is not None},
        {name: value for name, value in given_claims.items() if value is not None},
        key,
        algorithms=[alg],
        encoder_cls=AsciiJson,
    )


def verify(text: str, *, url: str = URL, access_token: str | None = TOKEN) -> str:
    return verify_proof(text, method="GET", url=url, now=NOW, access_token=access_token).key_thumbprint


@pytest.mark.parametrize(
    ("key", "alg"), [(EC, "ES256"), (RSA, "PS256"), (ED, "Ed25519")], ids=["ES256", "PS256", "Ed25519"]
)
def test_a_proof_of_each_permitted_signature_gives_the_thumbprint_of_its_key(key: Key, alg: str) -> None:
    assert verify(proof(key, alg=alg)) == key.thumbprint()


def test_the_older_name_of_the_ed25519_signature_is_accepted_for_that_curve_alone() -> None:
    with pytest.warns(match="deprecated"):
        named_eddsa = proof(ED, alg="EdDSA")
    with pytest.warns(match="deprecated"):
        other_curve = proof(OKPKey.generate_key("Ed448"), alg="EdDSA")
    assert verify(named_eddsa) == ED.thumbprint()
    with pytest.raises(InvalidJwt):
        verify(other_curve)


def test_the_id_of_a_proof_has_up_to_255_characters() -> None:
    assert verify(proof(jti="a" * 255)) == EC.thumbprint()


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"header": {"typ": "JWT"}}, "typ is not dpop+jwt"),
        ({"header": {"typ": None}}, "typ is not dpop+jwt"),
        ({"header": {"jwk": None}}, "the key is not P-256, Ed25519 or RSA"),
        ({"header": {"jwk": ED.as_dict(private=False)}}, "InvalidKeyTypeError"),
        ({"header": {"jwk": EC.as_dict(private=True)}}, "the key is private"),
        (
            {"header": {"jwk": {"kty": "oct", "k": "c2VjcmV0LXNlY3JldA"}}},
            "the key is not P-256, Ed25519 or RSA",
        ),
        (
            {"header": {"jwk": {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}}},
            "the key cannot be read: ValueError",
        ),
        ({"key": RSA, "alg": "RS256"}, "UnsupportedAlgorithmError"),
        ({"key": ECKey.generate_key("P-384"), "alg": "ES384"}, "UnsupportedAlgorithmError"),
        (
            {"header": {"jwk": {"kty": "RSA", "n": "A" * 300, "e": "AQAB"}}},
            "the RSA key has not 2048 to 4096 bits",
        ),
        (
            {"header": {"jwk": {"kty": "RSA", "n": "A" * 700, "e": "AQAB"}}},
            "the RSA key has not 2048 to 4096 bits",
        ),
        (
            {"header": {"jwk": RSA.as_dict(private=False) | {"e": RSA.as_dict(private=False)["n"]}}},
            "the exponent of the RSA key has more than 64 bits",
        ),
        ({"header": {"jwk": {"kty": [], "crv": {}}}}, "the key is not P-256, Ed25519 or RSA"),
        ({"jti": None}, "jti is not text of 1 to 255 characters"),
        ({"jti": ""}, "jti is not text of 1 to 255 characters"),
        ({"jti": 7}, "jti is not text of 1 to 255 characters"),
        ({"jti": "a" * 256}, "jti is not text of 1 to 255 characters"),
        ({"jti": "a\0"}, "jti is not text of 1 to 255 characters"),
        ({"jti": "\ud800"}, "jti is not text of 1 to 255 characters"),
        ({"htm": "POST"}, "htm is not the method of the request"),
        ({"htm": "get"}, "htm is not the method of the request"),
        ({"htm": None}, "htm is not the method of the request"),
        ({"htu": "https://other.example/account/account_numbers"}, "htu is not the address of the request"),
        (
            {"htu": "http://coatcheck.example/account/account_numbers"},
            "htu is not the address of the request",
        ),
        (
            {"htu": "https://coatcheck.example:444/account/account_numbers"},
            "htu is not the address of the request",
        ),
        ({"htu": "https://coatcheck.example/account/transactions"}, "htu is not the address of the request"),
        ({"htu": "https://coatcheck.example:x/"}, "htu is not a URL"),
        ({"htu": None}, "htu is not text of 1 to 255 characters"),
        ({"htu": 1}, "htu is not text of 1 to 255 characters"),
        ({"iat": int(NOW.timestamp()) - 61}, "iat is too old or in the future"),
        ({"iat": int(NOW.timestamp()) + 61}, "iat is too old or in the future"),
        ({"iat": 10**400}, "iat is too large"),
        ({"iat": "now"}, "iat is not a number"),
        ({"iat": True}, "iat is not a number"),
        ({"iat": None}, "iat is not a number"),
        ({"exp": int(NOW.timestamp()) - 10}, "exp is in the past"),
        ({"exp": None, "nbf": int(NOW.timestamp()) + 61}, "nbf is in the future"),
        ({"exp": "never"}, "exp is not a number"),
        ({"ath": None}, "ath is not the hash of the token"),
        ({"ath": base64url_sha256(b"cct_other")}, "ath is not the hash of the token"),
        ({"ath": 1}, "ath is not the hash of the token"),
    ],
    ids=lambda given: ",".join(given) if isinstance(given, dict) else given,
)
def test_a_proof_that_fails_one_check_is_refused_with_its_reason(
    changed: dict[str, Any], reason: str
) -> None:
    with pytest.raises(InvalidJwt) as refused:
        verify(proof(**changed))
    assert str(refused.value) == reason


@pytest.mark.parametrize("seconds", [-60, 0, 10, 60])
def test_a_proof_is_accepted_within_a_minute_of_the_servers_clock(seconds: int) -> None:
    assert verify(proof(iat=int(NOW.timestamp()) + seconds)) == EC.thumbprint()


def test_a_proof_may_say_how_long_it_is_valid() -> None:
    assert verify(proof(exp=int(NOW.timestamp()) - 9, nbf=int(NOW.timestamp()) + 60)) == EC.thumbprint()


@pytest.mark.parametrize(
    "htu", [f"{URL}?page=2#top", "HTTPS://COATCHECK.EXAMPLE:443/account/account_numbers"], ids=str
)
def test_the_query_and_the_spelling_of_the_host_do_not_matter(htu: str) -> None:
    assert verify(proof(htu=htu)) == EC.thumbprint()


def test_an_address_without_a_path_is_that_of_the_root() -> None:
    bare = "https://coatcheck.example"
    assert verify(proof(htu=bare), url=f"{bare}/") == EC.thumbprint()
    assert verify(proof(htu=f"{bare}/"), url=bare) == EC.thumbprint()


def test_at_the_token_endpoint_a_proof_needs_no_hash_of_a_token() -> None:
    assert verify(proof(ath=None), access_token=None) == EC.thumbprint()


def test_an_unsigned_or_symmetric_or_altered_proof_is_refused() -> None:
    secret = OctKey.generate_key(256)
    symmetric = jwt.encode({"typ": "dpop+jwt", "alg": "HS256"}, {"jti": "one"}, secret)
    header, claims, signature = proof().split(".")
    none = "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6Im5vbmUifQ"
    for text in (symmetric, f"{none}.{claims}.", f"{header}.{claims}.{signature[:-4]}AAAA", f"{proof()}.x"):
        with pytest.raises(InvalidJwt):
            verify(text)


def test_claims_nested_too_deeply_are_refused() -> None:
    with pytest.raises(InvalidJwt):
        verify(proof(deep=nested(400)) + "A" * 9000)
    text = jwt.encode({"alg": "ES256", "typ": "dpop+jwt", "jwk": EC.as_dict(private=False)}, {}, EC)
    with pytest.raises(InvalidJwt):
        verify(text.replace(".", "." + "W1tb" * 1800, 1))


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


@given(st.text(max_size=60) | st.lists(st.from_regex(r"[A-Za-z0-9_-]{0,20}"), max_size=4).map(".".join))
def test_any_text_is_refused_and_never_fails_otherwise(text: str) -> None:
    with suppress(InvalidJwt):
        verify(text)
        raise AssertionError("accepted")
