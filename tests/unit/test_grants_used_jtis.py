"""A DPoP proof is accepted once, and only its own key can use up its id."""

import pytest

from coatcheck.app import Services
from coatcheck.grants.confirmations import of_key
from coatcheck.grants.dpop import DPoPProof
from coatcheck.grants.exchange import Redeemer
from coatcheck.grants.used_jtis import UsedJtis
from coatcheck.model.accounts import Account
from tests.factories import Keyed, make_code


def proof(services: Services, key: str, jti: str = "one") -> DPoPProof:
    return DPoPProof(key, jti, services.clock.instant().timestamp(), None)


@pytest.mark.own_database
async def test_two_keys_may_choose_the_same_id_and_each_uses_it_once(services: Services) -> None:
    used = UsedJtis(b"a key of this test")
    async with services.db.connection() as connection:
        answers = [await used.use_proof(connection, proof(services, key)) for key in ("a", "b", "a", "b")]
    assert answers == [True, True, False, False]


@pytest.mark.own_database
async def test_with_a_token_a_proof_is_used_up_by_the_key_of_the_token_alone(
    services: Services, account: Account, processor: Keyed
) -> None:
    used = UsedJtis(b"a key of this test")
    tokens = [await bound_token(services, account, processor, key) for key in ("a", "b")]
    async with services.db.connection() as connection:

        async def is_replayed(key: str, token: str) -> bool:
            presented = services.access.parse_token(token)
            presented.confirmations.append(of_key(key))
            return await used.use_proof_with_token(connection, proof(services, key), presented) is not None

        assert not await is_replayed("stranger", tokens[0])
        assert [await is_replayed(key, token) for key, token in zip("ab", tokens, strict=True)] == [False] * 2
        assert [await is_replayed(key, token) for key, token in zip("ab", tokens, strict=True)] == [True] * 2
        cursor = await connection.execute("SELECT count(*) FROM used_jti")
        assert await cursor.fetchone() == (2,)


async def bound_token(services: Services, account: Account, processor: Keyed, key: str) -> str:
    code = await make_code(services, account)
    redeemer = Redeemer(processor.guid, of_key(key))
    async with services.db.connection() as connection:
        issued = await services.exchange.redeem_authenticated(connection, redeemer=redeemer, code=code)
    return issued.access_token
