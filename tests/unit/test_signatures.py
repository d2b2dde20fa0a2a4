"""Signed documents: any change is refused, whatever the header claims."""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jws
from joserfc.jwk import OctKey, OKPKey

from coatcheck.errors import NotGenuine
from coatcheck.signatures import DocumentType, SigningKey, new_private_key, public_jwk, verify

KEY, OTHER = SigningKey.of(bytes(range(32))), SigningKey.of(bytes(range(1, 33)))
PUBLISHED = [public_jwk(each.kid, each.public_key) for each in (OTHER, KEY)]
CLAIMS = {"iss": "https://coatcheck.test", "grant_guid": "TKN-1", "reason": "Übung"}
SIGNED = KEY.sign(DocumentType.GRANT, CLAIMS)
BASE64URL = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def encoded(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def test_a_signed_document_verifies_and_gives_its_claims() -> None:
    document = verify(SIGNED, PUBLISHED)
    assert (document.type, document.kid, document.claims) == (DocumentType.GRANT, KEY.kid, CLAIMS)


def test_equal_claims_give_an_equal_document() -> None:
    assert KEY.sign(DocumentType.GRANT, CLAIMS) == SIGNED
    assert KEY.sign(DocumentType.REVOCATION, CLAIMS) != SIGNED


def test_the_id_of_a_key_is_the_thumbprint_of_its_public_key() -> None:
    """The vector of RFC 8037, appendix A.3."""
    private_key = base64.urlsafe_b64decode("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=")
    key = SigningKey.of(private_key)
    assert key.public_key == "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
    assert key.kid == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"


@given(st.integers(0, len(SIGNED) - 1), st.characters(codec="utf-8"))
def test_a_document_with_any_other_character_is_refused(place: int, character: str) -> None:
    altered = SIGNED[:place] + character + SIGNED[place + 1 :]
    if altered != SIGNED:
        with pytest.raises(NotGenuine):
            verify(altered, PUBLISHED)


def test_the_last_character_has_unused_bits_and_they_cannot_be_altered() -> None:
    for character in BASE64URL.replace(SIGNED[-1], ""):
        with pytest.raises(NotGenuine):
            verify(SIGNED[:-1] + character, PUBLISHED)


@given(st.integers(0, len(SIGNED)), st.text(min_size=1, max_size=3))
def test_a_document_with_inserted_text_is_refused(place: int, text: str) -> None:
    with pytest.raises(NotGenuine):
        verify(SIGNED[:place] + text + SIGNED[place:], PUBLISHED)


@given(st.integers(0, len(SIGNED) - 1), st.integers(1, 200))
def test_a_document_with_missing_text_is_refused(place: int, length: int) -> None:
    with pytest.raises(NotGenuine):
        verify(SIGNED[:place] + SIGNED[place + length :], PUBLISHED)


@given(st.text(max_size=200))
def test_any_other_text_is_refused(text: str) -> None:
    with pytest.raises(NotGenuine):
        verify(text, PUBLISHED)


def test_a_document_that_is_nested_too_deeply_is_refused() -> None:
    deep = base64.urlsafe_b64encode(b"[" * 60_000).decode()
    _, payload, signature = SIGNED.split(".")
    with pytest.raises(NotGenuine, match="header is not JSON"):
        verify(f"{deep}.{payload}.{signature}", PUBLISHED)


def test_a_document_of_a_key_that_is_not_published_is_refused() -> None:
    with pytest.raises(NotGenuine, match="has no key with the document's `kid`"):
        verify(SIGNED, PUBLISHED[:1])
    with pytest.raises(NotGenuine):
        verify(SIGNED, [])


def test_a_document_that_names_another_published_key_is_refused() -> None:
    header = {"alg": "EdDSA", "kid": OTHER.kid, "typ": DocumentType.GRANT}
    _, payload, signature = SIGNED.split(".")
    with pytest.raises(NotGenuine, match="signature does not match"):
        verify(f"{encoded(header)}.{payload}.{signature}", PUBLISHED)


def test_a_document_without_a_signature_is_refused() -> None:
    _, payload, signature = SIGNED.split(".")
    for name in ("none", "None", "NONE"):
        header = encoded({"alg": name, "kid": KEY.kid, "typ": DocumentType.GRANT})
        for text in (f"{header}.{payload}.", f"{header}.{payload}.{signature}"):
            with pytest.raises(NotGenuine):
                verify(text, PUBLISHED)


def test_an_hmac_under_the_public_key_is_refused() -> None:
    public = base64.urlsafe_b64decode(KEY.public_key + "=")
    for secret in (public, KEY.public_key.encode()):
        header = {"alg": "HS256", "kid": KEY.kid, "typ": DocumentType.GRANT}
        forged = jws.serialize_compact(header, json.dumps(CLAIMS), OctKey.import_key(secret))
        with pytest.raises(NotGenuine, match="`alg` is not EdDSA"):
            verify(forged, PUBLISHED)


def test_a_document_of_another_type_is_refused() -> None:
    header = {"alg": "Ed25519", "kid": KEY.kid, "typ": "at+jwt"}
    token = jws.serialize_compact(
        header, json.dumps(CLAIMS), OKPKey.import_key(KEY.key), algorithms=["Ed25519"]
    )
    with pytest.raises(NotGenuine, match="`typ`"):
        verify(token, PUBLISHED)


def test_keys_of_other_types_in_the_key_set_are_ignored() -> None:
    others = [
        {"kty": "oct", "k": "AAAA", "kid": KEY.kid},
        {"kty": "OKP", "crv": "X25519", "x": KEY.public_key, "kid": KEY.kid},
        {},
    ]
    assert verify(SIGNED, [*others, *PUBLISHED]).claims == CLAIMS
    with pytest.raises(NotGenuine):
        verify(SIGNED, others)


def test_a_published_key_that_is_none_is_refused_in_words() -> None:
    with pytest.raises(NotGenuine, match="is not an Ed25519 key"):
        verify(SIGNED, [{"kty": "OKP", "crv": "Ed25519", "x": "AAAA", "kid": KEY.kid}])


def test_a_key_does_not_show_its_private_half() -> None:
    private_key = new_private_key()
    key = SigningKey.of(private_key)
    secret = base64.urlsafe_b64encode(private_key).rstrip(b"=").decode()
    assert secret not in repr(key)
    assert "d" not in public_jwk(key.kid, key.public_key)
