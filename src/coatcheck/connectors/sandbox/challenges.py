"""What each password leads to, and the security questions: MX Bank's published table and additions.

password -> error | success | question
answer   -> error | success | rejected | another question
"""

from collections.abc import Mapping
from types import MappingProxyType

from coatcheck.connectors.contract import ChallengeType, NeedsAnswers, Option, Question
from coatcheck.connectors.sandbox import images
from coatcheck.connectors.sandbox.logins import Login
from coatcheck.connectors.sandbox.one_time_codes import CODE, next_code_question
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
"""The answer that leads to another question."""

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
"""Passwords that lead to a question. MX has the first three; the other two are additions."""

_CONTROLS: Mapping[str, ChallengeType] = MappingProxyType(
    {
        "mfa_text": ChallengeType.TEXT,
        "mfa_options": ChallengeType.OPTIONS,
        "mfa_image": ChallengeType.IMAGE_DATA,
        "mfa_totp": ChallengeType.TOKEN,
        "wrong_then_right": ChallengeType.TEXT,
        "mfa_twice": ChallengeType.TEXT,
        "mfa_every_job": ChallengeType.TEXT,
    }
)
"""Controls that lead to a question. The first that a login has decides its kind."""

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
    Option("Circle (correct)", CORRECT, images.challenge_image("circle")),
    Option("Square (wrong)", "wrong", images.challenge_image("square")),
    Option("Triangle (unavailable)", "UNAVAILABLE", images.challenge_image("triangle")),
)
_OPTIONS = {ChallengeType.OPTIONS: _STREETS, ChallengeType.IMAGE_OPTIONS: _SHAPES}
_IMAGE = images.challenge_image(CORRECT)


def check_password(password: str) -> None:
    """Refuses the error words.

    Raises:
        BankError: the password is one of `REFUSALS`.
    """
    if refusal := REFUSALS.get(password):
        raise refusal


def questions_of(login: Login, password: str) -> tuple[ChallengeType, int]:
    """The kind of the bank's questions, and how many right answers it needs."""
    by_control = next((kind for control, kind in _CONTROLS.items() if login.has(control)), None)
    kind = QUESTIONS.get(password) or by_control
    rounds = 2 if login.has("mfa_twice") else 1 if kind else 0
    return kind or ChallengeType.TEXT, rounds


def next_question(
    kind: ChallengeType, rounds: int, answers: Mapping[str, str] | None, resume: bytes | None
) -> NeedsAnswers | None:
    """The next question for the user; None if all are answered.

    Args:
        kind: of the questions.
        rounds: how many right answers are needed.
        answers: as in `Session.answers`.
        resume: the number of the answered question, as this function returned it.

    Raises:
        BankError: the answer was an error word.
        AnswerRejected: the answer was wrong or missing.
    """
    if rounds == 0:
        return None
    if answers is None or resume is None:
        return _question(kind, 1)
    number = int(resume)
    answer = answers.get(_key(number), "")
    check_password(answer)
    if answer not in {CORRECT, AGAIN}:
        raise AnswerRejected
    if answer == CORRECT and number >= rounds:
        return None
    return _question(kind, number + 1)


def next_code(answers: Mapping[str, str] | None, resume: bytes | None) -> NeedsAnswers | None:
    """As `next_question`, for a login whose user chooses where the code is sent.

    Raises:
        BankError: the code was an error word.
        AnswerRejected: the code was wrong or missing.
    """
    if needs_answers := next_code_question(answers, resume):
        return needs_answers
    code = (answers or {}).get(CODE, "")
    check_password(code)
    if code != CORRECT:
        raise AnswerRejected
    return None


def _question(kind: ChallengeType, number: int) -> NeedsAnswers:
    question = Question(
        key=_key(number),
        type=kind,
        label=_LABELS[kind],
        options=_OPTIONS.get(kind, ()),
        image_data=_IMAGE if kind is ChallengeType.IMAGE_DATA else None,
    )
    return NeedsAnswers((question,), resume=str(number).encode())


def _key(number: int) -> str:
    return f"question-{number}"
