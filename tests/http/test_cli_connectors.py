"""`coatcheck connectors` lists the installed connectors, without a database."""

import json

from coatcheck.cli.exit_codes import ExitCode


def test_connectors_are_listed_with_their_settings(terminal):
    answer = terminal("connectors")
    assert answer.code == 0
    lines = [line.split() for line in answer.out.splitlines()]
    assert lines[0] == ["name", "package", "version", "enabled", "institutions", "settings", "problem"]
    assert ["sandbox", "coatcheck", "0.1.0", "no", "-", "seed=1", "-"] in lines[1:]


def test_an_enabled_connector_is_listed_with_its_institutions(terminal, bare_environment):
    bare_environment.setenv("COATCHECK_CONNECTORS", "sandbox")
    bare_environment.setenv("COATCHECK_CONNECTOR_SANDBOX_SEED", "7")
    (listed,) = [each for each in json.loads(terminal("connectors", "--json").out) if each["is_enabled"]]
    assert (listed["is_enabled"], listed["institutions"], listed["settings"]) == (True, 59, {"seed": 7})


def test_a_setting_of_an_unknown_connector_is_refused_with_one_sentence(terminal, bare_environment):
    bare_environment.setenv("COATCHECK_CONNECTOR_SANDBX_SEED", "7")
    answer = terminal("connectors")
    assert (answer.code, answer.out) == (ExitCode.CONFIGURATION, "")
    assert "COATCHECK_CONNECTOR_SANDBX_SEED names no connector. Installed: " in answer.err
