"""Settings come from a file and the environment. The error about a wrong one says what is allowed."""

from datetime import timedelta

import pytest

from coatcheck.config import Settings, load
from coatcheck.errors import ConfigurationError

SWORDFISH = "swordfish"


def test_without_any_setting_there_are_the_defaults():
    assert load({}) == Settings()


def test_the_environment_wins_over_the_file_and_an_override_over_both(tmp_path):
    file = tmp_path / "coatcheck.toml"
    file.write_text(
        'port = 1\npool_size = 2\nhost = "a"\ncode_ttl = 2.5\nconnectors = ["sandbox", "simplefin"]\n'
    )
    environment = {"COATCHECK_CONFIG": str(file), "COATCHECK_PORT": "3", "COATCHECK_HOST": "b"}
    settings = load(environment, host="c")
    assert (settings.port, settings.pool_size, settings.host) == (3, 2, "c")
    assert settings.code_ttl == timedelta(seconds=2.5)
    assert settings.connectors == ("sandbox", "simplefin")


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("port", "0", 0),
        ("code_ttl", "300", timedelta(seconds=300)),
        ("code_ttl", "0.5", timedelta(seconds=0.5)),
        ("key_overlap", "0", timedelta()),
        ("webhook_allow_private", "true", True),
        ("webhook_allow_private", "True", True),
        ("webhook_allow_private", "0", False),
        ("connectors", "", ()),
        ("connectors", "sandbox", ("sandbox",)),
        ("connectors", " a, b ,", ("a", "b")),
        ("on_code_reuse", "reject", "reject"),
        ("log_format", "console", "console"),
        ("database_url", "postgres://db/x", "postgres://db/x"),
        ("database_url", "host=db,db2 dbname=x", "host=db,db2 dbname=x"),
    ],
)
def test_text_is_converted_to_the_type_of_the_setting(name, text, value):
    assert getattr(load({f"COATCHECK_{name.upper()}": text}), name) == value


@pytest.mark.parametrize(
    ("name", "text", "allowed"),
    [
        ("port", "many", "a whole number from 0 to 65535"),
        ("port", "", "a whole number from 0 to 65535"),
        ("port", "80.5", "a whole number from 0 to 65535"),
        ("port", "-1", "a whole number from 0 to 65535"),
        ("port", "65536", "a whole number from 0 to 65535"),
        ("pool_size", "0", "a whole number from 1 to"),
        ("pool_size", "-3", "a whole number from 1 to"),
        ("pool_size", "99999999999999999999", "a whole number from 1 to"),
        ("worker_concurrency", "0", "a whole number from 1 to"),
        ("institution_concurrency", "0", "a whole number from 1 to"),
        ("job_attempts", "0", "a whole number from 1 to"),
        ("webhook_allow_private", "yes", "true or false"),
        ("webhook_allow_private", "", "true or false"),
        ("code_ttl", "ten", "a number of seconds"),
        ("code_ttl", "10m", "a number of seconds"),
        ("code_ttl", "nan", "a number of seconds"),
        ("code_ttl", "0", "more than 0"),
        ("token_ttl", "-1", "more than 0"),
        ("token_ttl", "1e12", "at most 3650 days"),
        ("link_ttl", "0", "more than 0"),
        ("job_lease", "0", "more than 0"),
        ("job_timeout", "0", "more than 0"),
        ("key_overlap", "-1", "at least 0"),
        ("on_code_reuse", "ignore", "reject or revoke"),
        ("log_level", "info", "DEBUG, ERROR, INFO or WARNING"),
        ("log_level", "LOUD", "DEBUG, ERROR, INFO or WARNING"),
        ("log_format", "text", "console or json"),
        ("database_url", "mysql://db/x", "postgresql://"),
        ("database_url", "db/x", "postgresql://"),
        ("base_url", "coatcheck.example", "http:// or https://"),
        ("base_url", "https://coatcheck.example/", "not end with a slash"),
        ("base_url", "https://coatcheck.example/api", "contain a path"),
        ("base_url", "https://coatcheck.example?x", "contain a path"),
        ("base_url", "https://", "name a host"),
        ("base_url", "https://[::1", "name a host"),
    ],
)
def test_a_wrong_value_is_refused_with_what_is_allowed(name, text, allowed):
    with pytest.raises(ConfigurationError) as refused:
        load({f"COATCHECK_{name.upper()}": text})
    problem = refused.value.problem
    assert f"The setting {name} " in problem
    assert allowed in problem
    assert problem.endswith(".")


@pytest.mark.parametrize(
    ("issuer", "client_id", "problem"),
    [
        ("https://login.example", "", "The setting staff_oidc_client_id is missing."),
        ("http://login.example", "coatcheck", "The setting staff_oidc_issuer must start with https://"),
        ("login.example", "coatcheck", "The setting staff_oidc_issuer must start with https://"),
    ],
)
def test_an_identity_provider_needs_https_and_the_id_of_the_dashboard(issuer, client_id, problem):
    with pytest.raises(ConfigurationError, match=problem):
        load({"COATCHECK_STAFF_OIDC_ISSUER": issuer, "COATCHECK_STAFF_OIDC_CLIENT_ID": client_id})


@pytest.mark.parametrize(
    ("missing", "problem"),
    [
        ("CLIENT_ID", "The setting portal_oidc_client_id is missing."),
        ("CLIENT_GUID", "The setting portal_oidc_client_guid is missing."),
    ],
)
def test_an_identity_provider_of_the_portal_needs_its_id_there_and_a_client(missing, problem):
    values = {"ISSUER": "https://login.example", "CLIENT_ID": "portal", "CLIENT_GUID": "CLT-1"}
    del values[missing]
    with pytest.raises(ConfigurationError, match=problem):
        load({f"COATCHECK_PORTAL_OIDC_{name}": value for name, value in values.items()})


def test_an_identity_provider_on_this_machine_needs_no_https():
    settings = load(
        {
            "COATCHECK_STAFF_OIDC_ISSUER": "http://localhost:8080",
            "COATCHECK_STAFF_OIDC_CLIENT_ID": "coatcheck",
        }
    )
    assert settings.staff_oidc_issuer == "http://localhost:8080"


@pytest.mark.parametrize(
    "name", ["database_url", "base_url", "port", "log_level", "code_ttl", "on_code_reuse"]
)
def test_a_wrong_value_is_not_repeated(name):
    with pytest.raises(ConfigurationError) as refused:
        load({f"COATCHECK_{name.upper()}": SWORDFISH})
    assert SWORDFISH not in str(refused.value)
    assert refused.value.__cause__ is None


@pytest.mark.parametrize(
    ("line", "allowed"),
    [
        ("host = 7", "text"),
        ("port = true", "a whole number"),
        ("port = 80.5", "a whole number"),
        ("connectors = 7", "a list of names"),
        ("connectors = [7]", "a list of names"),
        ("webhook_allow_private = 2", "true or false"),
        ("connector = 7", "a table"),
        ("code_ttl = []", "a number of seconds"),
        ("database_url = []", "text"),
    ],
)
def test_a_wrong_type_in_the_file_is_refused_with_what_is_allowed(tmp_path, line, allowed):
    file = tmp_path / "coatcheck.toml"
    file.write_text(line)
    with pytest.raises(ConfigurationError, match=allowed):
        load({}, file)


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("PROT", "Unknown setting: prot. Did you mean port?"),
        ("BASEURL", "Unknown setting: baseurl. Did you mean base_url?"),
        ("MASTERKEY", "Unknown setting: masterkey. Did you mean master_key?"),
        ("XYZZY", "Unknown setting: xyzzy. Remove it."),
    ],
)
def test_an_unknown_setting_is_refused_with_the_nearest_name(name, problem):
    with pytest.raises(ConfigurationError) as refused:
        load({f"COATCHECK_{name}": SWORDFISH})
    assert refused.value.problem == problem


@pytest.mark.parametrize("content", [b"port = ", b"\xff", b"port = 1\nport = 2"])
def test_a_file_that_is_not_toml_is_refused_by_its_name(tmp_path, content):
    file = tmp_path / "coatcheck.toml"
    file.write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"coatcheck\.toml"):
        load({}, file)


def test_a_file_that_is_missing_or_a_directory_is_refused_by_its_name(tmp_path):
    for file, why in ((tmp_path / "none.toml", "No such file"), (tmp_path, "Is a directory")):
        with pytest.raises(ConfigurationError, match=why):
            load({"COATCHECK_CONFIG": str(file)})


def test_settings_of_connectors_come_from_the_file_and_from_the_environment(tmp_path):
    file = tmp_path / "coatcheck.toml"
    file.write_text("[connector.sandbox]\nseed = 7\n")
    settings = load({"COATCHECK_CONNECTOR_SANDBOX_SEED": "8"}, file)
    assert settings.connector == {"sandbox": {"seed": 7}, "sandbox_seed": "8"}


def test_the_repr_contains_no_secret():
    settings = load(
        {
            "COATCHECK_DATABASE_URL": f"postgresql://me:{SWORDFISH}@db/x",
            "COATCHECK_DATABASE_DIRECT_URL": f"postgresql://me:{SWORDFISH}@db/x",
            "COATCHECK_MASTER_KEY": SWORDFISH,
            "COATCHECK_AUDIT_CHECKPOINT_URL": f"https://me:{SWORDFISH}@auditor.example",
            "COATCHECK_STAFF_OIDC_CLIENT_SECRET": SWORDFISH,
            "COATCHECK_CONNECTOR_X_SECRET": SWORDFISH,
        }
    )
    assert SWORDFISH not in repr(settings)
