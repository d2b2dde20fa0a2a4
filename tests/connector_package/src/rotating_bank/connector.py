"""The connector. A setup token is claimed once; every later call spends one secret and returns the next."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import partial
from typing import Any

import httpx

from coatcheck.connectors.contract import (
    BankAccount,
    BankNumbers,
    BankTransaction,
    ChallengeType,
    Connector,
    ConnectorContext,
    CredentialField,
    Finished,
    Institution,
    JobKind,
    NeedsAnswers,
    Question,
    Secret,
    Session,
)
from coatcheck.errors import AnswerRejected, BankDataUnusable, BankFailed, ConsentRevoked, CredentialsDenied

QUESTION = "code"


@dataclass(frozen=True)
class RotatingBankSettings:
    api_key: Secret
    api_url: str = "https://rotating.example"


class RotatingBank(Connector):
    settings_type = RotatingBankSettings

    def __init__(self, context: ConnectorContext[RotatingBankSettings]) -> None:
        super().__init__(context)
        self._settings = context.settings
        self._http = context.http

    def institutions(self) -> Sequence[Institution]:
        token = CredentialField(
            "CRD-7a0c6b1e-2f8d-4b7e-9b58-1f0a4a3d0001", "SETUP_TOKEN", "PASSWORD", "Setup token", 1
        )
        return [
            Institution(
                code="rotating_bank",
                guid="INS-7a0c6b1e-2f8d-4b7e-9b58-1f0a4a3d0000",
                name="Rotating Bank",
                url="https://rotating.example",
                supports=frozenset({JobKind.AGGREGATION, JobKind.BALANCE, JobKind.VERIFICATION}),
                credentials=(token,),
                is_throttled=False,
            )
        ]

    async def run(self, session: Session) -> Finished | NeedsAnswers:
        if session.state is None and (question := await self._claim(session)):
            return question
        task = session.task
        accounts = await self._call(session, "/accounts")
        await session.add_accounts(_account(row) for row in accounts["accounts"])
        if task.kind is JobKind.VERIFICATION:
            numbers = await self._call(session, "/numbers")
            await session.add_numbers(BankNumbers(**row) for row in numbers["numbers"])
        page: int | None = 1 if task.wants_transactions else None
        while page is not None:
            answer = await self._call(session, f"/transactions/{page}")
            await session.add_transactions(_transaction(row) for row in answer["transactions"])
            page = answer["next_page"]
        return Finished()

    async def _claim(self, session: Session) -> NeedsAnswers | None:
        """Buys the first secret. It returns the institution's question, if there is one."""
        body = {"token": session.credentials["SETUP_TOKEN"]}
        if session.answers is None:
            response = await self._post("/questions", body)
            if question := _json(response)["question"]:
                return NeedsAnswers([Question(QUESTION, ChallengeType.TEXT, question)], resume=b"asked")
        else:
            body["answer"] = session.answers[QUESTION]

        async def claim() -> bytes:
            response = await self._post("/claim", body)
            if response.status_code == 403:
                raise CredentialsDenied
            if response.status_code == 422:
                raise AnswerRejected
            return _secret(response)

        await session.rotate(claim)
        return None

    async def _call(self, session: Session, path: str) -> Any:
        """An answer of the institution; the next secret is saved before anything else happens."""
        answers = []

        async def spend(secret: bytes) -> bytes:
            # Not a GET, which would be repeated, with a secret that is spent.
            response = await self._post(path, {"secret": secret.decode()})
            if response.status_code == 401:
                raise ConsentRevoked
            answers.append(_json(response))
            return _secret(response)

        assert session.state is not None
        await session.rotate(partial(spend, session.state))
        return answers[0]

    async def _post(self, path: str, body: dict[str, str]) -> httpx.Response:
        url = f"{self._settings.api_url}{path}"
        headers = {"authorization": f"Bearer {self._settings.api_key.reveal()}"}
        response = await self._http.trusted.post(url, json=body, headers=headers)
        if response.status_code >= 500:
            raise BankFailed
        return response


def _secret(response: httpx.Response) -> bytes:
    return str(_json(response)["secret"]).encode()


def _json(response: httpx.Response) -> Any:
    try:
        return response.json()
    except ValueError:
        raise BankDataUnusable from None


def _account(row: dict[str, str]) -> BankAccount:
    return BankAccount(
        id=row["id"],
        name=row["name"],
        type=row["type"],
        balance=Decimal(row["balance"]),
        account_number_mask=row["number"][-4:],
    )


def _transaction(row: dict[str, str]) -> BankTransaction:
    return BankTransaction(
        account_id=row["account"],
        id=row["id"],
        amount=abs(Decimal(row["amount"])),
        type="DEBIT" if row["amount"].startswith("-") else "CREDIT",
        status="POSTED",
        date=date.fromisoformat(row["date"]),
        description=row["text"],
        original_description=row["text"],
    )
