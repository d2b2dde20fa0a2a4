"""Client assertions: every check of RFC 7523 3, by assertions that fail it alone."""

from base64 import urlsafe_b64encode
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.jwk import ECKey, Key, KeySet, OctKey, RSAKey

from coatcheck.grants.client_assertions import (
    AssertionRules,
    ClientAssertion,
    claimed_issuer,
    verify_assertion,
)
from coatcheck.grants.jwt_verification import ALGORITHMS, ASSERTION_ALGORITHMS, MAX_CHARACTERS, InvalidJwt
from tests.dpop import AsciiJson

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
SECONDS = int(NOW.timestamp())
ISSUER = "https://coatcheck.example"
AUDIENCES = (ISSUER, f"{ISSUER}/oauth/token")
GUID = "PPR-one"
EC = ECKey.generate_key("P-256", parameters={"kid": "ec"})
RSA = RSAKey.generate_key(2048, parameters={"kid": "rsa"})
KEYS = KeySet([ECKey.import_key(EC.as_dict(private=False)), RSAKey.import_key(RSA.as_dict(private=False))])


def assertion(key: Key = EC, *, alg: str = "ES256", kid: str | None = "ec", **claims: Any) -> str:
    """A correct assertion, but for what is given; None leaves a claim out."""
    given_claims = {"iss": GUID, "sub": GUID, "aud": ISSUER, "jti": "one", "exp": SECONDS + 60} | claims
    return jwt.encode(
        {"alg": alg} | ({"kid": kid} if kid else {}),
        {name: value for name, value in given_claims.items() if value is not None},
        key,
        algorithms=[alg],
        encoder_cls=AsciiJson,
    )


def verify(
    text: str, *, algorithms: tuple[str, ...] = ASSERTION_ALGORITHMS, permits_list: bool = True
) -> ClientAssertion:
    rules = AssertionRules(AUDIENCES, algorithms, permits_list=permits_list)
    return verify_assertion(text, KEYS, processor_guid=GUID, now=NOW, rules=rules)


@pytest.mark.parametrize(
    "accepted",
    [
        {},
        {"aud": f"{ISSUER}/oauth/token"},
        {"aud": ["https://other.example", ISSUER]},
        {"key": RSA, "alg": "RS256", "kid": "rsa"},
        {"key": RSA, "alg": "PS256", "kid": "rsa"},
        {"iat": SECONDS + 10, "nbf": SECONDS + 10},
        {"iat": SECONDS + 60, "nbf": SECONDS + 60},
        {"exp": SECONDS + 3600},
        {"exp": SECONDS + 3660},
        {"exp": SECONDS - 9},
    ],
    ids=",".join,
)
def test_an_assertion_of_the_processor_for_this_server_is_accepted(accepted: dict[str, Any]) -> None:
    assert verify(assertion(**accepted)).jti == "one"


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"iss": "PPR-other"}, "iss and sub are not the processor"),
        ({"iss": None}, "iss and sub are not the processor"),
        ({"sub": "PPR-other"}, "iss and sub are not the processor"),
        ({"sub": None}, "iss and sub are not the processor"),
        ({"aud": "https://other.example"}, "aud does not name this server"),
        ({"aud": f"{ISSUER}/token"}, "aud does not name this server"),
        ({"aud": []}, "aud does not name this server"),
        ({"aud": [7, None]}, "aud does not name this server"),
        ({"aud": {"a": ISSUER}}, "aud does not name this server"),
        ({"aud": None}, "aud does not name this server"),
        ({"jti": None}, "jti is not text of 1 to 255 characters"),
        ({"jti": ""}, "jti is not text of 1 to 255 characters"),
        ({"jti": "\ud800"}, "jti is not text of 1 to 255 characters"),
        ({"exp": None}, "exp is not a number"),
        ({"exp": "soon"}, "exp is not a number"),
        ({"exp": SECONDS - 10}, "exp is in the past or more than an hour ahead"),
        ({"exp": SECONDS + 3661}, "exp is in the past or more than an hour ahead"),
        ({"iat": SECONDS + 61}, "iat is in the future"),
        ({"nbf": SECONDS + 61}, "nbf is in the future"),
        ({"iat": "x"}, "iat is not a number"),
        ({"kid": "other"}, "InvalidKeyIdError"),
        ({"kid": None}, "InvalidKeyIdError"),
        ({"key": ECKey.generate_key("P-256")}, "BadSignatureError"),
        ({"key": RSA, "alg": "RS384", "kid": "rsa"}, "UnsupportedAlgorithmError"),
    ],
    ids=lambda given: ",".join(given) if isinstance(given, dict) else given,
)
def test_an_assertion_that_fails_one_check_is_refused_with_its_reason(
    changed: dict[str, Any], reason: str
) -> None:
    with pytest.raises(InvalidJwt) as refused:
        verify(assertion(**changed))
    assert str(refused.value) == reason


def test_a_signature_with_a_shared_secret_is_refused() -> None:
    secret = OctKey.generate_key(256, parameters={"kid": "rsa"})
    with pytest.raises(InvalidJwt):
        verify(assertion(secret, alg="HS256", kid="rsa"))


def test_fapi_2_permits_no_pkcs_1_signature() -> None:
    with pytest.raises(InvalidJwt):
        verify(assertion(RSA, alg="RS256", kid="rsa"), algorithms=ALGORITHMS)


def test_fapi_2_accepts_the_issuer_as_text_only() -> None:
    assert verify(assertion(), permits_list=False)
    with pytest.raises(InvalidJwt):
        verify(assertion(aud=[ISSUER]), permits_list=False)


def test_a_single_key_need_not_be_named() -> None:
    single = KeySet([ECKey.import_key(EC.as_dict(private=False))])
    rules = AssertionRules(AUDIENCES)
    assert verify_assertion(assertion(kid=None), single, processor_guid=GUID, now=NOW, rules=rules)


def test_the_issuer_is_read_before_the_signature_is_verified() -> None:
    assert claimed_issuer(assertion()) == GUID
    for unstorable in ("a\0", "\ud800", "a\udfff"):
        with pytest.raises(InvalidJwt):
            claimed_issuer(assertion(iss=unstorable))


def unsigned(claims: str) -> str:
    return ".".join([encoded('{"alg": "ES256"}'), encoded(claims), ""])


def encoded(text: str) -> str:
    return urlsafe_b64encode(text.encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("é" * 10, "too long or not ASCII"),
        ("a" * (MAX_CHARACTERS + 1), "too long or not ASCII"),
        ("a" * MAX_CHARACTERS, "DecodeError"),
        (unsigned(""), "JSONDecodeError"),
        (unsigned("[1]"), "the claims are no object"),
        (unsigned("{}"), "iss is not text of 1 to 255 characters"),
    ],
    ids=range(6),
)
def test_a_text_without_an_issuer_is_refused_with_its_reason(text: str, reason: str) -> None:
    with pytest.raises(InvalidJwt) as refused:
        claimed_issuer(text)
    assert str(refused.value) == reason


@given(st.text(max_size=60) | st.lists(st.from_regex(r"[A-Za-z0-9_-]{0,20}"), max_size=4).map(".".join))
def test_any_text_is_refused_and_never_fails_otherwise(text: str) -> None:
    for read in (verify, claimed_issuer):
        with suppress(InvalidJwt):
            read(text)
            raise AssertionError("accepted")
