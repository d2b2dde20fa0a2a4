"""Exchanges a code with Authlib, reads, and prints what it got (tests/e2e/test_oauth_clients.py)."""

import json
import sys

from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc7523 import PrivateKeyJWT

GIVEN = json.load(sys.stdin)
TOKEN_URL = f"{GIVEN['base_url']}/oauth/token"
READ_URL = f"{GIVEN['base_url']}/payment_account"
REDIRECT_URI = "https://processor.example/callback"

method = GIVEN["method"]
session = OAuth2Session(
    GIVEN["client_id"],
    GIVEN["pem"] if method == "private_key_jwt" else GIVEN["client_secret"],
    token_endpoint_auth_method=method,
    revocation_endpoint_auth_method=method,
)
if method == "private_key_jwt":
    session.register_client_auth_method(PrivateKeyJWT(TOKEN_URL))
token = session.fetch_token(
    TOKEN_URL, grant_type="authorization_code", code=GIVEN["code"], redirect_uri=REDIRECT_URI
)
statuses = [session.get(READ_URL).status_code]
if GIVEN.get("revoke"):
    session.revoke_token(f"{GIVEN['base_url']}/oauth/revoke", token=token["access_token"])
    statuses.append(session.get(READ_URL).status_code)
print(json.dumps({"token": token, "statuses": statuses}))
