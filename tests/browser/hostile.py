"""A connector of a bank that puts markup into every text."""

from decimal import Decimal
from typing import Any
from urllib.parse import quote, urlencode

from coatcheck.connectors.contract import (
    AuthorizationRequest,
    BankAccount,
    BankNumbers,
    ChallengeType,
    Connector,
    ConnectorContext,
    CredentialField,
    Finished,
    Institution,
    NeedsAnswers,
    NoSettings,
    Option,
    Question,
    Session,
)
from coatcheck.errors import ActionNeeded, AnswerRejected

PLANTED = (
    """<img src=x onerror=planted()><script>planted()</script>"><svg onload=planted()>{{bank}}&lt;b&gt;"""
)
PICTURE = "data:image/svg+xml," + quote("<svg xmlns='http://www.w3.org/2000/svg' onload='parent.planted()'/>")
SCRIPT = "javascript:planted()"
BANK, OAUTH_BANK = f"Signs in {PLANTED}", f"Leads away {PLANTED}"


def institution(code: str, name: str, **more: Any) -> Institution:
    return Institution(
        code=code,
        guid=f"INS-{code}",
        name=name,
        url=SCRIPT,
        popularity=1_000_000,
        routing_numbers=("091000019",),
        instructional_text=PLANTED,
        forgot_password_url=SCRIPT,
        forgot_username_url=SCRIPT,
        trouble_signing_in_url=SCRIPT,
        logo_svg=f"<svg xmlns='http://www.w3.org/2000/svg'><script>parent.planted()</script>{PLANTED}</svg>",
        **more,
    )


class HostileBank(Connector):
    def __init__(self, context: ConnectorContext[NoSettings]) -> None:
        super().__init__(context)
        credential_fields = tuple(
            CredentialField(f"CRD-hostile-{name}", name, kind, f"{name} {PLANTED}", order)
            for order, (name, kind) in enumerate([("LOGIN", "TEXT"), ("PASSWORD", "PASSWORD")])
        )
        self._institutions = (
            institution("hostile", BANK, credentials=credential_fields),
            institution("hostile_oauth", OAUTH_BANK, supports_oauth=True),
        )

    def institutions(self) -> tuple[Institution, ...]:
        return self._institutions

    async def run(self, session: Session) -> Finished | NeedsAnswers:
        credentials, answers = session.credentials, session.answers
        if credentials["PASSWORD"] == "impeded":
            raise ActionNeeded(PLANTED)
        if answers is None:
            kind = ChallengeType(credentials["PASSWORD"])
            options = tuple(Option(f"{word} {PLANTED}", word, PICTURE) for word in ("one", "two"))
            is_choice = kind in {ChallengeType.OPTIONS, ChallengeType.IMAGE_OPTIONS}
            return NeedsAnswers(
                [Question("q", kind, PLANTED, options if is_choice else (), PICTURE)], b"asked"
            )
        if answers["q"] == "wrong":
            raise AnswerRejected(PLANTED)
        accounts = [BankAccount(str(n), f"{n} {PLANTED}", "CHECKING", Decimal(1)) for n in range(2)]
        numbers = [BankNumbers(each.id, f"12345678{each.id}", "091000019") for each in accounts]
        await session.add_accounts(accounts)
        await session.add_numbers(numbers)
        return Finished(state=b"known")

    async def authorize(self, request: AuthorizationRequest) -> str:
        return f"{request.redirect_uri}?{urlencode({'state': request.state, 'error': PLANTED})}"
