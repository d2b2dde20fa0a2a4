"""The institutions and merchants of all connectors of this installation."""

import unicodedata
import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType

from coatcheck.connectors.contract import Connector, Institution, JobKind, Merchant
from coatcheck.connectors.institution_search import rank
from coatcheck.errors import ConfigurationError, NotFound

# Namespaces of UUIDv5: a change would change the guids of all merchants.
_MERCHANTS = uuid.UUID("0f6d2c56-9a3f-5b7c-8f0e-6f2b9d1e4a77")
_LOCATIONS = uuid.UUID("d3a1f0c2-4b6e-5f8a-9c1d-2e7b5a904c33")
_FAVORITES = 25


@dataclass(frozen=True, slots=True)
class ListedMerchant:
    """A merchant with its guids, which are the same in every installation."""

    guid: str
    location_guid: str
    merchant: Merchant


@dataclass(frozen=True)
class Registry:
    """Finds institutions and their connectors.

    An institution that several connectors offer under one code is read by the first of them.

    Raises:
        ConfigurationError: two institutions have one guid, or one connector offers an institution twice.
    """

    connectors: Sequence[Connector]

    def __post_init__(self) -> None:
        # Each institution has two keys, its code and its guid. Fewer keys mean that two institutions share one.
        if len(self._by_key) != 2 * len(self._offered):
            raise ConfigurationError("Two institutions have the same code or guid.")

    def find(self, code_or_guid: str) -> Institution:
        """The institution of this code or guid.

        Raises:
            NotFound: no connector offers it.
        """
        return self._lookup(code_or_guid)[0]

    def connector_for(self, institution_code: str) -> Connector:
        """The connector that reads the institution.

        Raises:
            NotFound: no connector offers the institution.
        """
        return self._lookup(institution_code)[1]

    def search(
        self,
        name: str | None = None,
        *,
        routing_number: str | None = None,
        iso_country_codes: Collection[str] = (),
        supports: Collection[JobKind] = frozenset(),
    ) -> tuple[Institution, ...]:
        """The institutions that match every condition, by descending popularity, then by name.

        Args:
            name: a part of the name; case and accents do not matter.
            routing_number: the whole number.
            iso_country_codes: any of these; empty means any country.
            supports: all of these.
        """
        kinds, part = frozenset(supports), _folded(name or "")
        return tuple(
            each
            for each in self._ranked
            if part in _folded(each.name)
            and (routing_number is None or routing_number in each.routing_numbers)
            and (not iso_country_codes or each.iso_country_code in iso_country_codes)
            and kinds <= each.supports
        )

    def matching(
        self,
        text: str,
        *,
        iso_country_codes: Collection[str] = (),
        supports: Collection[JobKind] = frozenset(),
    ) -> tuple[Institution, ...]:
        """The institutions that a person may mean by a text, the best matches first (`institution_search`).

        Args:
            text: as a person types it.
            iso_country_codes: as `search`.
            supports: as `search`.
        """
        found = self.search(iso_country_codes=iso_country_codes, supports=supports)
        ranked = [(place, each) for each in found if (place := rank(each, text)) is not None]
        # Sorting is stable: within a rank, the order is that of `search`.
        return tuple(each for _, each in sorted(ranked, key=lambda pair: pair[0]))

    def favorites(self, iso_country_codes: Collection[str] = ()) -> tuple[Institution, ...]:
        """The 25 most popular."""
        return self.search(iso_country_codes=iso_country_codes)[:_FAVORITES]

    def merchants(self) -> tuple[ListedMerchant, ...]:
        """The merchants of all connectors, by name."""
        return self._merchants

    @cached_property
    def merchants_by_guid(self) -> Mapping[str, ListedMerchant]:
        """By the merchant's guid and by that of its location."""
        return MappingProxyType(
            {guid: each for each in self._merchants for guid in (each.guid, each.location_guid)}
        )

    async def close(self) -> None:
        """Releases the resources of the connectors."""
        for connector in self.connectors:
            await connector.close()

    def depositor(self) -> Connector | None:
        """The connector that sends micro-deposits; None if none does."""
        return next((each for each in self.connectors if each.sends_deposits), None)

    @cached_property
    def _merchants(self) -> tuple[ListedMerchant, ...]:
        named = {each.name: each for connector in self.connectors for each in connector.merchants()}
        return tuple(_listed(named[name]) for name in sorted(named))

    @cached_property
    def _offered(self) -> Sequence[tuple[Institution, Connector]]:
        """Each institution with the connector that reads it."""
        offered: list[tuple[Institution, Connector]] = []
        codes: set[str] = set()
        for connector in self.connectors:
            own = [each for each in connector.institutions() if each.code not in codes]
            offered += [(each, connector) for each in own]
            codes |= {each.code for each in own}
        return offered

    @cached_property
    def _ranked(self) -> tuple[Institution, ...]:
        every = (institution for institution, _ in self._offered)
        return tuple(sorted(every, key=lambda each: (-each.popularity, _folded(each.name))))

    @cached_property
    def _by_key(self) -> Mapping[str, tuple[Institution, Connector]]:
        """By code and by guid."""
        return {key: (each, connector) for each, connector in self._offered for key in (each.code, each.guid)}

    def _lookup(self, key: str) -> tuple[Institution, Connector]:
        try:
            return self._by_key[key]
        except KeyError:
            raise NotFound("There is no institution with this code or guid.") from None


def _listed(merchant: Merchant) -> ListedMerchant:
    return ListedMerchant(
        guid=f"MCH-{uuid.uuid5(_MERCHANTS, merchant.name)}",
        location_guid=f"MCL-{uuid.uuid5(_LOCATIONS, merchant.name)}",
        merchant=merchant,
    )


def _folded(text: str) -> str:
    """The text without case and accents: `Érablière` becomes `erabliere`."""
    letters = unicodedata.normalize("NFKD", text.casefold())
    return "".join(letter for letter in letters if not unicodedata.combining(letter))
