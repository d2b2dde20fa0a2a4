"""The sandbox bank passes the checks that every connector must pass."""

import pytest

from coatcheck.connectors.contract import JobKind
from coatcheck.connectors.sandbox.bank import SandboxBank, SandboxSettings
from coatcheck.testing.connectors import ConnectorUnderTest, conformance_checks, connector_context


class SandboxUnderTest(ConnectorUnderTest):
    institution_code = "mxbank"
    credentials = {"LOGIN": "ann+persona=thin_file", "PASSWORD": "any"}
    credentials_with_question = {"LOGIN": "ann+persona=thin_file+mfa_twice", "PASSWORD": "options"}
    credentials_without_accounts = {"LOGIN": "ann+persona=thin_file+empty", "PASSWORD": "any"}
    credentials_with_unusable_rows = {"LOGIN": "ann+persona=thin_file+unusable_rows", "PASSWORD": "any"}
    kinds = (JobKind.AGGREGATION, JobKind.VERIFICATION, JobKind.IDENTIFICATION, JobKind.BALANCE)

    def reset(self):
        """The sandbox bank keeps no state."""

    def build(self, faults):
        return SandboxBank(connector_context(SandboxSettings(), transport=None))

    def answer(self, question):
        return "correct"

    def wrong_answer(self, question):
        return "wrong"


@pytest.mark.parametrize("check", conformance_checks(SandboxUnderTest()), ids=str)
async def test_the_sandbox_bank_conforms(check):
    await check()
