"""A migration never changes once it is released: each file has the digest that it was released with.

Nothing is released yet. Until then the initial migration may be edited, and its digest here is updated with it:
sha256sum src/coatcheck/migrations/versions/*.py
"""

from hashlib import sha256
from pathlib import Path

from coatcheck import migrations

DIGESTS = {
    "20261126_0001_initial.py": "2a9ca6e5747e99df25287af731c0921a282dc625f81be1d6e5d854fe620ac403",
    "20261126_0002_signed_documents.py": "05b8d8efe8b5f916ef5264027c81c04d87b5fe3a4dbd06bc2422705469b77526",
    "20261126_0003_restrictions.py": "269da4a4f8057e0aa53d654b2e57c52474d420b5324eb60fbe2c9cde5d2fcba4",
    "20261126_0004_allowed_networks.py": "26e060c9c7b03afafd730523fd58127785dcb63ec1c96fbc02a788270ce88db7",
    "20261126_0005_processor_security.py": "7ac892849ddd6c3de87c6d621565ccc5a7c8ca375543a20042f0ca93ce045b8c",
    "20261126_0006_rate_limits.py": "484bd7b2175a8e9f7d4a91ef2c58d662a4df3b086c35455b59230f95d51b6d0b",
    "20261126_0007_worker_heartbeat.py": "16fd91c5335f181b49133a4e277769972210a290230b57ba4e0d7adc9d7ffb69",
    "20261126_0008_sealed_audit_log.py": "91a0ae9d00d48f9c7276c95e3d5794364a8ab111daf55d08f5154d5b6c84d6f8",
    "20261126_0009_sandbox_clock.py": "9bf6f81acfa79766deb9fe9336aad7f38de7ce997293d718590a90253f79473a",
    "20261126_0010_grant_lists.py": "1b73de1987f23729ac6a1b101d269e3eca5bf7d869559da96fc25c96ad000ca8",
    "20261126_0011_webhook_endpoints.py": "02051c0fad379191e32c5d6a4426176bb20c6c28cc3df85aad0fad758529d8a7",
    "20261126_0012_sandbox_bank_record.py": "e045be153d4c629a8edc0fb43cdc7f6b1a7079e70f57e20919c9279f57d9f0c8",
    "20261126_0013_withdrawn_signing_keys.py": "cc9e60958033c5e8fdccecb4d2e7a5d3c007102b7e86cf69ab2b959d4593f14a",
    "20261126_0014_sandbox_fdx_bank.py": "2f2628aec3270a1f8c6de39155ed931d0c841d064e1875d1c34b3cc3d9a167dc",
    "20261126_0015_seeded_sandbox.py": "deb21b8232824a3a89dbe70df54bc29618bf6985d5fb45f64729fe48b00dc8ad",
    "20261126_0016_institution_statuses.py": "5a4d9f346e04224630c706414c4eb681e7d5d685ea8253a287e39823ef8a947a",
    "20261126_0017_portal_sessions.py": "0e9eee67946cb7c4123cead268988d7ed3771c708689a359c77e594a3618897a",
    "20261126_0018_simplefin.py": "3b25c30370628ea7b9445982ac77ca38ebd6775f76695d549ef5ff1635fd5f61",
    "20261126_0019_statement_imports.py": "e0b214360ee3905654a7af92daa8d70aaf9067ec66a4a263d3ff3e69cebd68b5",
    "20261126_0020_account_identity.py": "50eef75f8769bf476ed876979f2c370fe56e944130d7b0a8729a140da9f93098",
    "20261127_0021_staff.py": "5a1b8d9909088393c5881815bc26f918b5a9e4eeb7e75586fb2e8d5958fa25e1",
    "20261127_0022_disconnections.py": "fec5c566ed1051507db8a0f43a14e79f75499dd7c6204564a1d04980a075429c",
    "20261127_0023_transaction_weeks.py": "01219d6db1263822f133689b1e3ccf6b017e6ae7bf8d1ad7a10b4f566bda0f75",
    "20261127_0024_deletion_in_pieces.py": "29c1ffa405c75cfd235e1a26240490f4f1f8fbfea472a439cb054849dc4ecd18",
    "20261127_0025_audit_entries_without_key.py": "3559d4ad44cdc7866088165389a648eaabf21b2ee260afcfd18462b0aecdef4c",
    "20261127_0026_codes_not_redeemed.py": "64c27a233bee362e53437f990a163d5befa9dd1ad3612ce7800d0a0147f3face",
    "20261127_0027_staff_by_invitation_only.py": "8a18056b02ff75b11686617af24a73ac44906789332ed717dedef6dd6f516bc1",
    "20261127_0028_consents_that_count_again.py": "74d907f7c9418a58353056eb092131d29774265c5970d4976ce0d317691dd313",
    "20261127_0029_audit_search.py": "fa87d4c7470912698e128b0cceae33ac900a9f2d64ee200a5f8269fe6679dce3",
    "20261127_0030_selected_accounts.py": "9ea49ee0e35e70a27fed94c90a27ce192aacfa0b0360402d9b12f048433fc364",
    "20261127_0031_cells.py": "ce9a1e313001627871092961deb63c7c18c6007d215b67a60a9d3669a2523dae",
    "20261127_0032_failed_deliveries.py": "1f070947373bb1c3015fb2f2e0c2183cc8f18b41751907d1419d6e306c844567",
    "20261127_0033_smaller_tokens.py": "194550c85322d2197275f086d73c7f23ebac0bb5d197c298f7360da4c2c15487",
    "20261127_0034_audit_entries_by_column.py": "eb478db0c9b7fc780711e2cc8faaddd09a4b5b908f2362f63180919099ebb8c6",
    "20261127_0035_redeemed_codes.py": "048ef5589912e84c309e2b95ab5772d4d5de6f2ada785b3ccdda7787bd961ada",
    "20261127_0036_smaller_events.py": "b08d16f2afb5a2f09152966f2b33107565508a34ae1048bf6235d70a95db9098",
    "20261127_0037_accounts_read_at.py": "6886d28e6540ff074689813cc6fe9749984ebc5d2b0e63a23d5e2a1fd6809776",
    "20261127_0038_api_key_uses.py": "2bb080e0b0e59b1b991927945014709d3fa990e6ec026bea2fe265e2680343fb",
    "20261127_0039_transactions_read_at.py": "5c906e78263da3499ca0389a2087c1339e2ec4772f1c47b0a03c1cb0b6955f65",
    "20261127_0040_accounts_by_guid.py": "1697ca2be6e69b97359c6e8e1e0dd8d71e9fdf6d0e940481f8f5d6f17523a703",
    "20261127_0041_partitions_keep_their_pages.py": "1b2358f9d9f2fb2e978af5374dc3a5a6bdd1a8b4998c6affdd04fc5ce8afd480",
    "20261127_0042_grants_that_end_early.py": "c860284c99647c99722fa6eeeaf255314069d164f314a32d5886eef3bfbd5e57",
    "20261127_0043_revisions.py": "b08b9caae306e877622fe7ff3fe99df993f607b36e10bc5c3b9539403456743d",
    "20261127_0044_initial_data.py": "a43f4c92146671bc5b148abcbf3fe7512ec8ccfa91a36202cf8e6a727594a391",
}
VERSIONS = Path(next(iter(migrations.__path__))) / "versions"


def test_every_migration_is_as_it_was_released() -> None:
    digests = {file.name: sha256(file.read_bytes()).hexdigest() for file in VERSIONS.glob("*.py")}
    assert digests == DIGESTS


def test_a_migration_takes_no_sql_from_the_program_or_an_installed_library() -> None:
    for file in VERSIONS.glob("*.py"):
        imports = [line for line in file.read_text().splitlines() if line.startswith(("import ", "from "))]
        assert imports == ["from alembic import op"], file.name
