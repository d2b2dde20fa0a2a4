"""The institutions, merchants and numbers of the sandbox, and how they are found."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stdnum.us import rtn

from coatcheck.connectors.contract import JobKind
from coatcheck.connectors.registry import Registry
from coatcheck.connectors.sandbox.bank import SandboxBank, SandboxSettings
from coatcheck.connectors.sandbox.numbers import routing_number
from coatcheck.errors import ConfigurationError, NotFound
from coatcheck.testing.connectors import connector_context


def registry(seed: int = 1) -> Registry:
    return Registry((SandboxBank(connector_context(SandboxSettings(seed=seed), name="sandbox")),))


REGISTRY = registry()


def names(**query) -> list[str]:
    return [each.name for each in REGISTRY.search(**query)]


def test_mx_bank_is_found_by_part_of_its_name_in_any_case():
    assert names(name="mX bAnk")[0] == "MX Bank"


def test_mx_bank_is_found_by_the_routing_number_that_clients_of_mx_search_for():
    assert names(routing_number="111111111") == ["MX Bank"]


def test_every_institution_is_found_by_its_own_routing_number():
    for each in REGISTRY.search():
        assert each in REGISTRY.search(routing_number=each.routing_numbers[0])


@pytest.mark.parametrize("text", ["erabliere", "ÉRABLIÈRE", "Caisse É"])
def test_accents_and_case_do_not_matter(text):
    assert names(name=text) == ["Caisse Érablière"]


def test_an_unknown_name_finds_nothing():
    assert names(name="no such bank") == []


def test_a_search_by_country_finds_only_that_country():
    found = REGISTRY.search(iso_country_codes=["CA"])
    assert len(found) >= 5
    assert {each.iso_country_code for each in found} == {"CA"}
    assert len(REGISTRY.search(iso_country_codes=["US", "CA"])) == len(REGISTRY.search())


def test_a_search_by_products_finds_institutions_with_all_of_them():
    products = {JobKind.VERIFICATION, JobKind.STATEMENT}
    found = REGISTRY.search(supports=products)
    assert 0 < len(found) < len(REGISTRY.search())
    assert all(products <= each.supports for each in found)


def test_there_are_institutions_without_verification():
    assert any(JobKind.VERIFICATION not in each.supports for each in REGISTRY.search())


def test_the_more_popular_come_first_and_the_favorites_are_the_first_25():
    found = REGISTRY.search()
    assert len(found) >= 54
    assert [each.popularity for each in found] == sorted((each.popularity for each in found), reverse=True)
    assert REGISTRY.favorites() == found[:25]
    assert found[0].code == "mxbank"


def test_favorites_can_be_limited_to_a_country():
    assert {each.iso_country_code for each in REGISTRY.favorites(["CA"])} == {"CA"}


def test_an_institution_is_found_by_code_and_by_guid_and_has_its_connector():
    for each in REGISTRY.search():
        assert REGISTRY.find(each.code) is REGISTRY.find(each.guid) is each
        assert each in REGISTRY.connector_for(each.code).institutions()


@pytest.mark.parametrize("key", ["", "nobank", "INS-00000000-0000-0000-0000-000000000000"])
def test_an_unknown_institution_is_not_found(key):
    with pytest.raises(NotFound):
        REGISTRY.find(key)
    with pytest.raises(NotFound):
        REGISTRY.connector_for(key)


def test_guids_are_the_same_in_every_installation():
    other = registry(seed=2)
    assert other.search() == REGISTRY.search()
    assert other.merchants() == REGISTRY.merchants()


def test_guids_of_institutions_and_credentials_are_unique():
    found = REGISTRY.search()
    guids = [each.guid for each in found] + [field.guid for each in found for field in each.credentials]
    assert len(guids) == len(set(guids))
    assert all(guid.startswith(("INS-", "CRD-")) for guid in guids)


def test_mx_bank_has_the_credential_guids_of_mxs_examples():
    login, password = REGISTRY.find("mxbank").credentials
    assert (login.field_name, login.guid) == ("LOGIN", "CRD-9f61fb4c-912c-bd1e-b175-ccc7f0275cc1")
    assert (password.field_name, password.guid) == ("PASSWORD", "CRD-e3d7ea81-aac7-05e9-fbdd-4b493c6e474d")


def test_mx_bank_offers_everything_and_is_not_throttled():
    bank = REGISTRY.find("mxbank")
    assert bank.supports == frozenset(JobKind)
    assert not bank.is_throttled
    assert REGISTRY.search(name="Lanternfish")[0].is_throttled


def test_mx_bank_oauth_verifies_and_identifies_but_has_no_history():
    bank = REGISTRY.find("mx_bank_oauth")
    assert bank.supports_oauth
    assert bank.credentials == ()
    assert {JobKind.VERIFICATION, JobKind.IDENTIFICATION} <= bank.supports
    assert JobKind.HISTORY not in bank.supports


def test_every_institution_has_a_logo_with_its_name():
    for each in REGISTRY.search():
        assert each.logo_svg is not None
        assert each.logo_svg.startswith("<svg ")
        assert each.name.replace("&", "&amp;") in each.logo_svg


def test_merchants_have_unique_guids_and_places():
    listed = REGISTRY.merchants()
    assert len(listed) >= 40
    assert len({each.guid for each in listed} | {each.location_guid for each in listed}) == 2 * len(listed)
    assert all(each.guid.startswith("MCH-") and each.location_guid.startswith("MCL-") for each in listed)


def test_the_sandbox_has_pages_and_sends_deposits():
    assert [each.name for each in REGISTRY.connectors if each.pages is not None] == ["sandbox"]
    assert REGISTRY.depositor() is REGISTRY.connector_for("mxbank")


def test_without_connectors_there_are_no_institutions():
    empty = Registry(())
    assert (empty.search(), empty.depositor(), empty.merchants()) == ((), None, ())


class OtherBank(SandboxBank):
    """Offers some of the sandbox's institutions as another connector."""

    def __init__(self, *institutions):
        super().__init__(connector_context(SandboxSettings(), name="other"))
        self._offered = institutions

    def institutions(self):
        return self._offered


def test_an_institution_of_two_connectors_is_read_by_the_first():
    sandbox, mxbank = REGISTRY.connector_for("mxbank"), REGISTRY.find("mxbank")
    other = OtherBank(replace(mxbank, name="MX Bank, elsewhere"))
    registry = Registry((other, sandbox))
    assert registry.connector_for("mxbank") is other
    assert registry.find(mxbank.guid).name == "MX Bank, elsewhere"
    assert [each.name for each in registry.search("MX Bank")].count("MX Bank") == 0
    assert Registry((sandbox, other)).connector_for("mxbank") is sandbox


def test_two_institutions_cannot_have_one_guid():
    other = OtherBank(replace(REGISTRY.find("mxbank"), code="another"))
    with pytest.raises(ConfigurationError, match="same code or guid"):
        Registry((REGISTRY.connector_for("mxbank"), other))


def test_a_connector_cannot_offer_an_institution_twice():
    mxbank = REGISTRY.find("mxbank")
    with pytest.raises(ConfigurationError, match="same code or guid"):
        Registry((OtherBank(mxbank, mxbank),))


def test_us_routing_numbers_are_valid_integers_and_belong_to_no_real_bank():
    for each in REGISTRY.search(iso_country_codes=["US"]):
        number = each.routing_numbers[0]
        assert rtn.is_valid(number)
        assert number == str(int(number))
        assert number[2] == "9"


def test_canadian_routing_numbers_have_their_electronic_form():
    for each in REGISTRY.search(iso_country_codes=["CA"]):
        assert len(each.routing_numbers[0]) == 9
        assert each.routing_numbers[0].startswith("0")


@given(st.integers(0, 10**8 - 1), st.integers(0, 8), st.integers(1, 9))
def test_a_single_wrong_digit_is_always_detected(first_eight, place, by):
    number = routing_number(f"{first_eight:08}")
    wrong = f"{number[:place]}{(int(number[place]) + by) % 10}{number[place + 1 :]}"
    assert rtn.is_valid(number)
    assert not rtn.is_valid(wrong)


@pytest.mark.parametrize(
    ("account_number", "cents"), [("1234567842", (3, 15)), ("00", (1, 11)), ("99", (10, 20))]
)
async def test_deposit_amounts_are_computed_from_the_last_two_digits(account_number, cents):
    sent = await REGISTRY.connector_for("mxbank").send_deposits(
        routing_number="121000248",
        account_number=account_number,
        now=datetime(2026, 11, 20, 9, 30, tzinfo=UTC),
    )
    assert sent.amounts == tuple(Decimal(each) / 100 for each in cents)
    assert sent.arrive_at == datetime(2026, 11, 23, 14, 0, tzinfo=UTC), "Friday's deposits arrive on Monday"


async def test_deposits_to_a_test_account_arrive_immediately():
    now = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)
    sent = await REGISTRY.connector_for("mxbank").send_deposits(
        routing_number="121000248", account_number="33330042", now=now
    )
    assert sent.arrive_at == now
