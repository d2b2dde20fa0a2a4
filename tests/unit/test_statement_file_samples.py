"""Statement files of banks, from packages of the registries, are read, add up to their balances, and import once."""

from collections import Counter

import pytest

from coatcheck.app import Services
from coatcheck.connectors.statement_files.reading import read_statement_file
from coatcheck.connectors.statement_files.statement import FileFormat
from coatcheck.errors import UnreadableFile
from tests.bank_samples import MISSING, Sample, samples
from tests.factories import Keyed, make_user

SAMPLES = samples()
pytestmark = pytest.mark.skipif(not SAMPLES, reason=MISSING)
NAMES = [each.name for each in SAMPLES]

REFUSED = {
    # Dates that do not exist, and a field that is no transaction.
    "bankfile: test_mt940_adapter.py:455",
    "camt053_loader_mt940: test_loader.py:205",
    # Regressions of a fuzzer, with amounts, accounts and days that do not exist.
    "camt053_loader_mt940: regression-amount-bare-comma.mt940",
    "camt053_loader_mt940: regression-amount-commas.mt940",
    "camt053_loader_mt940: regression-bic-only-account.mt940",
    "camt053_loader_mt940: regression-booking-month-13.mt940",
    "camt053_loader_mt940: regression-date-zero.mt940",
    "camt053_loader_mt940: regression-no-account.mt940",
    # Without a closing balance, as a file that was cut off.
    "mt-940: gv_codes.sta",
    "odoo11_addon_account_bank_statement_import_mt940_base: test-sns.940",
    # With line breaks inside of fields.
    "odoo11_addon_account_bank_statement_import_mt940_base: test-ing.940",
    # Answers without a statement.
    "ofxparse: account_listing_aggregation.ofx",
    "ofxparse: bank_small.ofx",
    "ofxparse: error_message.ofx",
    "ofxparse: signon_fail.ofx",
    "ofxparse: signon_success.ofx",
    "ofxparse: signon_success_no_message.ofx",
    # Made to fail.
    "ofxparse: date_missing.ofx",
    "ofxparse: decimal_error.ofx",
}
"""Samples that are no statement, or not a valid one."""
DOES_NOT_ADD_UP = {
    "bai2: citi_example.bai2",
    "camt053_loader_mt940: regression-two-statements.mt940",
    "mt-940: abnamro.sta",
    "mt-940: details_60-63.sta",
    "mt-940: ing.sta",
    "mt-940: knab.sta",
    "mt-940: malformed_details.sta",
    "mt-940: overly_long_details.sta",
    "mt-940: postfinance.sta",
    "mt-940: rabobank.sta",
    "mt-940: raiffeisen-cmi.sta",
    "mt-940: sepa_snippet.sta",
    "mt-940: sepa_snippet_broken.sta",
    "mt-940: triodos.sta",
    "mt-940: whitespace.sta",
    "mt-940: with_newline_in_tnr.sta",
    "odoo_addon_account_statement_import_camt: test-camt053",
    "odoo_addon_l10n_ro_account_bank_statement_import_mt940_bcr: test_file_bcr.STA",
    "pretix: test_mt940.py:79",
}
"""Samples whose authors changed or removed transactions: the closing balance is not the sum. Each has a warning."""
READABLE = [each for each in SAMPLES if each.name not in REFUSED]


@pytest.mark.parametrize("sample", READABLE, ids=lambda each: each.name)
def test_a_sample_is_read_and_adds_up_to_its_balances(sample: Sample) -> None:
    statement = read_statement_file(sample.data).statement
    assert statement.accounts
    is_different = any("do not add up" in each for each in statement.warnings)
    assert is_different == (sample.name in DOES_NOT_ADD_UP)


@pytest.mark.parametrize(
    "sample", [each for each in SAMPLES if each.name in REFUSED], ids=lambda each: each.name
)
def test_a_sample_that_is_no_statement_is_refused_with_its_place(sample: Sample) -> None:
    with pytest.raises(UnreadableFile) as refused:
        read_statement_file(sample.data)
    assert refused.value.line or refused.value.element


def test_there_are_samples_of_each_format_that_banks_offer() -> None:
    formats = Counter(read_statement_file(each.data).statement.format.value for each in READABLE)
    assert formats == {"OFX": 36, "MT940": 73, "BAI2": 4, "CAMT": 3}


def test_more_than_fifty_samples_of_mt940_have_balances_that_add_up() -> None:
    read = [read_statement_file(each.data).statement for each in READABLE if each.name not in DOES_NOT_ADD_UP]
    mt940 = [each.accounts for each in read if each.format is FileFormat.MT940]
    assert sum(all(each.opening and each.closing for each in accounts) for accounts in mt940) == 55


def test_every_exception_is_the_name_of_a_sample() -> None:
    assert set(NAMES) >= REFUSED | DOES_NOT_ADD_UP


async def test_every_sample_imports_once(services: Services, client: Keyed) -> None:
    for sample in READABLE:
        user = await make_user(services, client)
        read = await services.imports.read(user, sample.data, None)
        async with services.db.transaction() as connection:
            first = await services.imports.add(connection, user, read, actor="operator")
            again = await services.imports.add(connection, user, read, actor="operator")
        listed = [each.added + each.already_known for each in first.accounts]
        assert [(each.added, each.already_known) for each in again.accounts] == [(0, n) for n in listed]
