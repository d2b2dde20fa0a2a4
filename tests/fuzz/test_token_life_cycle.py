"""The life of codes and tokens against a model: issued, raced for, narrowed, revoked, expired, and what ends them."""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from coatcheck.app import Services
from tests.factories import Keyed, make_account, make_client, make_processor, make_user, scope_of
from tests.fuzz.live_server import LiveServer

RACERS = 4
MARGIN = timedelta(seconds=3)
"""Nearer to an expiry than this, the model does not say which side of it a request is on."""
RETRY_WINDOW = timedelta(seconds=10)


@dataclass
class User:
    guid: str
    scope: str
    is_deleted: bool = False


@dataclass
class Processor:
    keyed: Keyed
    is_disabled: bool = False


@dataclass
class Code:
    text: str
    user: User
    expires_at: datetime
    redeemed_at: datetime | None = None
    redeemed_by: Processor | None = None
    token: "Token | None" = None


@dataclass
class Token:
    text: str
    guid: str
    user: User
    processor: Processor
    expires_at: datetime
    is_revoked: bool = False
    permissions: set[str] = field(default_factory=lambda: {"numbers", "owners", "transactions", "balances"})


READS = {"numbers": "/account/account_numbers", "transactions": "/account/transactions"}


class TokenLife(RuleBasedStateMachine):
    live: LiveServer
    codes, tokens = Bundle("codes"), Bundle("tokens")

    def __init__(self) -> None:
        super().__init__()
        self.http = httpx.Client(base_url=self.live.url, timeout=30)
        self.client = self.live.run(make_client)
        self.processors = [Processor(self._processor(self.client)) for _ in range(2)]
        self.stranger = Processor(self._processor())
        self.users = [self._user() for _ in range(2)]
        self.known: list[Token] = []

    def _processor(self, *clients: Keyed) -> Keyed:
        async def make(services: Services) -> Keyed:
            return await make_processor(services, *clients)

        return self.live.run(make)

    def _user(self) -> User:
        async def make(services: Services) -> User:
            account = await make_account(services, await make_user(services, self.client))
            return User(account.user_guid, str(scope_of(account)))

        return self.live.run(make)

    @property
    def now(self) -> datetime:
        return self.live.clock.instant()

    def _is_near(self, instant: datetime) -> bool:
        return abs(instant - self.now) < MARGIN

    def _send(self, method: str, path: str, caller: Keyed, **more: Any) -> httpx.Response:
        answer = self.http.request(method, path, auth=caller.auth, **more)
        assert answer.status_code < 500, answer.text
        return answer

    def _exchange(self, code: Code, processor: Processor) -> httpx.Response:
        query = {"grant_type": "authorization_code", "code": code.text}
        return self._send("POST", "/token", processor.keyed, params=query)

    def _is_redeemable(self, code: Code, processor: Processor) -> bool:
        return (
            code.redeemed_at is None
            and not code.user.is_deleted
            and self.now < code.expires_at
            and processor in self.processors
            and not processor.is_disabled
        )

    @rule(target=codes, number=st.integers(0, 1))
    def issue(self, number: int) -> Code:
        user = self.users[number]
        if user.is_deleted:
            user = self.users[number] = self._user()
        body = {"authorization_code": {"scope": user.scope}}
        answer = self._send("POST", "/authorization_code", self.client, json=body)
        assert answer.status_code == 200, answer.text
        return Code(answer.json()["authorization_code"]["code"], user, self.now + timedelta(minutes=10))

    @rule(target=tokens, code=codes, number=st.integers(0, 1), racers=st.sampled_from([1, RACERS]))
    def redeem(self, code: Code, number: int, racers: int) -> Token | None:
        processor = self.processors[number]
        expected, earlier = self._is_redeemable(code, processor), code.redeemed_at
        is_near = self._is_near(code.expires_at) or (earlier and self._is_near(earlier + RETRY_WINDOW))
        if is_near:
            return None
        with ThreadPoolExecutor(racers) as pool:
            answers = list(pool.map(lambda _: self._exchange(code, processor), range(racers)))
        winners = [answer for answer in answers if answer.status_code == 200]
        losers = [answer for answer in answers if answer.status_code != 200]
        refused = 401 if processor.is_disabled else 400
        assert len(winners) == int(expected), [answer.text for answer in answers]
        assert {answer.status_code for answer in losers} <= {refused}
        if not expected:
            is_replay = earlier is not None and code.redeemed_by is processor and not processor.is_disabled
            if is_replay and self.now > (earlier or self.now) + RETRY_WINDOW and code.token:
                code.token.is_revoked = True
            return None
        return self._won(code, processor, winners[0].json())

    def _won(self, code: Code, processor: Processor, answer: dict[str, Any]) -> Token:
        text = answer.get("token", answer)["access_token"]
        listed = self._send("GET", "/coatcheck/grants", self.client, params={"user_guid": code.user.guid})
        (guid,) = {each["guid"] for each in listed.json()["grants"]} - {token.guid for token in self.known}
        token = Token(text, guid, code.user, processor, self.now + timedelta(days=60))
        code.redeemed_at, code.redeemed_by, code.token = self.now, processor, token
        self.known.append(token)
        return token

    @rule(code=codes)
    def redeem_as_a_stranger(self, code: Code) -> None:
        assert self._exchange(code, self.stranger).status_code == 400

    @rule(token=tokens, what=st.sampled_from(sorted(READS)))
    def read(self, token: Token | None, what: str) -> None:
        if token is None or self._is_near(token.expires_at):
            return
        headers = {"Authorization": f"Bearer {token.text}"}
        answer = self.http.get(READS[what], headers=headers)
        assert answer.status_code == self._status_of_read(token, what), answer.text

    def _status_of_read(self, token: Token, what: str) -> int:
        is_over = token.is_revoked or self.now >= token.expires_at
        if is_over or token.user.is_deleted or token.processor.is_disabled:
            return 401
        return 200 if what in token.permissions else 403

    @rule(token=tokens)
    def narrow(self, token: Token | None) -> None:
        if token is None or self._is_near(token.expires_at):
            return
        body = {"grant": {"permissions": ["transactions", "balances"]}}
        answer = self._send("PATCH", f"/coatcheck/grants/{token.guid}", self.client, json=body)
        if token.user.is_deleted:
            assert answer.status_code in {200, 404, 405, 409, 422}, answer.text
        elif token.is_revoked or self.now >= token.expires_at:
            assert answer.status_code in {404, 405, 409, 422}, answer.text
        elif answer.status_code == 200:
            token.permissions = {"transactions", "balances"}
        else:
            assert token.permissions == {"transactions", "balances"}, answer.text

    @rule(token=tokens)
    def revoke(self, token: Token | None) -> None:
        if token is None:
            return
        answer = self._send("POST", f"/coatcheck/grants/{token.guid}/revoke", self.client, json={})
        assert answer.status_code in ({200, 404} if token.user.is_deleted else {200}), answer.text
        token.is_revoked = token.is_revoked or answer.status_code == 200

    @rule(duration=st.sampled_from([timedelta(seconds=20), timedelta(minutes=6), timedelta(days=31)]))
    def move_the_clock(self, duration: timedelta) -> None:
        self.live.clock.advance(duration)

    @rule(number=st.integers(0, 1))
    def delete_a_user(self, number: int) -> None:
        user = self.users[number]
        answer = self._send("DELETE", f"/users/{user.guid}", self.client)
        assert answer.status_code == (404 if user.is_deleted else 204), answer.text
        user.is_deleted = True

    @rule(number=st.integers(0, 1))
    def disable_or_enable_a_processor(self, number: int) -> None:
        processor = self.processors[number]
        processor.is_disabled = not processor.is_disabled

        async def change(services: Services) -> None:
            async with services.db.transaction() as connection:
                act = services.processors.disable if processor.is_disabled else services.processors.enable
                await act(connection, processor.keyed.guid, actor="operator")

        self.live.run(change)

    @invariant()
    def every_token_reads_what_the_model_says(self) -> None:
        for token in self.known[-3:]:
            self.read_invariant(token)

    def read_invariant(self, token: Token) -> None:
        if self._is_near(token.expires_at):
            return
        answer = self.http.get(READS["numbers"], headers={"Authorization": f"Bearer {token.text}"})
        assert answer.status_code == self._status_of_read(token, "numbers"), answer.text

    def teardown(self) -> None:
        self.http.close()


@pytest.mark.filterwarnings("ignore::hypothesis.errors.HypothesisWarning")
def test_no_sequence_of_requests_contradicts_the_model(live: LiveServer, seconds: float) -> None:
    machine: type[TokenLife] = type("TokenLifeOnServer", (TokenLife,), {"live": live})
    end = time.monotonic() + seconds
    once = settings(
        max_examples=int(os.environ.get("FUZZ_EXAMPLES", "5")),
        stateful_step_count=30,
        database=None,
        deadline=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(machine, settings=once)
    while time.monotonic() < end:
        run_state_machine_as_test(machine, settings=once)
