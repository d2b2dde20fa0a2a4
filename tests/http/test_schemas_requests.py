"""What clients send: tolerant of the unknown, strict with the known, silent about values."""

import json
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coatcheck.api.schemas import requests
from coatcheck.api.schemas.requests import Request, parse
from coatcheck.api.schemas.requests import given as sent
from coatcheck.errors import InvalidRequest

BODIES = [
    kind
    for kind in vars(requests).values()
    if isinstance(kind, type) and issubclass(kind, Request) and kind.__name__.endswith("Body")
]
SECRET = "hunter2-hunter2"


def refusal(body: bytes, kind: type[Any]) -> str:
    with pytest.raises(InvalidRequest) as caught:
        parse(body, kind)
    assert caught.value.__cause__ is None
    return str(caught.value)


def test_unknown_fields_are_ignored_at_every_depth() -> None:
    body = b'{"user":{"id":"u-1","favourite_colour":"red"},"from_the_future":[{"a":{}}]}'
    assert sent(parse(body, requests.UserBody).user) == {"id": "u-1"}


def test_a_null_clears_and_what_was_not_sent_stays() -> None:
    assert sent(parse(b'{"user":{"email":null}}', requests.UserBody).user) == {"email": None}


def test_only_the_named_fields_are_given_where_names_are_given() -> None:
    change = parse(
        b'{"member":{"metadata":"m","skip_aggregation":true,"id":"x"}}', requests.MemberUpdateBody
    ).member
    assert sent(change, "id", "metadata", "use_cases") == {"id": "x", "metadata": "m"}


@pytest.mark.parametrize(
    ("kind", "key"),
    [
        (requests.UserBody, "user"),
        (requests.MemberUpdateBody, "member"),
        (requests.AccountUpdateBody, "account"),
    ],
)
def test_an_empty_object_is_refused(kind: type[Any], key: str) -> None:
    assert key in refusal(json.dumps({key: {}}).encode(), kind)
    assert key in refusal(json.dumps({key: {"unknown": 1}}).encode(), kind)
    assert key in refusal(b"{}", kind)


def test_an_account_is_changed_under_the_names_of_our_record() -> None:
    body = b'{"account":{"account_type":"SAVINGS","account_subtype":"MONEY_MARKET","balance":1.10}}'
    assert sent(parse(body, requests.AccountUpdateBody).account) == {
        "type": "SAVINGS",
        "subtype": "MONEY_MARKET",
        "balance": Decimal("1.10"),
    }


@pytest.mark.parametrize(
    ("body", "kind", "where"),
    [
        (b'{"user":{"id":5}}', requests.UserBody, "user.id"),
        (b'{"user":{"id":""}}', requests.UserBody, "user.id"),
        (b'{"user":{"id":"a/b"}}', requests.UserBody, "user.id"),
        (b'{"user":{"id":"%s"}}' % (b"x" * 256), requests.UserBody, "user.id"),
        (b'{"user":{"is_disabled":"true"}}', requests.UserBody, "user.is_disabled"),
        (b'{"user":{"metadata":{"a":1}}}', requests.UserBody, "user.metadata"),
        (b'{"member":{}}', requests.MemberCreateBody, "institution_code"),
        (
            b'{"member":{"institution_code":"m","credentials":[{"guid":"CRD-1"}]}}',
            requests.MemberCreateBody,
            "member.credentials[0]",
        ),
        (
            b'{"member":{"institution_code":"m","use_cases":["FUN"]}}',
            requests.MemberCreateBody,
            "member.use_cases",
        ),
        (
            b'{"member":{"institution_code":"m"},"data_request":{"products":["gold"]}}',
            requests.MemberCreateBody,
            "data_request.products[0]",
        ),
        (b'{"member":{"challenges":[]}}', requests.MemberResumeBody, "member.challenges"),
        (b'{"account":{"account_guids":["ACT-1"]}}', requests.AccountsMergeBody, "account.account_guids"),
        (b'{"account":{"name":"n"}}', requests.AccountCreateBody, "account_type"),
        (b'{"account":{"death_benefit":2147483648}}', requests.AccountUpdateBody, "account.death_benefit"),
        (b'{"account":{"balance":"NaN"}}', requests.AccountUpdateBody, "balance"),
        (b'{"account":{"balance":1e999}}', requests.AccountUpdateBody, "balance"),
        (b'{"account":{"balance":1e-99999}}', requests.AccountUpdateBody, "balance"),
        (b'{"account":{"balance":true}}', requests.AccountUpdateBody, "account.balance"),
        (b'{"widget_url":{"mode":"tax"}}', requests.WidgetBody, "widget_url"),
        (b'{"micro_deposit":{"deposit_amount_1":0.09}}', requests.MicroDepositVerifyBody, "deposit_amount_2"),
    ],
)
def test_a_refusal_says_where(body: bytes, kind: type[Any], where: str) -> None:
    assert where in refusal(body, kind)


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
def test_a_refusal_never_quotes_what_was_sent(body: bytes) -> None:
    assert SECRET not in refusal(body.replace(b"%s", SECRET.encode()), requests.MemberCreateBody)


@pytest.mark.parametrize("kind", BODIES)
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not json",
        b"null",
        b"[]",
        b'"text"',
        b"\xff\xfe",
        b"\xef\xbb\xbf{}",
        b"{" * 100_000,
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
        b'{"a":NaN,"user":{}}',
        b'{"a":"\\ud800"}',
        b'{"a":"\\udc00\\ud800"}',
    ],
    ids=lambda body: repr(body[:20]) if isinstance(body, bytes) else None,
)
def test_no_garbage_gets_further_than_a_refusal(body: bytes, kind: type[Any]) -> None:
    assert refusal(body, kind)


@pytest.mark.parametrize(
    "value",
    [b"a\\u0000b", b"\\ud800", b"\\udc00x", b"a\x00b", b"\xff", b"\xed\xa0\x80"],
    ids=["nul", "high surrogate", "low surrogate", "raw nul", "no utf-8", "utf-8 surrogate"],
)
@pytest.mark.parametrize("field", [b"id", b"email", b"metadata"])
def test_text_that_postgresql_cannot_keep_is_refused(field: bytes, value: bytes) -> None:
    assert refusal(b'{"user":{"%s":"%s"}}' % (field, value), requests.UserBody)


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@pytest.mark.parametrize("kind", BODIES)
@settings(max_examples=8, deadline=None)
@given(junk=st.binary() | JSON.map(lambda value: json.dumps(value).encode()), value=JSON)
def test_anything_at_all_is_read_or_refused(kind: type[Any], junk: bytes, value: Any) -> None:
    below = dict.fromkeys(kind.__struct_encode_fields__, value)
    for body in (
        junk,
        json.dumps(below).encode(),
        json.dumps({key: {"id": value} for key in below}).encode(),
    ):
        try:
            parse(body, kind)
        except InvalidRequest:
            continue


def test_no_request_prints_its_values() -> None:
    body = {"member": {"challenges": [{"guid": "CRD-1", "value": SECRET}]}}
    request = parse(json.dumps(body).encode(), requests.MemberResumeBody)
    assert request.member.challenges[0].value == SECRET
    assert SECRET not in f"{request!r} {request} {request.member.challenges!r}"


def test_bodies_of_the_clients_that_must_work_unchanged_are_read() -> None:
    quickstart = {
        "widget_url": {
            "mode": "verification",
            "widget_type": "connect_widget",
            "wait_for_full_aggregation": True,
            "ui_message_version": 4,
        }
    }
    assert parse(json.dumps(quickstart).encode(), requests.WidgetBody).widget_url.mode == "verification"
    dwolla = {"config": {"mode": "verification", "ui_message_version": 4}}
    assert parse(json.dumps(dwolla).encode(), requests.ConnectWidgetBody).config.ui_message_version == 4
    connect = {
        "data_request": {"products": ["account_verification", "identity_verification", "transactions"]},
        "member": {"institution_code": "mxbank", "is_oauth": True, "credentials": []},
        "referral_source": "APP",
        "client_redirect_url": "https://client.test/back",
    }
    assert parse(json.dumps(connect).encode(), requests.MemberCreateBody).data_request is not None


def test_no_body_at_all_lists_every_token_if_the_caller_asks_the_parser_for_an_empty_object() -> None:
    assert parse(b"{}", requests.TokensBody).scope.user_guid is None
    assert parse(b'{"scope":{"user_guid":"USR-1"}}', requests.TokensBody).scope.user_guid == "USR-1"


@pytest.mark.parametrize("kind", BODIES)
def test_every_body_has_a_json_schema(kind: type[Any]) -> None:
    assert msgspec.json.schema(kind)["$defs"]
