"""npm's `oidc-provider`, unchanged, and a person who signs in there."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urljoin

import httpx
import pytest

from tests.bank_windows import Inputs
from tests.guides import ROOT
from tests.node import node

CLIENTS = ROOT / "tests" / "oauth_clients"
CLIENT_ID, CLIENT_SECRET = "ledger", "s3cret"

needs_oidc_provider = pytest.mark.skipif(
    not (CLIENTS / "node_modules" / "oidc-provider").exists(),
    reason="no oidc-provider: `make setup` installs it",
)


@contextmanager
def oidc_provider(return_url: str) -> Iterator[str]:
    """The issuer of a running provider, which sends people back to this URL."""
    command = [node(), "provider.js", return_url]
    with subprocess.Popen(
        command, cwd=CLIENTS, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as op:
        assert op.stdout is not None
        yield op.stdout.readline().strip()
        op.terminate()


async def answer_at_provider(
    browser: httpx.AsyncClient, url: str, return_url: str, *, login: str = "ann", decision: str = "allow"
) -> str:
    """Signs in and consents on the provider's pages, or refuses. Returns the URL to which the provider leads back."""
    while not url.startswith(return_url):
        answer = await browser.get(url)
        if answer.is_success:
            page = Inputs(answer.text).values
            if decision == "deny":
                answer = await browser.get(f"{url}/abort")
            else:
                form = {"prompt": page["prompt"], "login": login, "password": "any"}
                answer = await browser.post(url, data=form)
        url = urljoin(url, answer.headers["location"])
    return url
