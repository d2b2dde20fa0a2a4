"""What everybody in this room works with, put together once, by `app.build`."""

from dataclasses import dataclass

from coatcheck.audit.log import AuditLog
from coatcheck.clock import Clock
from coatcheck.config import Settings
from coatcheck.connectors.registry import Registry
from coatcheck.db.database import Database
from coatcheck.events.publisher import EventPublisher
from coatcheck.jobs.queue import Jobs
from coatcheck.vault.vault import Vault


@dataclass(frozen=True, slots=True)
class Dependencies:
    settings: Settings
    clock: Clock
    db: Database
    vault: Vault
    registry: Registry
    publisher: EventPublisher
    audit: AuditLog
    jobs: Jobs
