"""Converts rows of MX's API to the records of connectors."""

import re
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, fields
from datetime import UTC, datetime
from typing import Any, TypeVar, get_type_hints

import msgspec

from coatcheck.connectors.contract import (
    BankAccount,
    BankNumbers,
    BankOwner,
    BankTransaction,
    ChallengeType,
    CredentialField,
    Institution,
    JobKind,
    Option,
    Question,
)
from coatcheck.connectors.json_answers import Row
from coatcheck.errors import BankDataUnusable

Record = TypeVar("Record", BankAccount, BankNumbers, BankOwner, BankTransaction)

PRODUCTS: Mapping[str, JobKind] = {
    "account_verification": JobKind.VERIFICATION,
    "identity_verification": JobKind.IDENTIFICATION,
    "transaction_history": JobKind.HISTORY,
    "history": JobKind.HISTORY,
    "statements": JobKind.STATEMENT,
}
"""The products of v20250224, with both spellings of the history."""
FLAGS: Mapping[str, JobKind] = {
    "supports_account_verification": JobKind.VERIFICATION,
    "supports_account_identification": JobKind.IDENTIFICATION,
    "supports_transaction_history": JobKind.HISTORY,
    "supports_account_statement": JobKind.STATEMENT,
}
"""The flags of v20111101."""
ALWAYS = frozenset({JobKind.AGGREGATION, JobKind.BALANCE})
"""MX has no flag for these."""
DAY = slice(len("2026-11-26"))
_INSTITUTIONS = uuid.UUID("5d0f2f0a-53b8-5a0e-9f0c-6a1f5b7e2c41")
"""Namespace of UUIDv5. In v20111101 an institution has no guid, so that ours is derived from its code."""


def account(row: Row) -> BankAccount | None:
    """None for an account without a balance: it has not been read, or has none, as an insurance."""
    if row.get("balance") is None:
        return None
    return _record(
        BankAccount,
        row,
        id=row.get("guid"),
        name=row.get("name") or row.get("nickname") or "",
        type=row.get("type") or "ANY",
        account_number_mask=_mask(row.get("account_number")),
    )


def unread_ids(rows: Iterable[Row]) -> list[str]:
    """The ids of open accounts without a balance."""
    return [
        str(row.get("guid"))
        for row in rows
        if row.get("balance") is None and row.get("is_closed") is not True
    ]


def numbers(row: Row) -> BankNumbers:
    return _record(BankNumbers, row, account_id=row.get("account_guid"))


def owner(row: Row) -> BankOwner:
    return _record(BankOwner, row, account_id=row.get("account_guid"))


def transaction(row: Row) -> BankTransaction:
    original = row.get("original_description") or row.get("description") or ""
    return _record(
        BankTransaction,
        {**row, "date": row.get("date") or str(row.get("transacted_at") or "")[DAY]},
        id=row.get("guid"),
        account_id=row.get("account_guid"),
        description=row.get("description") or original,
        original_description=original,
    )


def question(row: Row) -> Question:
    """A challenge.

    Raises:
        BankDataUnusable: it has no guid, or its type is unknown.
    """
    guid = row.get("guid")
    if not isinstance(guid, str) or row.get("type") not in {*ChallengeType}:
        raise BankDataUnusable
    options = row.get("image_options" if row["type"] == ChallengeType.IMAGE_OPTIONS else "options") or ()
    return Question(
        key=guid,
        type=ChallengeType(row["type"]),
        label=str(row.get("label") or ""),
        options=tuple(
            Option(
                str(each.get("label") or ""), str(each.get("value") or each.get("guid")), each.get("data_uri")
            )
            for each in options
        ),
        image_data=row.get("image_data"),
    )


def institution(row: Row, credentials: Iterable[Row], *, code_prefix: str, popularity: int) -> Institution:
    """An institution of the upstream's list.

    Args:
        row: the institution.
        credentials: the fields of its sign-in form.
        code_prefix: what is put before the upstream's code.
        popularity: its position among the others.

    Raises:
        BankDataUnusable: it has no code or no name.
    """
    code, name = row.get("code"), row.get("name")
    if not isinstance(code, str) or not isinstance(name, str):
        raise BankDataUnusable
    is_oauth = row.get("supports_oauth") is True
    return Institution(
        code=code_prefix + code,
        guid=f"INS-{uuid.uuid5(_INSTITUTIONS, code_prefix + code)}",
        name=name,
        url=_web_url(row.get("url")) or "",
        iso_country_code=row.get("iso_country_code") or "US",
        supports=_supports(row),
        supports_oauth=is_oauth,
        credentials=() if is_oauth else tuple(map(_credential_field, credentials)),
        popularity=popularity,
        instructional_text=_without_tags(row.get("instructional_text")),
        forgot_password_url=_web_url(row.get("forgot_password_url")),
        forgot_username_url=_web_url(row.get("forgot_username_url")),
        trouble_signing_in_url=_web_url(row.get("trouble_signing_in_url")),
    )


def _supports(row: Row) -> frozenset[JobKind]:
    products = row.get("supported_products")
    named = [PRODUCTS.get(each) for each in products] if isinstance(products, list) else []
    flagged = [kind for flag, kind in FLAGS.items() if row.get(flag) is True]
    return ALWAYS | {kind for kind in (*named, *flagged) if kind}


def _credential_field(row: Row) -> CredentialField:
    guid = str(row.get("guid"))
    return CredentialField(
        guid=guid,
        field_name=str(row.get("field_name") or guid),
        field_type=str(row.get("field_type") or row.get("type") or "TEXT"),
        label=str(row.get("label") or row.get("field_name") or ""),
        display_order=int(row.get("display_order") or 0),
    )


def _mask(account_number: object) -> str | None:
    """The last four digits."""
    return "".join(re.findall(r"\d", str(account_number or "")))[-4:] or None


def _web_url(url: object) -> str | None:
    return url if isinstance(url, str) and url.startswith(("https://", "http://")) else None


def _without_tags(text: object) -> str | None:
    """MX puts links into the text."""
    return re.sub(r"<[^<>]*>", "", text) if isinstance(text, str) else None


def _record(kind: type[Record], row: Row, **values: Any) -> Record:
    """The record with the row's values of the same names.

    An optional value that is null or cannot be read is left out. A required one is passed on as it is: the session
    refuses the record, or leaves it out and counts it.
    """
    for name, hint, is_required in _FIELDS[kind]:
        value = row.get(name)
        if name in values or (value is None and not is_required):
            continue
        try:
            values[name] = _aware(msgspec.convert(value, hint, strict=False))
        except msgspec.ValidationError:
            if is_required:
                values[name] = value
    return kind(**values)


def _aware(value: object) -> object:
    """A time without a zone is UTC, in which MX writes all of them."""
    if isinstance(value, datetime) and value.tzinfo is None:
        return value.replace(tzinfo=UTC)
    return value


def _fields_of(kind: type[Any]) -> tuple[tuple[str, Any, bool], ...]:
    """Name, type and whether it is required."""
    hints = get_type_hints(kind)
    return tuple((each.name, hints[each.name], each.default is MISSING) for each in fields(kind))


_FIELDS = {kind: _fields_of(kind) for kind in (BankAccount, BankNumbers, BankOwner, BankTransaction)}
