"""The services that `members` and `micro_deposits` work with. Each of their classes takes some of them."""

from dataclasses import dataclass, field

from coatcheck.audit.journal import Journal
from coatcheck.clock import Clock
from coatcheck.config import Settings
from coatcheck.connectors.registry import Registry
from coatcheck.db.database import Database
from coatcheck.seeding import Seeding
from coatcheck.vault.vault import Vault


@dataclass(frozen=True, slots=True)
class Dependencies:
    settings: Settings
    clock: Clock
    db: Database
    vault: Vault
    registry: Registry
    journal: Journal
    seeding: Seeding
    index_key: bytes = field(repr=False)
    """The key of the hashes by which equal logins, numbers and accounts are found."""
