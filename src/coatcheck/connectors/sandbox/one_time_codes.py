"""One-time codes of the sandbox bank: the user chooses where the code is sent, and can ask for another one.

way --> code --right--> success
         |  ^
         |  `-- a new code
         `----> way
"""

from collections.abc import Mapping
from types import MappingProxyType

from coatcheck.connectors.contract import ChallengeType, NeedsAnswers, Option, Question

WAY, CODE = "way", "code"
NEW_CODE, OTHER_WAY = "new_code", "other_way"
"""What the user can ask for instead of entering the code."""

_WAYS = (
    Option("Text message to the number ending in 0142", "sms"),
    Option("Call to the number ending in 0142", "call"),
    Option("Email to m•••@example.com", "email"),
)
_LABELS: Mapping[str, str] = MappingProxyType(
    {
        "sms": "Enter the code we sent to your phone ending in 0142.",
        "call": "Enter the code we told you in the call.",
        "email": "Enter the code we sent to your email address.",
    }
)
_NEW_CODE_LABEL = "We sent a new code. Enter the new code."
_INSTEAD = (Option("Send a new code", NEW_CODE), Option("Get the code another way", OTHER_WAY))


def next_code_question(answers: Mapping[str, str] | None, resume: bytes | None) -> NeedsAnswers | None:
    """The next question for the user; None if a code was entered, which the caller checks.

    Args:
        answers: as in `Session.answers`.
        resume: the way by which the code was sent, as this function returned it; empty before the user chose one.
    """
    if answers is None or resume is None or answers.get(CODE) == OTHER_WAY:
        return NeedsAnswers(
            (Question(WAY, ChallengeType.OPTIONS, "How should we send your code?", _WAYS),), resume=b""
        )
    if way := answers.get(WAY):
        return _code_question(way, _LABELS[way])
    if answers.get(CODE) == NEW_CODE:
        return _code_question(resume.decode(), _NEW_CODE_LABEL)
    return None


def _code_question(way: str, label: str) -> NeedsAnswers:
    return NeedsAnswers((Question(CODE, ChallengeType.TOKEN, label, _INSTEAD),), resume=way.encode())
