"""OAuth client libraries from npm and PyPI exchange codes at a real server, unchanged."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from joserfc.jwk import ECKey, RSAKey

from coatcheck.app import Services
from coatcheck.model.accounts import Account
from coatcheck.model.processor_authentication import ClientAuthentication, Profile, SenderConstraint
from tests import guides
from tests.factories import Keyed, make_code
from tests.guides import ROOT, blocks
from tests.node import node
from tests.processes import Serving, serving

CLIENTS = ROOT / "tests" / "oauth_clients"
NEW, OLD = (ROOT / name / "bin" / "python" for name in (".venv-oauth", ".venv-oauth-old"))
MISSING = "no OAuth clients: `make setup` installs them"
SECRETS = ("client_secret_basic", "client_secret_post")

pytestmark = pytest.mark.skipif(
    not (NEW.exists() and OLD.exists() and (CLIENTS / "node_modules").exists()), reason=MISSING
)


@pytest.fixture(scope="module")
def server(file_url: str, master_key: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    environment = {"COATCHECK_DATABASE_URL": file_url, "COATCHECK_MASTER_KEY": master_key}
    with serving(environment, tmp_path_factory.mktemp("server") / "log") as server:
        yield server


@pytest.fixture(scope="module")
def server_with_nonces(
    file_url: str, master_key: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Serving]:
    environment = {
        "COATCHECK_DATABASE_URL": file_url,
        "COATCHECK_MASTER_KEY": master_key,
        "COATCHECK_DPOP_NONCES": "true",
    }
    with serving(environment, tmp_path_factory.mktemp("server") / "log") as server:
        yield server


def run(command: list[str], given: dict[str, Any]) -> dict[str, Any]:
    """What a client prints.

    The variables permit these libraries to use http, which they refuse outside of tests.
    """
    done = subprocess.run(
        command,
        input=json.dumps(given),
        cwd=CLIENTS,
        env=os.environ | {"AUTHLIB_INSECURE_TRANSPORT": "1", "OAUTHLIB_INSECURE_TRANSPORT": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    printed: dict[str, Any] = json.loads(done.stdout)
    return printed


def run_npm(library: str, **given: Any) -> dict[str, Any]:
    return run([node(), "clients.js", library], given)


def run_pypi(python: Path, library: str, **given: Any) -> dict[str, Any]:
    return run([str(python), f"{library}_client.py"], given)


async def given(services: Services, server: Serving, processor: Keyed, account: Account) -> dict[str, Any]:
    return {
        "base_url": server.base_url,
        "client_id": processor.guid,
        "client_secret": processor.api_key,
        "code": await make_code(services, account),
    }


async def use_key(services: Services, processor: Keyed, key: Any) -> None:
    security = services.processors.security
    jwks = json.dumps({"keys": [key.as_dict(private=False)]})
    async with services.db.transaction() as connection:
        await security.set_jwks(connection, processor.guid, jwks, actor="operator")
        await security.set_client_authentication(
            connection, processor.guid, ClientAuthentication.PRIVATE_KEY_JWT, actor="operator"
        )


@pytest.mark.parametrize("method", SECRETS)
@pytest.mark.parametrize("library", ["openid-client-5", "openid-client-6", "oauth4webapi", "simple-oauth2"])
async def test_a_client_from_npm_exchanges_a_code_and_reads(
    services: Services, server: Serving, processor: Keyed, account: Account, library: str, method: str
) -> None:
    got = run_npm(library, method=method, **await given(services, server, processor, account))
    assert got["token"]["access_token"].startswith("cct_")
    assert got["token"]["token_type"].lower() == "bearer"
    assert got["statuses"] == [200]


@pytest.mark.parametrize("library", ["openid-client-5", "openid-client-6", "oauth4webapi"])
async def test_a_client_from_npm_authenticates_with_its_own_key(
    services: Services, server: Serving, processor: Keyed, account: Account, library: str
) -> None:
    key = ECKey.generate_key("P-256", parameters={"kid": "one"})
    await use_key(services, processor, key)
    sent = await given(services, server, processor, account)
    sent |= {"jwk": key.as_dict(private=True), "method": "private_key_jwt", "client_secret": None}
    assert run_npm(library, **sent)["statuses"] == [200]


@pytest.mark.parametrize("library", ["openid-client-5", "openid-client-6", "oauth4webapi"])
async def test_a_client_from_npm_uses_a_token_that_is_bound_to_its_key_and_a_thief_cannot(
    services: Services, server: Serving, processor: Keyed, account: Account, library: str
) -> None:
    key = ECKey.generate_key("P-256", parameters={"kid": "one"})
    await use_key(services, processor, key)
    security = services.processors.security
    async with services.db.transaction() as connection:
        await security.set_sender_constraint(
            connection, processor.guid, SenderConstraint.DPOP, actor="operator"
        )
        if library != "openid-client-5":  # it names two audiences, of which FAPI 2.0 permits one
            await security.set_profile(connection, processor.guid, Profile.FAPI2, actor="operator")
    dpop = ECKey.generate_key("P-256").as_dict(private=True)
    sent = await given(services, server, processor, account)
    sent |= {"jwk": key.as_dict(private=True), "method": "private_key_jwt", "dpop": dpop}
    got = run_npm(library, **sent)
    assert got["token"]["token_type"].lower() == "dpop"
    assert got["statuses"] == [200]
    stolen = got["token"]["access_token"]
    for scheme in ("Bearer", "DPoP"):
        headers = {"Authorization": f"{scheme} {stolen}"}
        async with httpx.AsyncClient(base_url=server.base_url, timeout=60) as http:
            assert (await http.get("/account/account_numbers", headers=headers)).status_code == 401


@pytest.mark.parametrize("library", ["openid-client-5", "openid-client-6", "oauth4webapi"])
async def test_a_client_from_npm_takes_the_nonce_of_the_server(
    services: Services, server_with_nonces: Serving, processor: Keyed, account: Account, library: str
) -> None:
    sent = await given(services, server_with_nonces, processor, account)
    sent |= {"method": "client_secret_basic", "dpop": ECKey.generate_key("P-256").as_dict(private=True)}
    got = run_npm(library, **sent)
    assert (got["token"]["token_type"].lower(), got["statuses"]) == ("dpop", [200])


@pytest.mark.parametrize("method", SECRETS)
@pytest.mark.parametrize(
    ("python", "library"),
    [(NEW, "authlib"), (OLD, "authlib"), (NEW, "requests_oauthlib"), (NEW, "oauthlib")],
    ids=["authlib", "authlib-1.2.1", "requests-oauthlib", "oauthlib"],
)
async def test_a_client_from_pypi_exchanges_a_code_and_reads(
    services: Services,
    server: Serving,
    processor: Keyed,
    account: Account,
    python: Path,
    library: str,
    method: str,
) -> None:
    got = run_pypi(python, library, method=method, **await given(services, server, processor, account))
    assert got["token"]["access_token"].startswith("cct_")
    assert 0 < got["token"]["expires_in"] <= 60 * 86400
    assert got["statuses"] == [200]


@pytest.mark.parametrize("python", [NEW, OLD], ids=["authlib", "authlib-1.2.1"])
async def test_authlib_authenticates_with_its_own_key(
    services: Services, server: Serving, processor: Keyed, account: Account, python: Path
) -> None:
    key = RSAKey.generate_key(2048)
    await use_key(services, processor, key)
    sent = await given(services, server, processor, account)
    sent |= {"pem": key.as_pem(private=True).decode(), "method": "private_key_jwt"}
    assert run_pypi(python, "authlib", **sent)["statuses"] == [200]


async def test_clients_revoke_their_tokens(
    services: Services, server: Serving, processor: Keyed, account: Account
) -> None:
    sent = {"method": "client_secret_basic", "revoke": True}
    in_npm = run_npm("simple-oauth2", **sent, **await given(services, server, processor, account))
    in_pypi = run_pypi(NEW, "authlib", **sent, **await given(services, server, processor, account))
    assert in_npm["statuses"] == in_pypi["statuses"] == [200, 401]


def run_javascript(script: str, environment: dict[str, str]) -> str:
    """What a script of the guide prints, with `openid-client` 6."""
    done = subprocess.run(
        [node(), "--input-type=module", "--eval", script.replace('"openid-client"', '"openid-client-6"')],
        cwd=CLIENTS,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


async def test_the_examples_of_the_guide_run(
    services: Services, server: Serving, processor: Keyed, account: Account, tmp_path: Path
) -> None:
    guide = ROOT / "docs" / "how-to" / "oauth.md"

    async def environment() -> dict[str, str]:
        return os.environ | {
            "AUTHLIB_INSECURE_TRANSPORT": "1",
            "HOST": server.base_url,
            "PROCESSOR_ID": processor.guid,
            "API_KEY": processor.api_key,
            "CODE": await make_code(services, account),
        }

    guides.run(guide, "python", [str(NEW), "-"], await environment(), tmp_path)
    bearer, dpop = (block.text for block in blocks(guide) if block.kind == "js")
    assert run_javascript(bearer, await environment()) == "bearer CHECKING"
    # The second continues the first, up to its exchange: a code is exchanged once.
    set_up = bearer.partition("const token =")[0]
    assert run_javascript(f"{set_up}{dpop}console.log(bound.token_type);", await environment()) == "dpop"
