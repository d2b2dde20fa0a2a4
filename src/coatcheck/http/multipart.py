"""Reads a form with a file (RFC 7578). The file stays in memory, as the body does: it is never on the disk."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from python_multipart import create_form_parser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import Field, File

from coatcheck.errors import InvalidRequest, TooLarge

MULTIPART = "multipart/form-data"
MAX_FIELD_BYTES = 32 * 1024


@dataclass(frozen=True, slots=True)
class Form:
    file: bytes = field(repr=False)
    fields: Mapping[str, str] = field(repr=False)


def read_form(content_type: str, body: bytes, *, fields: Collection[str], max_file_bytes: int) -> Form:
    """The file in the part `file`, and the fields.

    Args:
        content_type: the header `Content-Type`.
        body: the body.
        fields: the names of the fields that the form may have.
        max_file_bytes: the limit of the file.

    Raises:
        InvalidRequest: it is not such a form, the file is missing, or a part is unknown, repeated or too long.
        TooLarge: the file is.
    """
    if content_type.partition(";")[0].strip().casefold() != MULTIPART:
        raise InvalidRequest(f"The body must be {MULTIPART}, with the file in the part `file`.")
    parts: list[tuple[str, bytes]] = []

    def add_field(part: Field) -> None:
        parts.append((_name(part.field_name), part.value or b""))

    def add_file(part: File) -> None:
        parts.append((_name(part.field_name), part.file_object.getvalue()))  # type: ignore[union-attr]  # in memory

    try:
        parser = create_form_parser(
            {"Content-Type": content_type.encode("latin-1")},
            add_field,
            add_file,
            # No part is as long, so the parser writes none to the disk.
            config={"MAX_MEMORY_FILE_SIZE": len(body) + 1, "MAX_FIELDS": len(fields) + 1},
        )
        parser.write(body)
        parser.finalize()
    except (FormParserError, UnicodeError, ValueError):
        raise InvalidRequest(f"The body is not valid {MULTIPART}.") from None
    return _form(parts, fields, max_file_bytes)


def _form(parts: list[tuple[str, bytes]], fields: Collection[str], max_file_bytes: int) -> Form:
    values = dict(parts)
    if unknown := next((name for name in values if name not in {"file", *fields}), None):
        raise InvalidRequest(
            f"The field `{unknown[:100]}` is unknown. The fields are file, {', '.join(fields)}."
        )
    # Programs differ in which of two parts of one name they read.
    if len(values) < len(parts):
        raise InvalidRequest("A field is repeated.")
    if "file" not in values:
        raise InvalidRequest("The file is missing: send it in the part `file`.")
    file = values.pop("file")
    if len(file) > max_file_bytes:
        raise TooLarge(f"The file is larger than {max_file_bytes // 1024 // 1024} MB. Split it.")
    if any(len(value) > MAX_FIELD_BYTES for value in values.values()):
        raise InvalidRequest("A field is too long.")
    try:
        return Form(file, {name: value.decode() for name, value in values.items()})
    except UnicodeDecodeError:
        raise InvalidRequest("A field is not UTF-8.") from None


def _name(name: bytes | None) -> str:
    return (name or b"").decode("utf-8", "replace")
