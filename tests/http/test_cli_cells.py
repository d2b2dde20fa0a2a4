"""`coatcheck cell`: from two databases to a user that has moved."""

import json

import psycopg
import pytest

from coatcheck.cell_digit import digit_of_guid
from coatcheck.cli.exit_codes import ExitCode
from tests.databases import copied_database


@pytest.fixture
def of_cells(own_operator, bare_environment, server_url):
    """Runs a command of cell 0. The database of cell 1 is migrated."""
    with copied_database(server_url) as url:
        bare_environment.setenv("COATCHECK_CELL_1", url)
        bare_environment.setenv("COATCHECK_REQUEST_DEADLINE", "0.1")
        yield own_operator


def test_a_user_moves_to_a_cell_that_was_prepared(of_cells, own_url):
    assert of_cells("cell", "prepare", "1").out == (
        "Cell 1 is prepared. Start workers with COATCHECK_CELL=1, and restart serve.\n"
    )

    client = json.loads(of_cells("client", "add", "Acme", "--cell", "1", "--json").out)["client_id"]
    assert digit_of_guid(client) == "1"
    user = "USR-01a21c45-3658-763d-afbb-696543f67851"
    with psycopg.connect(own_url) as connection:
        connection.execute(
            "INSERT INTO end_user (guid, client_guid, created_at) VALUES (%s, %s, now())", (user, client)
        )
    assert of_cells("cell", "move", user, "--to", "7").code == ExitCode.NOT_FOUND
    assert of_cells("cell", "cancel", user).code == ExitCode.REFUSED
    assert of_cells("cell", "move", user, "--to", "1").out == f"{user} has moved from cell 0 to cell 1.\n"
    assert of_cells("cell", "move", user, "--to", "1").code == ExitCode.REFUSED
    cells = json.loads(of_cells("cell", "list", "--json").out)
    assert [(cell["cell"], cell["is_prepared"], cell["users"], cell["moving"]) for cell in cells] == [
        ("0", True, 0, 0),
        ("1", True, 1, 0),
    ]


def test_without_other_cells_the_commands_say_how_to_name_them(own_operator):
    answer = own_operator("cell", "list")
    assert answer.code == ExitCode.REFUSED
    assert "COATCHECK_CELL_1=" in answer.err


def test_a_client_is_not_added_in_an_unknown_cell(own_operator):
    assert own_operator("client", "add", "Acme", "--cell", "1").code == ExitCode.NOT_FOUND
