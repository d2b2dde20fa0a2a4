"""Master keys that a key management service wraps: AWS KMS and HashiCorp Vault.

AWS KMS is moto's. HashiCorp Vault is `FakeVault`, which proves that the program sends the requests of the Transit API
with its token and binds a key to its id. It does not prove what a real Vault's policies permit.
"""

import asyncio
import base64
import json
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import boto3
import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from moto import mock_aws

from coatcheck.config import Settings
from coatcheck.errors import ConfigurationError
from coatcheck.vault.key_service import Service
from coatcheck.vault.master_keys import MasterKeys, new_master_key_line
from tests.member_setup import PATIENCE

TOKEN = "hvs.token-of-the-test"


class FakeVault(BaseHTTPRequestHandler):
    """Encrypts and decrypts with the key `coatcheck` of the Transit engine."""

    mount = "transit"
    key = AESGCM.generate_key(256)
    nonce = bytes(12)
    may_answer = threading.Event()
    """Clear while the service is slow."""
    may_answer.set()

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        bound_to = base64.b64decode(body["associated_data"])
        if not self.may_answer.wait(timeout=PATIENCE):
            return self._answer(503, {"errors": ["too late"]})
        operation = self.path.removeprefix(f"/v1/{self.mount}/")
        if self.headers["X-Vault-Token"] != TOKEN:
            return self._answer(403, {"errors": ["permission denied"]})
        if operation == "encrypt/coatcheck":
            plaintext = base64.b64decode(body["plaintext"])
            sealed = base64.b64encode(AESGCM(self.key).encrypt(self.nonce, plaintext, bound_to)).decode()
            return self._answer(200, {"data": {"ciphertext": f"vault:v1:{sealed}"}})
        if operation == "decrypt/coatcheck":
            sealed = base64.b64decode(body["ciphertext"].removeprefix("vault:v1:"))
            try:
                plaintext = AESGCM(self.key).decrypt(self.nonce, sealed, bound_to)
            except InvalidTag:
                return self._answer(400, {"errors": ["cipher: message authentication failed"]})
            return self._answer(200, {"data": {"plaintext": base64.b64encode(plaintext).decode()}})
        return self._answer(404, {"errors": ["no handler for route"]})

    do_PUT = do_POST  # noqa: N815

    def _answer(self, status: int, answer: object) -> None:
        content = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_arguments: object) -> None:
        """Logs nothing."""


@pytest.fixture
def vault(monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """A running Vault, and the settings that use it."""
    with ThreadingHTTPServer(("127.0.0.1", 0), FakeVault) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("VAULT_ADDR", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setenv("VAULT_TOKEN", TOKEN)
        yield Settings()
        server.shutdown()


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """AWS KMS with one key, and the settings that use it."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    with mock_aws():
        yield Settings(aws_kms_key=boto3.client("kms").create_key()["KeyMetadata"]["Arn"])


@pytest.fixture(params=[*Service])
def service(request: pytest.FixtureRequest) -> Service:
    return Service(request.param)


@pytest.fixture
def settings(service: Service, request: pytest.FixtureRequest) -> Settings:
    """The settings of each service in turn."""
    fixture = {Service.AWS_KMS: "aws", Service.HASHICORP_VAULT: "vault"}[service]
    found: Settings = request.getfixturevalue(fixture)
    return found


def with_line(settings: Settings, line: str, tmp_path: Path) -> Settings:
    file = tmp_path / "master.key"
    file.write_text(f"{line}\n")
    file.chmod(0o600)
    return Settings(
        master_key_file=str(file),
        aws_kms_key=settings.aws_kms_key,
        hashicorp_vault_key=settings.hashicorp_vault_key,
    )


def test_a_wrapped_key_of_the_file_is_unwrapped_once_and_then_used_like_any_other(
    service: Service, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = new_master_key_line(service, settings)
    assert line.split(":")[1] == service
    keys = MasterKeys.load(with_line(settings, line, tmp_path))
    wrapped = keys.wrap(b"k" * 32, "data_key", "USR-1")
    monkeypatch.setenv("VAULT_TOKEN", "expired")
    assert keys.unwrap(keys.sealing_id, wrapped, "data_key", "USR-1") == b"k" * 32


def test_the_file_does_not_contain_the_key(service: Service, settings: Settings, tmp_path: Path) -> None:
    line = new_master_key_line(service, settings)
    keys = MasterKeys.load(with_line(settings, line, tmp_path))
    assert base64.b64encode(keys.keys[keys.sealing_id]).decode() not in line


def test_a_wrapped_key_under_another_id_is_refused(
    service: Service, settings: Settings, tmp_path: Path
) -> None:
    _, _, wrapped = new_master_key_line(service, settings).partition(":")
    with pytest.raises(ConfigurationError, match="does not decrypt the master key"):
        MasterKeys.load(with_line(settings, f"mk-other:{wrapped}", tmp_path))


def test_a_key_that_another_key_of_aws_kms_wrapped_is_refused(aws: Settings, tmp_path: Path) -> None:
    line = new_master_key_line(Service.AWS_KMS, aws)
    other = Settings(aws_kms_key=boto3.client("kms").create_key()["KeyMetadata"]["Arn"])
    with pytest.raises(ConfigurationError, match="does not decrypt"):
        MasterKeys.load(with_line(other, line, tmp_path))


def test_a_key_of_aws_kms_is_unwrapped_without_the_setting_and_by_other_programs(
    aws: Settings, tmp_path: Path
) -> None:
    """The encryption context is part of what is stored: another name of it would open no key."""
    line = new_master_key_line(Service.AWS_KMS, aws)
    keys = MasterKeys.load(with_line(Settings(), line, tmp_path))
    wrapped = keys.wrap(b"k" * 32, "data_key", "USR-1")
    key_id, _, blob = line.split(":")
    plaintext = boto3.client("kms").decrypt(
        CiphertextBlob=base64.b64decode(blob), EncryptionContext={"coatcheck-master-key": key_id}
    )["Plaintext"]
    same = MasterKeys.load(
        with_line(Settings(), f"{key_id}:{base64.b64encode(plaintext).decode()}", tmp_path)
    )
    assert same.unwrap(key_id, wrapped, "data_key", "USR-1") == b"k" * 32


def test_without_aws_kms_key_no_key_is_created_and_the_setting_is_named(
    aws: Settings,
) -> None:
    with pytest.raises(
        ConfigurationError, match=r"^Set aws_kms_key to the ARN, id or alias of the key in AWS KMS\.$"
    ):
        new_master_key_line(Service.AWS_KMS, Settings())


def test_without_a_region_the_error_says_what_to_check(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    monkeypatch.delenv("AWS_REGION", raising=False)
    with pytest.raises(ConfigurationError, match=r"cannot be called: NoRegionError\. Check AWS_REGION"):
        new_master_key_line(Service.AWS_KMS, Settings(aws_kms_key="alias/coatcheck"))


def test_a_wrong_token_of_vault_is_refused_and_never_quoted(
    vault: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = new_master_key_line(Service.HASHICORP_VAULT, vault)
    monkeypatch.setenv("VAULT_TOKEN", "hvs.expired")
    with pytest.raises(ConfigurationError, match="does not decrypt the master key: Forbidden") as refused:
        MasterKeys.load(with_line(vault, line, tmp_path))
    assert "hvs.expired" not in str(refused.value)


def test_a_vault_that_does_not_answer_is_named(vault: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VAULT_ADDR", "http://127.0.0.1:1")
    with pytest.raises(ConfigurationError, match="HashiCorp Vault does not encrypt the master key: Conn"):
        new_master_key_line(Service.HASHICORP_VAULT, vault)


def test_the_transit_engine_may_be_mounted_below_another_path(
    vault: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FakeVault, "mount", "teams/payments")
    line = new_master_key_line(
        Service.HASHICORP_VAULT, Settings(hashicorp_vault_key="teams/payments/coatcheck")
    )
    assert line.split(":")[1] == Service.HASHICORP_VAULT


def test_a_key_that_is_not_base64_is_refused_and_named(aws: Settings, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"^Master key mk-one is not base64\.$"):
        MasterKeys.load(with_line(aws, "mk-one:aws-kms:!", tmp_path))


def test_a_key_of_an_unknown_service_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="not one of aws-kms, hashicorp-vault"):
        MasterKeys.load(with_line(Settings(), "mk-one:gcp-kms:AAAA", tmp_path))


async def test_others_are_served_while_the_service_of_a_new_master_key_is_slow(
    vault: Settings, tmp_path: Path
) -> None:
    new, old = new_master_key_line(Service.HASHICORP_VAULT, vault), new_master_key_line()
    new_id = new.partition(":")[0]
    keys = MasterKeys.load(with_line(vault, old, tmp_path))
    with_line(vault, f"{new}\n{old}", tmp_path)
    os.utime(tmp_path / "master.key", (1, 1))  # changed, whatever the resolution of the file system
    FakeVault.may_answer.clear()
    finding = asyncio.create_task(keys.find([new_id]))
    await asyncio.sleep(0)
    FakeVault.may_answer.set()
    await finding
    assert new_id in keys.keys
