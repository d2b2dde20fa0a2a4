"""`coatcheck keys`: creates master keys and wraps the other keys again."""

import json
import re

import psycopg

from coatcheck.cli.exit_codes import ExitCode


def test_each_new_master_key_has_the_format_of_the_file_and_is_different(terminal):
    first, second = terminal("keys", "new").out, terminal("keys", "new").out
    assert re.fullmatch(r"mk-[0-9a-f]{8}:[A-Za-z0-9+/]{43}=\n", first)
    assert first != second
    assert json.loads(terminal("keys", "new", "--json").out)["master_key"].startswith("mk-")


def test_after_a_rotation_the_old_key_is_not_needed_and_no_longer_enough(
    own_operator, own_url, bare_environment, master_key
):
    client = json.loads(own_operator("client", "add", "Acme Bank", "--json").out)["client_id"]
    hook = ("client", "webhook", client, "https://acme.example/hook", "--json")
    secret = json.loads(own_operator(*hook).out)["webhook_secret"]  # sealed under the client's own key

    new_key = own_operator("keys", "new").out.strip()
    bare_environment.setenv("COATCHECK_MASTER_KEY", f"{new_key},{master_key}")
    with psycopg.connect(own_url) as connection:
        (wrapped,) = connection.execute(
            """SELECT (SELECT count(*) FROM keyring) + (SELECT count(*) FROM data_key)
                      + (SELECT count(*) FROM signing_key)"""
        ).fetchone()
    assert wrapped > 1
    assert json.loads(own_operator("keys", "rotate", "--json").out) == {"rewrapped": wrapped}
    assert json.loads(own_operator("keys", "rotate", "--json").out) == {"rewrapped": 0}
    again = own_operator("keys", "rotate").out
    assert again.startswith(f"Nothing was changed: {new_key.partition(':')[0]}, ")
    with psycopg.connect(own_url) as connection:
        rotations = connection.execute(
            """SELECT body::json ->> 'actor', body::json ->> 'subject' FROM audit_entry
               WHERE body::json ->> 'action' = 'master_key.rotated'"""
        ).fetchall()
    assert rotations == [("operator", new_key.partition(":")[0])] * 3

    bare_environment.setenv("COATCHECK_MASTER_KEY", new_key)
    assert json.loads(own_operator(*hook).out)["webhook_secret"] == secret
    bare_environment.setenv("COATCHECK_MASTER_KEY", master_key)
    assert own_operator("client", "list").code == ExitCode.CONFIGURATION


def test_a_rotation_without_the_key_in_use_changes_nothing(own_operator, bare_environment, master_key):
    own_operator("client", "add", "Acme Bank")
    bare_environment.setenv("COATCHECK_MASTER_KEY", own_operator("keys", "new").out.strip())
    assert own_operator("keys", "rotate").code == ExitCode.CONFIGURATION
    bare_environment.setenv("COATCHECK_MASTER_KEY", master_key)
    assert own_operator("client", "list").code == 0
