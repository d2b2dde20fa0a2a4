"""`coatcheck verify-receipt` and the commands of the signing keys."""

import io
import json

import pytest

from coatcheck.cli.exit_codes import ExitCode
from coatcheck.signatures import DocumentType, SigningKey, public_jwk

KEY = SigningKey.of(b"k" * 32)
SIGNED = KEY.sign(DocumentType.REVOCATION, {"jti": "REV-1", "reason": None, "grant_guids": ["TKN-1"]})


@pytest.fixture
def receipt(tmp_path):
    file = tmp_path / "receipt.jws"
    file.write_text(f"{SIGNED}\n")
    return file


@pytest.fixture
def jwks(tmp_path):
    file = tmp_path / "jwks.json"
    file.write_text(json.dumps({"keys": [public_jwk(KEY.kid, KEY.public_key)]}))
    return file


def test_a_genuine_receipt_is_printed_without_settings_or_a_database(terminal, receipt, jwks):
    answer = terminal("verify-receipt", str(receipt), "--jwks", str(jwks))
    assert answer.code == ExitCode.OK
    assert "verified" in answer.out
    assert "REV-1" in answer.out
    printed = json.loads(terminal("verify-receipt", str(receipt), "--jwks", str(jwks), "--json").out)
    assert printed == {
        "verified": True,
        "type": "coatcheck-revocation+jwt",
        "kid": KEY.kid,
        "claims": {"jti": "REV-1", "reason": None, "grant_guids": ["TKN-1"]},
    }


def test_a_receipt_can_come_from_standard_input(terminal, jwks, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO(SIGNED))
    assert terminal("verify-receipt", "-", "--jwks", str(jwks)).code == ExitCode.OK


def test_an_altered_receipt_ends_with_its_own_exit_code_and_a_sentence(terminal, receipt, jwks):
    header, payload, signature = SIGNED.split(".")
    receipt.write_text(f"{header}.{payload[:-1]}{'A' if payload[-1] != 'A' else 'B'}.{signature}")
    answer = terminal("verify-receipt", str(receipt), "--jwks", str(jwks))
    assert answer.code == ExitCode.NOT_GENUINE
    assert answer.out == ""
    assert answer.err.startswith("coatcheck: The ")


@pytest.mark.parametrize("place", range(0, SIGNED.index("."), 7))
def test_a_receipt_with_an_altered_header_is_said_to_be_altered(terminal, receipt, jwks, place):
    receipt.write_text(f"{SIGNED[:place]}{'A' if SIGNED[place] != 'A' else 'B'}{SIGNED[place + 1 :]}")
    answer = terminal("verify-receipt", str(receipt), "--jwks", str(jwks))
    assert answer.code == ExitCode.NOT_GENUINE
    assert "altered" in answer.err


def test_a_receipt_of_another_server_is_refused(terminal, receipt, jwks):
    other = SigningKey.of(b"o" * 32)
    jwks.write_text(json.dumps({"keys": [public_jwk(other.kid, other.public_key)]}))
    answer = terminal("verify-receipt", str(receipt), "--jwks", str(jwks))
    assert answer.code == ExitCode.NOT_GENUINE
    assert "/.well-known/jwks.json" in answer.err


@pytest.mark.parametrize(
    "content", ["", "no JSON", "[]", "{}", '{"keys": {}}', '{"keys": [1]}', "[" * 90_000], ids=range(7)
)
def test_a_file_that_is_no_key_set_is_named(terminal, receipt, jwks, content):
    jwks.write_text(content)
    answer = terminal("verify-receipt", str(receipt), "--jwks", str(jwks))
    assert answer.code == ExitCode.CONFIGURATION
    assert str(jwks) in answer.err
    assert "/.well-known/jwks.json" in answer.err


def test_a_file_that_cannot_be_read_is_named(terminal, receipt, jwks, tmp_path):
    missing = tmp_path / "missing"
    answer = terminal("verify-receipt", str(missing), "--jwks", str(jwks))
    assert (answer.code, str(missing) in answer.err) == (ExitCode.CONFIGURATION, True)
    assert terminal("verify-receipt", str(receipt), "--jwks", str(missing)).code == ExitCode.CONFIGURATION
    receipt.write_bytes(b"\xff\xfe")
    assert terminal("verify-receipt", str(receipt), "--jwks", str(jwks)).code == ExitCode.CONFIGURATION
    receipt.write_text("a" * 200_000)
    answer = terminal("verify-receipt", str(receipt), "--jwks", str(jwks))
    assert (answer.code, "too long" in answer.err) == (ExitCode.CONFIGURATION, True)


@pytest.mark.own_database
def test_a_rotation_of_the_signing_key_is_listed_and_a_second_one_must_wait(operator):
    (first,) = json.loads(operator("keys", "list-signing", "--json").out)
    added = json.loads(operator("keys", "rotate-signing", "--json").out)
    listed = json.loads(operator("keys", "list-signing", "--json").out)
    assert [each["kid"] for each in listed] == [added["kid"], first["kid"]]
    assert listed[1]["published_until"] > listed[0]["signs_from"]
    again = operator("keys", "rotate-signing")
    assert again.code == ExitCode.REFUSED
    assert "Rotate after that" in again.err
    assert json.loads(operator("keys", "rotate-signing", "--at-once", "--json").out)["kid"] == added["kid"]


@pytest.mark.own_database
def test_a_leaked_signing_key_is_withdrawn_and_another_one_signs(operator):
    (leaked,) = json.loads(operator("keys", "list-signing", "--json").out)
    done = operator("keys", "withdraw-signing", leaked["kid"])
    assert done.code == ExitCode.OK
    assert leaked["kid"] in done.out
    listed = json.loads(operator("keys", "list-signing", "--json").out)
    assert [each["kid"] for each in listed if each["withdrawn_at"]] == [leaked["kid"]]
    assert [each["published_until"] for each in listed if not each["withdrawn_at"]] == [None]


def test_an_unknown_signing_key_is_refused_and_the_message_says_where_keys_are_listed(operator):
    refused = operator("keys", "withdraw-signing", "unknown")
    assert refused.code == ExitCode.NOT_FOUND
    assert "keys list-signing" in refused.err


def test_a_kid_may_begin_with_a_hyphen(operator):
    # An "h" in it must not be taken for the option `-h`.
    answer = operator("keys", "withdraw-signing", "-mQx7hunknown")
    assert answer.code == ExitCode.NOT_FOUND
    assert "-mQx7hunknown" in answer.err


def test_a_receipt_of_a_withdrawn_key_is_refused_whatever_its_date(terminal, receipt, jwks):
    other = SigningKey.of(b"o" * 32)
    withdrawn = [{"kid": KEY.kid, "withdrawn_at": "2026-11-26T10:00:00Z"}]
    published = [public_jwk(each.kid, each.public_key) for each in (other, KEY)]
    for keys in (published, published[:1]):  # also if an old copy of the set still lists it
        jwks.write_text(json.dumps({"keys": keys, "withdrawn": withdrawn}))
        answer = terminal("verify-receipt", str(receipt), "--jwks", str(jwks))
        assert answer.code == ExitCode.NOT_GENUINE
        assert "was withdrawn at 2026-11-26T10:00:00Z" in answer.err
        assert "Ask the server for the document again" in answer.err


@pytest.mark.parametrize("withdrawn", [None, {}, "text", [1]], ids=range(4))
def test_a_key_set_without_a_list_of_withdrawn_keys_is_a_key_set(terminal, receipt, jwks, withdrawn):
    keys = [public_jwk(KEY.kid, KEY.public_key)]
    jwks.write_text(json.dumps({"keys": keys, "withdrawn": withdrawn}))
    assert terminal("verify-receipt", str(receipt), "--jwks", str(jwks)).code == ExitCode.OK
