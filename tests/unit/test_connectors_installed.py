"""Connectors are found by their entry point, get only their own settings, and report their problems."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

import pytest

from coatcheck.clock import SystemClock
from coatcheck.config import Settings, load
from coatcheck.connectors.contract import Connector, Finished, Institution, NoSettings, Secret
from coatcheck.connectors.installed import connector_statuses, installed_connectors, load_connectors
from coatcheck.connectors.settings import read_settings, settings_by_connector, shown_settings
from coatcheck.errors import ConfigurationError
from coatcheck.events.ssrf import public_only
from tests.connector_setup import register_connector


@dataclass(frozen=True)
class BankSettings:
    key: Secret
    url: str = "https://bank.example"
    budget: int = 24
    wait: timedelta = timedelta(seconds=5)
    is_live: bool = False
    region: Literal["us", "eu"] = "us"
    scopes: tuple[str, ...] = ()
    old_key: Secret | None = None


class TwoWordBank(Connector):
    settings_type = BankSettings

    def __init__(self, context):
        super().__init__(context)
        self.context = context

    def institutions(self):
        return [Institution("two_word_bank", "INS-two", "Two", "https://bank.example")]

    async def run(self, session):
        return Finished()


class NotAConnector:
    pass


@pytest.fixture
def two_word(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(register_connector(tmp_path, "two_word", TwoWordBank))


def load_enabled(**settings):
    return load_connectors(Settings(**settings), SystemClock(), guard=public_only)


def test_the_sandbox_is_installed_by_this_distribution():
    sandbox = installed_connectors()["sandbox"]
    assert sandbox.distribution == "coatcheck"
    assert issubclass(sandbox.load(), Connector)


def test_the_error_about_an_unknown_connector_lists_the_installed_ones(two_word):
    with pytest.raises(ConfigurationError) as refused:
        load_enabled(connectors=("sandbax",))
    listed = ", ".join(sorted(installed_connectors()))
    assert refused.value.problem == f"There is no connector sandbax. Installed: {listed}."
    assert "two_word" in listed


def test_a_connector_is_built_with_its_name_its_settings_and_its_addresses(two_word):
    (bank,) = load_enabled(
        connectors=("two_word", "two_word"),
        base_url="https://coatcheck.example",
        connector={"two_word": {"key": "k"}, "two_word_budget": "7"},
    )
    assert (bank.name, bank.context.settings.budget) == ("two_word", 7)
    assert bank.context.settings.key.reveal() == "k"
    assert bank.context.redirect_uri == "https://coatcheck.example/oauth/callback"
    assert bank.context.pages_url == "https://coatcheck.example/banks/two_word"


def test_an_entry_point_that_is_not_a_connector_class_is_refused(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(register_connector(tmp_path, "odd", NotAConnector))
    with pytest.raises(ConfigurationError, match="is not a Connector class"):
        load_enabled(connectors=("odd",))


def test_a_connector_that_cannot_be_imported_is_named_without_a_traceback(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(register_connector(tmp_path, "gone", TwoWordBank))
    points = tmp_path / "gone_connector-1.0.dist-info" / "entry_points.txt"
    points.write_text("[coatcheck.connectors]\ngone = no_such_module:Bank\n")
    with pytest.raises(ConfigurationError, match="The connector gone of gone-connector cannot be loaded"):
        load_enabled(connectors=("gone",))


def test_two_distributions_cannot_use_one_name(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(register_connector(tmp_path, "other", TwoWordBank))
    points = tmp_path / "other_connector-1.0.dist-info" / "entry_points.txt"
    points.write_text("[coatcheck.connectors]\nsandbox = tests.unit.test_connectors_installed:TwoWordBank\n")
    with pytest.raises(ConfigurationError, match="sandbox is installed twice"):
        installed_connectors()


# --- settings ----------------------------------------------------------------------------------------------


def test_settings_come_from_the_file_and_the_environment_which_wins(tmp_path):
    file = tmp_path / "coatcheck.toml"
    file.write_text('[connector.two_word]\nkey = "of the file"\nbudget = 1\nscopes = ["a", "b"]\n')
    environment = {"COATCHECK_CONNECTOR_TWO_WORD_BUDGET": "2", "COATCHECK_CONNECTOR_SANDBOX_SEED": "9"}
    given = settings_by_connector(load(environment, file).connector, ["sandbox", "two", "two_word"])
    assert given == {
        "two_word": {"key": "of the file", "budget": "2", "scopes": ["a", "b"]},
        "sandbox": {"seed": "9"},
    }


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"three_budget": "1"}, "COATCHECK_CONNECTOR_THREE_BUDGET names no connector. Installed: sandbox."),
        ({"three": {"budget": 1}}, "[connector.three] names no connector. Installed: sandbox."),
    ],
)
def test_settings_of_no_installed_connector_are_refused(given, message):
    with pytest.raises(ConfigurationError) as refused:
        settings_by_connector(given, ["sandbox"])
    assert refused.value.problem == message


def test_text_of_the_environment_is_converted_to_the_type_of_the_setting():
    read = read_settings(
        "bank",
        BankSettings,
        {"key": "k", "budget": "7", "wait": "90", "is_live": "true", "region": "eu", "scopes": "a, b,"},
    )
    assert read.key.reveal() == "k"
    assert (read.budget, read.wait, read.is_live) == (7, timedelta(seconds=90), True)
    assert (read.region, read.scopes, read.url) == ("eu", ("a", "b"), "https://bank.example")


def test_a_secret_can_be_read_from_a_file(tmp_path):
    (tmp_path / "key").write_text("from the file\n")
    read = read_settings("bank", BankSettings, {"key_file": str(tmp_path / "key")})
    assert read.key.reveal() == "from the file"
    optional = read_settings("bank", BankSettings, {"key": "k", "old_key_file": str(tmp_path / "key")})
    assert optional.old_key.reveal() == "from the file"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"key": "k", "bugdet": "1"}, "no setting bugdet. It has: budget, is_live, key, old_key, region"),
        ({"key": "k", "url_file": "/x"}, "no setting url_file"),
        ({}, "The connector bank needs the setting key."),
        ({"key": "k", "budget": "many"}, "cannot read its setting budget: Expected `int`, got `str`."),
        ({"key": "k", "is_live": "perhaps"}, "is_live"),
        ({"key": "k", "region": "mars"}, "region"),
        ({"key_file": "/no/such/file"}, "The file that key_file of the connector bank names cannot be read"),
        ({"key": 7}, "a secret and a path are text"),
    ],
)
def test_a_wrong_setting_is_named(given, message):
    with pytest.raises(ConfigurationError) as refused:
        read_settings("bank", BankSettings, given)
    assert message in refused.value.problem


def test_a_value_in_place_of_a_connectors_table_is_refused():
    with pytest.raises(ConfigurationError, match=r"\[connector\.bank\] must be a table"):
        settings_by_connector({"bank": 3}, {"bank"})


def test_a_connector_without_settings_refuses_every_setting():
    with pytest.raises(ConfigurationError, match="no setting seed"):
        read_settings("bank", NoSettings, {"seed": "1"})


def test_a_secret_is_in_no_repr_and_no_listing():
    read = read_settings("bank", BankSettings, {"key": "hush-hush"})
    shown = f"{read!r} {read.key} {read.key!r} {shown_settings(read)}"
    assert "hush-hush" not in shown
    assert shown_settings(read)["key"] == "(hidden)"
    settings = Settings(connector={"bank": {"key": "hush-hush"}})
    assert "hush-hush" not in repr(settings)


# --- what an operator sees -----------------------------------------------------------------------------------


def statuses(**settings):
    found = connector_statuses(Settings(**settings), SystemClock(), guard=public_only)
    return {status.name: status for status in found}


def test_the_statuses_contain_every_connector_with_its_settings(two_word):
    found = statuses(connectors=("sandbox",), connector={"two_word": {"key": "k"}})
    assert list(found) == sorted(installed_connectors())
    sandbox, bank = found["sandbox"], found["two_word"]
    assert (sandbox.is_enabled, sandbox.institutions, sandbox.settings) == (True, 59, {"seed": 1})
    assert (bank.is_enabled, bank.institutions, bank.problem) == (False, None, None)
    assert (bank.settings["key"], bank.settings["budget"]) == ("(hidden)", 24)


def test_the_status_of_a_connector_contains_its_problem(two_word):
    bank = statuses(connectors=("two_word",))["two_word"]
    assert bank.problem == "The connector two_word needs the setting key."
    assert set(bank.settings) >= {"key", "url"}
    assert bank.settings["key"] is None
