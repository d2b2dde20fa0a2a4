"""A form with a file, as a browser and curl send it."""

import httpx
import pytest

from coatcheck.errors import InvalidRequest, TooLarge
from coatcheck.http.multipart import Form, read_form

LIMIT = 1024 * 1024


def read(*parts: tuple[str, bytes], limit: int = LIMIT, content_type: str = "") -> Form:
    """What is read of these parts. `file` is sent with a name, and the others as fields."""
    files = [(name, ("x.ofx", data) if name == "file" else (None, data)) for name, data in parts]
    sent = httpx.Request("POST", "http://test", files=files)
    media_type = content_type or sent.headers["content-type"]
    return read_form(media_type, sent.read(), fields=("profile", "note"), max_file_bytes=limit)


def refusal(*parts: tuple[str, bytes], limit: int = LIMIT, content_type: str = "") -> str:
    with pytest.raises(InvalidRequest) as refused:
        read(*parts, limit=limit, content_type=content_type)
    return refused.value.problem


def test_the_file_and_the_fields_are_read_byte_for_byte() -> None:
    form = read(("note", "Größe".encode()), ("file", b"\x00\xff\r\n--x"), ("profile", b""))
    assert (form.file, form.fields) == (b"\x00\xff\r\n--x", {"note": "Größe", "profile": ""})


def test_a_file_may_be_as_large_as_the_limit_and_no_larger() -> None:
    assert read(("file", b"0" * LIMIT)).file == b"0" * LIMIT
    with pytest.raises(TooLarge) as refused:
        read(("file", b"0" * (LIMIT + 1)))
    assert refused.value.problem == "The file is larger than 1 MB. Split it."


def test_a_field_may_have_32_kilobytes() -> None:
    assert read(("file", b"x"), ("note", b"n" * 32 * 1024)).fields["note"] == "n" * 32 * 1024
    assert refusal(("file", b"x"), ("note", b"n" * (32 * 1024 + 1))) == "A field is too long."


@pytest.mark.parametrize(
    ("parts", "problem"),
    [
        ([], "The body is not valid multipart/form-data."),
        ([("note", b"x")], "The file is missing: send it in the part `file`."),
        ([("file", b"x"), ("file", b"y")], "A field is repeated."),
        ([("file", b"x"), ("note", b"a"), ("note", b"a")], "A field is repeated."),
        ([("file", b"x"), ("note", b"\xff")], "A field is not UTF-8."),
        (
            [("file", b"x"), ("colour", b"red")],
            "The field `colour` is unknown. The fields are file, profile, note.",
        ),
        (
            [("file", b"x"), ("c" * 101, b"red")],
            f"The field `{'c' * 100}` is unknown. The fields are file, profile, note.",
        ),
    ],
)
def test_the_refusal_of_a_form_says_what_is_wrong(parts: list[tuple[str, bytes]], problem: str) -> None:
    assert refusal(*parts, content_type="" if parts else "multipart/form-data") == problem


@pytest.mark.parametrize("content_type", ["application/json", "", "multipart/form-data2; boundary=x"])
def test_another_media_type_is_refused_with_the_one_to_send(content_type: str) -> None:
    problem = refusal(("file", b"x"), content_type=content_type or " ")
    assert problem == "The body must be multipart/form-data, with the file in the part `file`."


def test_the_media_type_is_read_in_each_spelling() -> None:
    body = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n1\r\n--x--\r\n'
    form = read_form(" Multipart/Form-Data ; boundary=x", body, fields=(), max_file_bytes=LIMIT)
    assert (form.file, form.fields) == (b"1", {})


@pytest.mark.parametrize("body", [b"", b"x", b"--x\r\nno header\r\n\r\n1\r\n--x--\r\n"])
def test_a_body_that_is_no_form_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidRequest):
        read_form("multipart/form-data; boundary=x", body, fields=(), max_file_bytes=LIMIT)
