"""`coatcheck processor show` and `set-...`."""

import json

import pytest
from joserfc.jwk import ECKey

from tests.certificates import make_certificate


@pytest.fixture
def processor(operator):
    return json.loads(operator("processor", "add", "Acme Pay", "--json").out)["processor_id"]


@pytest.fixture
def jwks(tmp_path):
    file = tmp_path / "jwks.json"
    key = ECKey.generate_key("P-256", parameters={"kid": "one"})
    file.write_text(json.dumps({"keys": [key.as_dict(private=False)]}))
    return file


def test_a_processor_is_moved_to_fapi_2_step_by_step_and_shown(operator, processor, jwks):
    refused = operator("processor", "set-profile", processor, "fapi2")
    assert refused.code
    assert f"coatcheck processor set-authentication {processor} private_key_jwt" in refused.err
    for verb, value in (
        ("set-jwks", str(jwks)),
        ("set-authentication", "private_key_jwt"),
        ("set-sender-constraint", "dpop"),
        ("set-profile", "fapi2"),
    ):
        changed = operator("processor", verb, processor, value)
        assert (changed.code, changed.err) == (0, "")
    shown = json.loads(operator("processor", "show", processor, "--json").out)
    assert {name: shown[name] for name in ("name", "client_authentication", "sender_constraint")} == {
        "name": "Acme Pay",
        "client_authentication": "private_key_jwt",
        "sender_constraint": "dpop",
    }
    assert (shown["profile"], shown["keys"], shown["certificate_thumbprints"]) == ("fapi2", ["one"], [])


def test_certificates_are_read_from_a_file(operator, processor, tmp_path):
    file = tmp_path / "certificates.pem"
    file.write_bytes(make_certificate().pem + make_certificate().pem)
    changed = json.loads(operator("processor", "set-certificates", processor, str(file), "--json").out)
    assert len(changed["certificate_thumbprints"]) == 2


@pytest.mark.parametrize(
    ("verb", "value", "expected"),
    [
        ("set-jwks", "missing.json", "missing.json"),
        ("set-authentication", "password", "private_key_jwt"),
        ("set-sender-constraint", "tls", "mtls"),
        ("set-profile", "fapi3", "fapi2"),
    ],
)
def test_a_value_that_cannot_be_used_is_refused_with_what_can(operator, processor, verb, value, expected):
    refused = operator("processor", verb, processor, value)
    assert refused.code
    assert expected in refused.err


def test_a_file_that_is_no_jwk_set_or_too_large_is_refused(operator, processor, tmp_path):
    for content, expected in (("{}", "JWK set"), (" " * 300_000, "256 kB")):
        file = tmp_path / "jwks.json"
        file.write_text(content)
        refused = operator("processor", "set-jwks", processor, str(file))
        assert refused.code
        assert expected in refused.err


@pytest.mark.parametrize("verb", ["show", "set-profile"])
def test_an_unknown_processor_is_refused_with_the_command_that_lists_them(operator, verb):
    refused = operator("processor", verb, "PPR-x", *(["default"] if verb != "show" else []))
    assert refused.code
    assert "coatcheck processor list" in refused.err
