"""What a password leads to, and the security questions: MX Bank's published table and our additions.

password -> error | question -> answer -> error | rejected | next question | in
"""

from collections.abc import Mapping
from types import MappingProxyType

from coatcheck.connectors.contract import ChallengeType, NeedsAnswers, Option, Question
from coatcheck.connectors.sandbox import images
from coatcheck.errors import (
    AnswerRejected,
    BankError,
    BankFailed,
    BankUnavailable,
    CredentialsDenied,
    LoginLocked,
)

CORRECT = "correct"
"""The right answer to every question."""
AGAIN = "challenge"
"""The answer that brings another question."""

REFUSALS: Mapping[str, type[BankError]] = MappingProxyType(
    {
        "BAD_REQUEST": BankFailed,
        "UNAUTHORIZED": CredentialsDenied,
        "INVALID": CredentialsDenied,
        "LOCKED": LoginLocked,
        "DISABLED": CredentialsDenied,
        "SERVER_ERROR": BankFailed,
        "UNAVAILABLE": BankUnavailable,
    }
)
"""Passwords, and answers, that simulate an error (MX docs: test platform, MX Bank)."""

QUESTIONS: Mapping[str, ChallengeType] = MappingProxyType(
    {
        "challenge": ChallengeType.TEXT,
        "options": ChallengeType.OPTIONS,
        "image": ChallengeType.IMAGE_DATA,
        "image_options": ChallengeType.IMAGE_OPTIONS,
        "token": ChallengeType.TOKEN,
    }
)
"""Passwords that lead to a question. MX has the first three; the other two are ours."""

_LABELS = {
    ChallengeType.TEXT: "What city were you born in?",
    ChallengeType.OPTIONS: "On which of these streets have you lived?",
    ChallengeType.IMAGE_DATA: "What does the picture say?",
    ChallengeType.IMAGE_OPTIONS: "Which picture did you choose when you signed up?",
    ChallengeType.TOKEN: "Enter the code we sent to your phone ending in 0142.",
}
_STREETS = (
    Option("Lantern Lane (correct)", CORRECT),
    Option("Kettle Court (wrong)", "wrong"),
    Option("Echo Street (asks again)", AGAIN),
    Option("Padlock Place (locks the login)", "LOCKED"),
    Option("Quarry Row (server error)", "SERVER_ERROR"),
)
_SHAPES = (
    Option("Circle (correct)", CORRECT, images.circle()),
    Option("Square (wrong)", "wrong", images.square()),
    Option("Triangle (unavailable)", "UNAVAILABLE", images.triangle()),
)
_OPTIONS = {ChallengeType.OPTIONS: _STREETS, ChallengeType.IMAGE_OPTIONS: _SHAPES}
_PICTURE = images.written(CORRECT)


def check_password(password: str) -> None:
    """Lets every word pass but the error words.

    Raises:
        BankError: the password is one of `REFUSALS`.
    """
    if refusal := REFUSALS.get(password):
        raise refusal


def next_question(
    kind: ChallengeType | None, rounds: int, answers: Mapping[str, str] | None, state: bytes | None
) -> NeedsAnswers | None:
    """The question that still stands between the user and the bank, None when none does.

    Args:
        kind: what the bank asks for, None when the password leads to no question.
        rounds: how many right answers it wants.
        answers: as given to `run`.
        state: the number of the round that was asked, as this function returned it.

    Raises:
        BankError: the answer was an error word.
        AnswerRejected: the answer was wrong, or missing.
    """
    if rounds == 0:
        return None
    kind = kind or ChallengeType.TEXT
    if answers is None or state is None:
        return _asking(kind, 1)
    asked = int(state)
    answer = answers.get(_key(asked), "")
    check_password(answer)
    if answer not in {CORRECT, AGAIN}:
        raise AnswerRejected
    if answer == CORRECT and asked >= rounds:
        return None
    return _asking(kind, asked + 1)


def _asking(kind: ChallengeType, number: int) -> NeedsAnswers:
    question = Question(
        key=_key(number),
        type=kind,
        label=_LABELS[kind],
        options=_OPTIONS.get(kind, ()),
        image_data=_PICTURE if kind is ChallengeType.IMAGE_DATA else None,
    )
    return NeedsAnswers((question,), state=str(number).encode())


def _key(number: int) -> str:
    return f"question-{number}"
