"""What commands print: every value whole, one row a line, and JSON for scripts."""

import json
from datetime import datetime, timedelta, timezone

import pytest

from coatcheck.cli import console

LONG = "CLT-" + "x" * 200


@pytest.fixture
def printed(capsys):
    return lambda: capsys.readouterr().out


def test_a_table_is_as_wide_as_its_values(printed):
    console.print_rows(
        [{"client_id": LONG, "is_disabled": True}, {"client_id": "[b]", "is_disabled": None}],
        as_json=False,
        empty="",
    )
    heading, first, second = printed().splitlines()
    assert heading.split() == ["client", "id", "is", "disabled"]
    assert first.split() == [LONG, "yes"]
    assert second.split() == ["[b]", "-"]
    assert second.index("-") == first.index("yes")


def test_times_are_written_as_the_api_writes_them(printed):
    at = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone(timedelta(hours=1)))
    console.print_json({"created_at": at})
    assert json.loads(printed()) == {"created_at": "2026-01-02T02:04:05Z"}
    console.print_facts({"created_at": at}, as_json=False)
    assert printed().split() == ["created", "at", "2026-01-02T02:04:05Z"]


def test_an_empty_table_is_a_sentence_for_people_and_an_empty_list_for_scripts(printed):
    console.print_rows([], as_json=False, empty="There is none.")
    assert printed() == "There is none.\n"
    console.print_rows([], as_json=True, empty="There is none.")
    assert json.loads(printed()) == []


def test_facts_are_aligned_and_end_without_spaces(printed):
    console.print_facts({"a": ["x", "y"], "long_name": LONG, "none": []}, as_json=False, note="[note]")
    assert printed() == f"a          x, y\nlong name  {LONG}\nnone       -\n[note]\n"


def test_json_is_not_wrapped_and_has_no_note(printed):
    console.print_facts({"url": LONG, "umlaut": "ü"}, as_json=True, note="note")
    text = printed()
    assert json.loads(text) == {"url": LONG, "umlaut": "ü"}
    assert "ü" in text
    assert "note" not in text


def test_an_error_is_one_line_on_standard_error(capsys):
    console.print_error("[bold]" + LONG)
    answer = capsys.readouterr()
    assert (answer.out, answer.err) == ("", f"coatcheck: [bold]{LONG}\n")


def test_control_characters_in_a_value_are_written_as_escapes(printed):
    value = "a\x1b[2Jb\x9b31mc\u202ed"
    console.print_facts({"reason": value, "list": [value]}, as_json=False)
    console.print_rows([{"reason": value}], as_json=False, empty="")
    assert printed().split().count("a\\x1b[2Jb\\x9b31mc\\u202ed") == 3
    console.print_facts({"text": "one\ntwo"}, as_json=False)
    assert printed().split() == ["text", "one", "two"]
