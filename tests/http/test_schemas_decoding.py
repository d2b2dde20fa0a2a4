"""Request bodies: unknown fields are ignored, known fields are validated, values are never quoted."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, Literal

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import UNSET, Meta, UnsetType, field

from coatcheck.api.routes.table import ROUTES
from coatcheck.api.schemas.accounts import (
    AccountCreateRequestBody,
    AccountsMergeRequestBody,
    AccountUpdateRequestBody,
)
from coatcheck.api.schemas.members import (
    MemberCreateRequestBody,
    MemberResumeRequestBody,
    MemberUpdateRequestBody,
)
from coatcheck.api.schemas.micro_deposits import MicrodepositVerifyRequestBody
from coatcheck.api.schemas.tokens import TokenRequestBody
from coatcheck.api.schemas.users import UserRequestBody
from coatcheck.api.schemas.widgets import ConnectWidgetRequestBody, WidgetRequestBody
from coatcheck.errors import InvalidRequest
from coatcheck.http.decoding import (
    ChangeSchema,
    Currency,
    Name,
    StrictSchema,
    convert,
    given_fields,
    parse,
)

BODIES = sorted({route.body for route in ROUTES if route.body}, key=lambda body: body.__name__)
SECRET = "hunter2-hunter2"


def refusal(body: bytes, schema: type[Any]) -> str:
    with pytest.raises(InvalidRequest) as caught:
        parse(body, schema)
    assert caught.value.__cause__ is None
    return str(caught.value)


def test_unknown_fields_are_ignored_at_every_depth() -> None:
    body = b'{"user":{"id":"u-1","favourite_colour":"red"},"from_the_future":[{"a":{}}]}'
    assert given_fields(parse(body, UserRequestBody).user) == {"id": "u-1"}


def test_a_null_is_given_and_an_absent_field_is_not() -> None:
    assert given_fields(parse(b'{"user":{"email":null}}', UserRequestBody).user) == {"email": None}


def test_given_fields_with_names_returns_only_those_fields() -> None:
    change = parse(
        b'{"member":{"metadata":"m","skip_aggregation":true,"id":"x"}}', MemberUpdateRequestBody
    ).member
    assert given_fields(change, "id", "metadata", "use_cases") == {"id": "x", "metadata": "m"}


@pytest.mark.parametrize(
    ("schema", "key"),
    [
        (UserRequestBody, "user"),
        (MemberUpdateRequestBody, "member"),
        (AccountUpdateRequestBody, "account"),
    ],
)
def test_an_empty_object_is_refused(schema: type[Any], key: str) -> None:
    assert key in refusal(json.dumps({key: {}}).encode(), schema)
    assert key in refusal(json.dumps({key: {"unknown": 1}}).encode(), schema)
    assert key in refusal(b"{}", schema)


def test_account_fields_are_given_under_the_names_of_the_record() -> None:
    body = b'{"account":{"account_type":"SAVINGS","account_subtype":"MONEY_MARKET","balance":1.10}}'
    assert given_fields(parse(body, AccountUpdateRequestBody).account) == {
        "type": "SAVINGS",
        "subtype": "MONEY_MARKET",
        "balance": Decimal("1.10"),
    }


@pytest.mark.parametrize(
    ("body", "schema", "where"),
    [
        (b'{"user":{"id":5}}', UserRequestBody, "user.id"),
        (b'{"user":{"id":""}}', UserRequestBody, "user.id"),
        (b'{"user":{"id":"a/b"}}', UserRequestBody, "user.id"),
        (b'{"user":{"id":"%s"}}' % (b"x" * 256), UserRequestBody, "user.id"),
        (b'{"user":{"is_disabled":"yes"}}', UserRequestBody, "user.is_disabled"),
        (b'{"user":{"metadata":{"a":1}}}', UserRequestBody, "user.metadata"),
        (b'{"member":{}}', MemberCreateRequestBody, "institution_code"),
        (
            b'{"member":{"institution_code":"m","credentials":[{"guid":"CRD-1"}]}}',
            MemberCreateRequestBody,
            "member.credentials[0]",
        ),
        (
            b'{"member":{"institution_code":"m","use_cases":["FUN"]}}',
            MemberCreateRequestBody,
            "member.use_cases",
        ),
        (
            b'{"member":{"institution_code":"m"},"data_request":{"products":["gold"]}}',
            MemberCreateRequestBody,
            "data_request.products[0]",
        ),
        (b'{"member":{"challenges":[]}}', MemberResumeRequestBody, "member.challenges"),
        (b'{"account":{"account_guids":["ACT-1"]}}', AccountsMergeRequestBody, "account.account_guids"),
        (b'{"account":{"name":"n"}}', AccountCreateRequestBody, "account_type"),
        (b'{"account":{"death_benefit":2147483648}}', AccountUpdateRequestBody, "account.death_benefit"),
        (b'{"account":{"balance":"NaN"}}', AccountUpdateRequestBody, "balance"),
        (b'{"account":{"balance":1e999}}', AccountUpdateRequestBody, "balance"),
        (b'{"account":{"balance":1e999999999999}}', AccountUpdateRequestBody, "balance"),
        (b'{"account":{"balance":-1e999999999999}}', AccountUpdateRequestBody, "balance"),
        (b'{"account":{"balance":"sNaN"}}', AccountUpdateRequestBody, "balance"),
        (b'{"account":{"balance":1e-99999}}', AccountUpdateRequestBody, "balance"),
        (b'{"account":{"balance":true}}', AccountUpdateRequestBody, "account.balance"),
        (b'{"widget_url":{"mode":"tax"}}', WidgetRequestBody, "widget_url"),
        (b'{"micro_deposit":{"deposit_amount_1":0.09}}', MicrodepositVerifyRequestBody, "deposit_amount_2"),
    ],
)
def test_a_validation_error_names_the_field(body: bytes, schema: type[Any], where: str) -> None:
    assert where in refusal(body, schema)


@pytest.mark.parametrize(
    "body",
    [
        b'{"member":{"institution_code":["%s"]}}',
        b'{"member":{"institution_code":"m","use_cases":["%s"]}}',
        b'{"member":{"institution_code":"m","id":"%s/%s"}}',
        b'{"member":{"institution_code":"m","is_oauth":"%s"}}',
        b'{"member":{"institution_code":"m","credentials":"%s"}}',
        b'{"member":{"institution_code":"m","credentials":[{"guid":"c","value":"%s\\u0000"}]}}',
        b'{"member":{"institution_code":"m"},"referral_source":"%s"}',
        b'{"%s":1}',
        b'{"member":{"institution_code":"%s',
        b'"%s"',
    ],
)
def test_a_validation_error_never_quotes_a_value(body: bytes) -> None:
    assert SECRET not in refusal(body.replace(b"%s", SECRET.encode()), MemberCreateRequestBody)


@pytest.mark.parametrize("schema", BODIES)
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not json",
        b"null",
        b"[]",
        b'"text"',
        b"\xff\xfe",
        b"\xef\xbb\xbf[]",
        b"{" * 100_000,
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
        b'{"a":NaN,"user":{}}',
        b'{"a":"\\ud800"}',
        b'{"a":"\\udc00\\ud800"}',
    ],
    ids=lambda body: repr(body[:20]).replace("\\", "") if isinstance(body, bytes) else None,
)
def test_malformed_bodies_are_refused(body: bytes, schema: type[Any]) -> None:
    assert refusal(body, schema)


@pytest.mark.parametrize(
    "value",
    [b"a\\u0000b", b"\\ud800", b"\\udc00x", b"a\x00b", b"\xff", b"\xed\xa0\x80"],
    ids=["nul", "high surrogate", "low surrogate", "raw nul", "no utf-8", "utf-8 surrogate"],
)
@pytest.mark.parametrize("field", [b"id", b"email", b"metadata"])
def test_text_that_postgresql_cannot_store_is_refused(field: bytes, value: bytes) -> None:
    assert refusal(b'{"user":{"%s":"%s"}}' % (field, value), UserRequestBody)


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@pytest.mark.parametrize("schema", BODIES)
@settings(max_examples=8, deadline=None)
@given(junk=st.binary() | JSON.map(lambda value: json.dumps(value).encode()), value=JSON)
def test_any_body_is_decoded_or_refused(schema: type[Any], junk: bytes, value: Any) -> None:
    below = dict.fromkeys(schema.__struct_encode_fields__, value)
    for body in (
        junk,
        json.dumps(below).encode(),
        json.dumps({key: {"id": value} for key in below}).encode(),
    ):
        try:
            parse(body, schema)
        except InvalidRequest:
            continue


class Change(ChangeSchema, frozen=True, kw_only=True):
    """An object whose attributes and keys have different names."""

    name: Name | UnsetType = field(default=UNSET, name="title")
    balance: Decimal | UnsetType = field(default=UNSET, name="amount")
    at: datetime | UnsetType = field(default=UNSET, name="since")


def test_a_name_is_canonical_and_an_instant_is_in_utc() -> None:
    change = parse(b'{"title":" Ann  Lee ","since":"2026-01-31T12:00:00+02:00"}', Change)
    assert given_fields(change) == {"name": "Ann Lee", "at": datetime(2026, 1, 31, 10, tzinfo=UTC)}
    assert isinstance(change.at, datetime)
    assert change.at.tzinfo is UTC
    assert repr(change) == "Change(...)"


@pytest.mark.parametrize("amount", ["999999999999999.12345678", "-999999999999999.12345678", "1e-8", "0"])
def test_an_amount_that_fits_the_database_is_accepted(amount: str) -> None:
    assert parse(f'{{"amount":{amount}}}'.encode(), Change).balance == Decimal(amount)


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ("", "The request must have a JSON body."),
        ("x", "The body is not valid JSON."),
        (
            '{"title":"a","title":"b"}',
            "The body is not valid JSON: a key is repeated, or a number is too long.",
        ),
        ("{}", "The body: it must contain at least one of title, amount, since."),
        ('{"title":5}', "title: expected `str`, got `int`."),
        (
            r'{"title":"a\u0000b"}',
            "The body: `title` is invalid: The name is too long, or contains characters that are not allowed.",
        ),
        (
            '{"amount":1e15}',
            "The body: `amount` is out of range or has more than 8 decimal places.",
        ),
        (
            '{"amount":-1e15}',
            "The body: `amount` is out of range or has more than 8 decimal places.",
        ),
        (
            '{"amount":1.123456789}',
            "The body: `amount` is out of range or has more than 8 decimal places.",
        ),
        ('{"since":"0001-01-01T00:00:00+14:00"}', "The body: `since` is out of range."),
    ],
)
def test_a_refused_body_is_explained_by_the_key_in_one_sentence(body: str, problem: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse(body.encode(), Change)
    assert caught.value.problem == problem


class Side(StrEnum):
    LEFT = "left"
    RIGHT = "right"


class Part(StrictSchema, frozen=True, kw_only=True):
    kind: Literal["debit", "credit"] = field(default="debit", name="type")
    version: Literal["one"] = "one"
    currency: Currency | None = None
    letter: Annotated[str, Meta(pattern="^x$")] = "x"
    side: Side | None = None
    purpose: Annotated[Literal["pay", "save"], Meta(description="What it is for.")] = "pay"
    at: datetime | None = None


class Whole(StrictSchema, frozen=True, kw_only=True):
    parts: tuple[Part, ...]


@pytest.mark.parametrize(
    ("parts", "problem"),
    [
        ('[{},{"type":"other"}]', "parts[1].type: it must be one of credit, debit."),
        ('[{"version":"two"}]', "parts[0].version: it must be one."),
        ('[{"side":"up"}]', "parts[0].side: it must be one of left, right."),
        ('[{"purpose":"lend"}]', "parts[0].purpose: it must be one of pay, save."),
        ('[{"currency":"usd"}]', "parts[0].currency: it must be three capital letters, such as USD."),
        ('[{"letter":"y"}]', "parts[0].letter: it must be in another format."),
        (
            '[{"at":"soon"}]',
            "parts[0].at: it must be a time with a time zone, such as 2027-02-01T00:00:00Z.",
        ),
        ('[{"colour":1}]', "parts[0]: object contains unknown field `colour`."),
        ('{"a":1}', "parts: expected `array`, got `object`."),
    ],
)
def test_a_refused_part_of_a_body_is_explained_by_its_path(parts: str, problem: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse(f'{{"parts":{parts}}}'.encode(), Whole)
    assert caught.value.problem == problem
    with pytest.raises(InvalidRequest) as caught:
        convert({"parts": json.loads(parts)}, Whole)
    assert caught.value.problem == problem


def test_a_missing_field_and_one_with_a_long_unknown_name_are_explained() -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse(b"{}", Whole)
    assert caught.value.problem == "The body: object missing required field `parts`."
    with pytest.raises(InvalidRequest) as caught:
        parse(b'{"parts":[{"%s":1}]}' % (b"c" * 600), Whole)
    assert len(str(caught.value.problem)) < 520


def test_values_that_were_read_before_are_converted_and_a_byte_order_mark_is_ignored() -> None:
    assert convert({"parts": [{"type": "credit"}]}, Whole).parts == (Part(kind="credit"),)
    assert parse(b'\xef\xbb\xbf{"parts":[{"type":"credit"}]}', Whole).parts == (Part(kind="credit"),)


def test_the_repr_of_a_request_contains_no_values() -> None:
    body = {"member": {"challenges": [{"guid": "CRD-1", "value": SECRET}]}}
    request = parse(json.dumps(body).encode(), MemberResumeRequestBody)
    assert request.member.challenges[0].value == SECRET
    assert SECRET not in f"{request!r} {request} {request.member.challenges!r}"


def test_bodies_of_known_clients_are_accepted() -> None:
    quickstart = {
        "widget_url": {
            "mode": "verification",
            "widget_type": "connect_widget",
            "wait_for_full_aggregation": True,
            "ui_message_version": 4,
        }
    }
    assert parse(json.dumps(quickstart).encode(), WidgetRequestBody).widget_url.mode == "verification"
    dwolla = {"config": {"mode": "verification", "ui_message_version": 4}}
    assert parse(json.dumps(dwolla).encode(), ConnectWidgetRequestBody).config.ui_message_version == 4
    connect = {
        "data_request": {"products": ["account_verification", "identity_verification", "transactions"]},
        "member": {"institution_code": "mxbank", "is_oauth": True, "credentials": []},
        "referral_source": "APP",
        "client_redirect_url": "https://client.test/back",
    }
    assert parse(json.dumps(connect).encode(), MemberCreateRequestBody).data_request is not None


def test_the_token_filter_is_optional() -> None:
    assert parse(b"{}", TokenRequestBody).scope.user_guid is None
    assert parse(b'{"scope":{"user_guid":"USR-1"}}', TokenRequestBody).scope.user_guid == "USR-1"


@pytest.mark.parametrize("schema", BODIES)
def test_every_body_has_a_json_schema(schema: type[Any]) -> None:
    assert msgspec.json.schema(schema)["$defs"]
