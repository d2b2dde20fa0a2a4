"""The demo runs the whole flow, masks what is secret, and leaves nothing running."""

import json
import re
import resource
import subprocess
import sys

import pytest

from coatcheck.cli.demo_caller import mask

LIMIT = 60
"""Seconds of the processor, which are the same on a busy machine."""


@pytest.fixture(scope="module")
def output(tmp_path_factory):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-m", "coatcheck.cli", "demo", "--data-dir", tmp_path_factory.mktemp("demo")],
        capture_output=True,
        text=True,
        check=False,
        timeout=10 * LIMIT,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < LIMIT
    return done.stdout


def test_every_request_of_the_flow_is_sent_in_order(output):
    requests = re.findall(r"^(client|end user|processor) +(GET|POST|PUT) (\S+)", output, re.MULTILINE)
    paths = [re.sub(r"(USR|MBR|ACT|TKN)-[0-9a-f-]+", r"\1", path).partition("?")[0] for *_, path in requests]
    flow = [
        "/users",
        "/institutions",
        "/institutions/mxbank/credentials",
        "/users/USR/members",
        "/users/USR/members/MBR/challenges",
        "/users/USR/members/MBR/resume",
        "/users/USR/members/MBR/verify",
        "/users/USR/members/MBR/identify",
        "/users/USR/accounts",
        "/authorization_code",
        "/token",
        "/account/account_numbers",
        "/account/account_owners",
        "/account/transactions",
        "/account/transactions",
        "/account/check_balance",
        "/payment_account",
        "/token",
        "/coatcheck/grants",
        "/coatcheck/grants/TKN/revoke",
        "/account/account_numbers",
    ]
    remaining = iter(paths)
    assert all(step in remaining for step in flow), paths


def test_the_replayed_code_is_refused_and_the_token_of_the_revoked_grant_too(output):
    end = output[output.rindex("/token") :]
    assert re.findall(r"^(\d{3})$", end, re.MULTILINE) == ["400", "200", "200", "401"]
    assert "invalid_grant" in end
    assert "token_revoked" in end
    assert '"receipt": "ey' in end


def test_every_step_has_an_explanation_and_the_last_line_the_next_command(output):
    assert output.count("-> ") >= 19
    assert re.search(r"To keep a server running: \S+coatcheck sandbox", output.splitlines()[-1])


def test_no_number_and_no_secret_is_in_clear_text(output):
    assert not re.search(r"(?<![0-9a-f-])\d{9,}", output)
    assert not re.search(r"c[a-z]{2}_\w{6}", output)


def test_the_owner_is_shown_by_first_characters_only(output):
    for name in ("owner_name", "address", "email", "phone"):
        assert re.search(rf'"{name}": ".\*\*\*\*\*"', output), name
    assert "@" not in output


def test_personal_data_is_masked_at_any_depth():
    person = {
        "first_name": "Ada",
        "last_name": "Example",
        "email": "ada@mail.example",
        "phone": "+12085550137",
    }
    masked = mask(
        {"rows": [person | {"owner_name": "Ada Example", "address": "1 Elm Court"}], "name": "MX Bank"}
    )
    for in_clear in ("Ada", "Example", "ada", "1208", "0137", "Elm"):
        assert in_clear not in masked
    assert masked.count("A*****") == 2
    assert "MX Bank" in masked


def test_secrets_are_masked_nulls_left_out_and_long_values_shortened():
    masked = mask(
        {
            "access_token": "cct_0001234567890",
            "account_number": 87655678,
            "empty": None,
            "rows": [{"routing_number": "091000019"}, {}, {}, {}],
            "phone": "+12085550137",
            "value": "swordfish",
            "code": "mxbank",
            "picture": "data:" + "x" * 100,
            "guid": "ACT-01a208d1-9b9a-7459-aa04-012345678901",
        }
    )
    assert "cct_0001..." in masked
    for secret in ("cct_00012", "87655678", "09100", "12085", "swordfish", "empty", "x" * 60):
        assert secret not in masked
    assert '"*****5678"' in masked
    assert "ACT-01a208d1-9b9a-7459-aa04-012345678901" in masked
    assert "mxbank" in masked
    assert '"... 2 more"' in masked


@pytest.mark.slow
def test_with_json_it_prints_every_step_masked():
    done = subprocess.run(
        [sys.executable, "-m", "coatcheck.cli", "demo", "--json"],
        capture_output=True,
        text=True,
        check=True,
        timeout=10 * LIMIT,
    )
    printed = json.loads(done.stdout)
    statuses = [step["status"] for step in printed["steps"]]
    assert len(statuses) >= 19
    assert statuses[-4:] == [400, 200, 200, 401]
    assert all(step["means"] for step in printed["steps"])
    assert printed["seconds"] < 10 * LIMIT
    assert not re.search(r"(?<![0-9a-f-])\d{9,}", done.stdout)
    assert not re.search(r"c[a-z]{2}_\w{6}", done.stdout)
