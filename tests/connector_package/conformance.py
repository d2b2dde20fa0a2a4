"""The package's own test. The main suite installs the package and runs this file with pytest."""

import httpx
import pytest
from rotating_bank.connector import RotatingBank, RotatingBankSettings
from rotating_bank.institution import API_KEY, RotatingInstitution

from coatcheck.connectors.contract import Connector, Question, Secret
from coatcheck.testing.connectors import (
    Check,
    ConnectorUnderTest,
    Faults,
    conformance_checks,
    connector_context,
)


class RotatingBankUnderTest(ConnectorUnderTest):
    institution_code = "rotating_bank"
    credentials = {"SETUP_TOKEN": "token-of-ann"}
    credentials_with_question = {"SETUP_TOKEN": "mfa-token-of-ann"}
    credentials_without_accounts = {"SETUP_TOKEN": "empty-token-of-ann"}
    credentials_with_unusable_rows = {"SETUP_TOKEN": "odd-token-of-ann"}

    def reset(self) -> None:
        self._institution = RotatingInstitution()

    def build(self, faults: Faults) -> Connector:
        transport = httpx.ASGITransport(self._institution)
        settings = RotatingBankSettings(Secret(API_KEY))
        return RotatingBank(connector_context(settings, transport=faults.transport(transport)))

    def answer(self, question: Question) -> str:
        return "4711"

    def wrong_answer(self, question: Question) -> str:
        return "0000"


@pytest.mark.parametrize("check", conformance_checks(RotatingBankUnderTest()), ids=str)
async def test_conformance(check: Check) -> None:
    await check()
