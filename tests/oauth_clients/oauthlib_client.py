"""Exchanges a code with OAuthlib, reads, and prints what it got (tests/e2e/test_oauth_clients.py)."""

import json
import sys

import requests
from oauthlib.oauth2 import WebApplicationClient

GIVEN = json.load(sys.stdin)
TOKEN_URL = f"{GIVEN['base_url']}/oauth/token"
READ_URL = f"{GIVEN['base_url']}/payment_account"
REDIRECT_URI = "https://processor.example/callback"

client = WebApplicationClient(GIVEN["client_id"])
url, headers, body = client.prepare_token_request(
    TOKEN_URL, code=GIVEN["code"], redirect_url=REDIRECT_URI, client_secret=GIVEN["client_secret"]
)
answer = requests.post(url, headers=headers, data=body)
token = client.parse_request_body_response(answer.text)
url, headers, _ = client.add_token(READ_URL)
print(json.dumps({"token": token, "statuses": [requests.get(url, headers=headers).status_code]}))
