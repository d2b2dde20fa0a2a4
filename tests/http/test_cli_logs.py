"""A log line contains no secret."""

import io
import json
import logging
import re

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from coatcheck import ids
from coatcheck.cli import logs
from coatcheck.grants.secrets import Kind, generate


@pytest.fixture
def stream():
    """The stream of a configured log; the configuration is restored afterwards."""
    handlers, level = logging.root.handlers[:], logging.root.level
    stream = io.StringIO()
    logs.configure("DEBUG", "json", stream)
    yield stream
    structlog.reset_defaults()
    logging.captureWarnings(False)
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)


def redacted(**event):
    return logs.redact(None, "info", event)


@pytest.mark.parametrize("kind", list(Kind))
@pytest.mark.parametrize("around", ["{}", "GET /token?code={}&grant_type=x", "code={}.", '{{"a":"{}"}}'])
def test_no_generated_secret_is_in_a_line(kind, around):
    secret = generate(kind, b"k" * 32).text
    assert secret[4:] not in json.dumps(redacted(event=around.format(secret)))


@given(st.text(alphabet="0123456789", min_size=9, max_size=17), st.text(max_size=20), st.text(max_size=20))
def test_no_run_of_digits_as_long_as_an_account_number_is_in_a_line(number, before, after):
    line = json.dumps(redacted(event=before + number + after, nested=[{"a": number}, int(number or 0)]))
    assert not re.search(r"[0-9]{9}", re.sub(r"\\u[0-9a-f]{4}", "", line))


@given(st.binary(min_size=1))
def test_bytes_are_never_shown(value):
    assert redacted(event="sealed", blob=value)["blob"] == logs.HIDDEN


@pytest.mark.parametrize(
    "name", ["authorization", "Authorization", "code", "access_token", "password", "Set-Cookie", "api_key"]
)
def test_a_value_under_a_secret_s_name_is_hidden_at_any_depth(name):
    line = redacted(event="x", headers={name: "swordfish"}, **{name: "swordfish"})
    assert "swordfish" not in json.dumps(line)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Basic dXNlcjpwYXNz", "Basic [hidden]"),
        ("bearer was Bearer abc.def", "bearer was Bearer [hidden]"),
        ("postgresql://coatcheck:hunter2@db/coatcheck", "postgresql://coatcheck:[hidden]@db/coatcheck"),
        ("account 123456789", "account [hidden]"),
        ("12345678 rows", "12345678 rows"),
    ],
)
def test_text_with_the_form_of_a_secret_is_hidden_and_the_rest_stays(text, expected):
    assert redacted(event=text)["event"] == expected


def test_guids_stay_whatever_digits_they_contain():
    guid = ids.new("USR")
    digits = "ACT-01234567-1234-1234-1234-123456789012"
    assert redacted(event=f"{guid} {digits}", user_guid=guid)["event"] == f"{guid} {digits}"


def test_lines_of_this_package_and_of_libraries_are_redacted_json(stream):
    structlog.get_logger("ours").info("saved", job_guid="JOB-1", count=3, password="swordfish")
    logging.getLogger("theirs").warning("got %s", "987654321")
    own, library = (json.loads(line) for line in stream.getvalue().splitlines())
    assert (own["event"], own["level"], own["job_guid"], own["count"]) == ("saved", "info", "JOB-1", 3)
    assert own["password"] == logs.HIDDEN
    assert (library["event"], library["logger"], library["level"]) == ("got [hidden]", "theirs", "warning")


def test_the_text_of_an_exception_is_redacted(stream):
    try:
        raise ValueError("could not read 4417123456789113 of cca_0001234567890abcdefg")
    except ValueError:
        structlog.get_logger().exception("failed")
    line = json.loads(stream.getvalue())
    assert "ValueError: could not read [hidden] of [hidden]" in line["exception"]


def test_libraries_do_not_log_at_debug(stream):
    logging.getLogger("library").debug("frame 1234")
    logging.getLogger("httpx").info("HTTP Request: POST /token?code=1")
    assert not stream.getvalue()


def test_lines_for_the_console_are_redacted(stream):
    logs.configure("INFO", "console", stream)
    structlog.get_logger("ours").info("saved", account="123456789012")
    assert "saved" in stream.getvalue()
    assert "123456789012" not in stream.getvalue()
