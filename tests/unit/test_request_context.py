"""The address of a caller, as disclosures, audit entries and limits name it."""

import pytest

from coatcheck.request_context import canonical_address


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("2001:DB8:0::1", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("fe80::1%any text\n of a proxy", "fe80::1"),
        ("203.0.113.7:443", None),
        ("proxy.example", None),
        ("", None),
    ],
)
def test_an_address_has_one_form_and_contains_no_other_text(text: str, address: str | None) -> None:
    assert canonical_address(text) == address
