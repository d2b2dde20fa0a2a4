"""Exchanges a code with Requests-OAuthlib, reads, and prints what it got (tests/e2e/test_oauth_clients.py)."""

import json
import sys

import requests
from requests_oauthlib import OAuth2Session

GIVEN = json.load(sys.stdin)
TOKEN_URL = f"{GIVEN['base_url']}/oauth/token"
READ_URL = f"{GIVEN['base_url']}/payment_account"
REDIRECT_URI = "https://processor.example/callback"

session = OAuth2Session(GIVEN["client_id"], redirect_uri=REDIRECT_URI)
in_form = GIVEN["method"] == "client_secret_post"
token = session.fetch_token(
    TOKEN_URL,
    code=GIVEN["code"],
    client_secret=GIVEN["client_secret"],
    include_client_id=True if in_form else None,
    auth=None if in_form else requests.auth.HTTPBasicAuth(GIVEN["client_id"], GIVEN["client_secret"]),
)
print(json.dumps({"token": token, "statuses": [session.get(READ_URL).status_code]}))
