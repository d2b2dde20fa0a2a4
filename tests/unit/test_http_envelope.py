"""Errors in MX's format: the body, the status and the headers."""

import json
from datetime import timedelta

import pytest
from starlette.responses import Response

from coatcheck import errors
from coatcheck.http.envelope import error_response, refused_file, response_to


def read(answer: Response) -> tuple[int, dict[str, object]]:
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    assert answer.headers["cache-control"] == "no-store"
    return answer.status_code, json.loads(bytes(answer.body))["error"]


def test_an_error_has_its_message_and_the_names_of_its_status_and_its_type() -> None:
    assert read(response_to(errors.NotFound())) == (
        404,
        {"message": "The object does not exist.", "status": "not_found", "type": "not_found_error"},
    )


def test_an_error_that_is_no_refusal_discloses_nothing() -> None:
    assert read(response_to(errors.BankFailed("the bank said 1234"))) == (
        500,
        {
            "message": "Something went wrong on our side.",
            "status": "internal_server_error",
            "type": "internal_server_error",
        },
    )


def test_an_object_in_a_state_that_does_not_allow_the_call_is_405_as_in_mx_api() -> None:
    status, error = read(response_to(errors.ConstraintNotMet()))
    assert (status, error["status"], error["type"]) == (405, "method_not_allowed", "method_not_allowed_error")


def test_a_subclass_has_the_type_of_its_own_or_of_the_nearest_class_above_it() -> None:
    assert read(response_to(errors.TokenRevoked()))[1]["type"] == "token_revoked"
    assert read(response_to(errors.UserMoving()))[1]["type"] == "service_unavailable_error"


@pytest.mark.parametrize(
    ("error", "header", "value"),
    [
        (errors.TooManyRequests(timedelta(seconds=2.5)), "retry-after", "3"),
        (errors.TooManyRequests(timedelta()), "retry-after", "1"),
        (errors.Unavailable(), "retry-after", "2"),
        (errors.NotFresh(), "retry-after", "5"),
        (errors.MethodNotAllowed(("GET", "PUT")), "allow", "GET, PUT"),
        (errors.EncodedBody(), "accept-encoding", "identity"),
        (errors.DPoPNonceRequired("n-1"), "dpop-nonce", "n-1"),
    ],
)
def test_an_answer_has_the_headers_that_its_status_requires(
    error: errors.CoatcheckError, header: str, value: str
) -> None:
    assert response_to(error).headers[header] == value
    assert header not in response_to(errors.NotFound()).headers


@pytest.mark.parametrize(
    ("error", "challenge"),
    [
        (errors.Unauthenticated(), 'Bearer realm="coatcheck"'),
        (errors.InvalidToken(), 'Bearer realm="coatcheck", error="invalid_token"'),
        (
            errors.TokenRevoked(),
            'Bearer realm="coatcheck", error="invalid_token", error_description="token_revoked"',
        ),
        (
            errors.TokenExpired(),
            'Bearer realm="coatcheck", error="invalid_token", error_description="token_expired"',
        ),
        (errors.InsufficientScope(), 'Bearer realm="coatcheck", error="insufficient_scope"'),
        (
            errors.InsufficientScope(needed_scope="user-guid:USR-1"),
            'Bearer realm="coatcheck", error="insufficient_scope", scope="user-guid:USR-1"',
        ),
        (errors.ConnectionBroken(), 'Bearer realm="coatcheck"'),
        (errors.InvalidDPoPProof(), 'DPoP error="invalid_dpop_proof", algs="ES256'),
        (errors.DPoPNonceRequired("n-1"), 'DPoP error="use_dpop_nonce", algs="ES256'),
    ],
)
def test_the_challenge_to_a_token_says_what_was_wrong(error: errors.CoatcheckError, challenge: str) -> None:
    sent = response_to(error, challenges="Bearer").headers["www-authenticate"]
    # The algorithms follow those that are named here.
    assert sent.startswith(challenge)
    assert "algs=" in sent or sent == challenge
    assert "www-authenticate" not in response_to(error).headers


def test_only_a_401_challenges_the_caller_to_send_an_api_key() -> None:
    answer = response_to(errors.InvalidClient(), challenges="Basic")
    assert answer.headers["www-authenticate"] == 'Basic realm="coatcheck", charset="UTF-8"'
    assert "www-authenticate" not in response_to(errors.Forbidden(), challenges="Basic").headers


@pytest.mark.parametrize("challenges", ["Basic", "Bearer"])
def test_what_is_wrong_beside_the_credentials_challenges_nobody(challenges: str) -> None:
    assert "www-authenticate" not in response_to(errors.NotFound(), challenges=challenges).headers


@pytest.mark.parametrize(
    ("status", "name", "kind"),
    [
        (404, "not_found", "not_found_error"),
        (500, "internal_server_error", "internal_server_error"),
        (502, "bad_gateway", "bad_gateway_error"),
        (418, "i_m_a_teapot", "i_m_a_teapot_error"),
        (599, "unknown_error", "unknown_error"),
    ],
)
def test_an_error_with_any_status_has_its_name(status: int, name: str, kind: str) -> None:
    answer = error_response(status, "Ordered.", {"retry-after": "7"})
    assert read(answer) == (status, {"message": "Ordered.", "status": name, "type": kind})
    assert answer.headers["retry-after"] == "7"


def test_a_file_that_cannot_be_read_is_answered_with_the_place() -> None:
    refused = {
        "message": "No amount.",
        "status": "unprocessable_entity",
        "type": "unprocessable_entity_error",
    }
    line = errors.UnreadableFile("No amount.", line=3)
    assert read(refused_file(line)) == (422, {**refused, "line": 3})
    element = errors.UnreadableFile("No amount.", element="OFX/STMTTRN")
    assert read(refused_file(element)) == (422, {**refused, "element": "OFX/STMTTRN"})
