"""The certificate of a TLS connection: when it is valid."""

from datetime import UTC, datetime, timedelta

import pytest

from coatcheck.grants.client_certificates import read_certificate
from tests.certificates import make_certificate

START, LIFETIME, SECOND = datetime(2026, 11, 26, tzinfo=UTC), timedelta(days=30), timedelta(seconds=1)


@pytest.mark.parametrize(
    ("now", "is_valid"),
    [
        (START - SECOND, False),
        (START, True),
        (START + LIFETIME, True),
        (START + LIFETIME + SECOND, False),
    ],
)
def test_a_certificate_is_valid_from_its_first_to_its_last_second(now: datetime, is_valid: bool) -> None:
    certificate = read_certificate(make_certificate(start=START, lifetime=LIFETIME).pem.decode())
    assert certificate is not None
    assert certificate.is_valid(now) is is_valid


def test_a_text_that_is_no_certificate_is_none() -> None:
    assert read_certificate("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----") is None
