"""Tools for the tests of a connector; docs/reference/connectors.md explains them.

A single run:

    run = await run_connector(MyConnector(connector_context()), task, {"LOGIN": "ann"})
    assert [account.name for account in run.accounts] == ["Checking"]

Every check that a connector must pass, with pytest:

    class ExampleUnderTest(ConnectorUnderTest):
        institution_code = "example_bank"
        credentials = {"LOGIN": "ann"}

        def reset(self):
            self.bank = FakeBank()

        def build(self, faults):
            return ExampleBank(connector_context(transport=faults.transport(self.bank.transport)))

    @pytest.mark.parametrize("check", conformance_checks(ExampleUnderTest()), ids=str)
    async def test_conformance(check):
        await check()
"""

from coatcheck.testing.conformance import Check, conformance_checks
from coatcheck.testing.connector_under_test import ConnectorUnderTest
from coatcheck.testing.faults import Fault, Faults, Killed
from coatcheck.testing.runs import NOW, Run, connector_context, disconnect_member, run_connector

__all__ = [
    "NOW",
    "Check",
    "ConnectorUnderTest",
    "Fault",
    "Faults",
    "Killed",
    "Run",
    "conformance_checks",
    "connector_context",
    "disconnect_member",
    "run_connector",
]
