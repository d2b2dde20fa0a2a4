"""What is to be done later: wake-ups, left in the caller's transaction for a worker to pick up.

    wake(duty, key) --commit--> PgQueuer's row --NOTIFY--> a worker does the duty on what the key names

A wake-up is no more than a hint. What it points at is a row of ours that knows whether there is anything to do and
who does it (design.md, "No queue fences"); a lost wake-up is made up for by the worker's sweep, a doubled one finds
nothing to do. The picking up is the worker's: the process that only wakes loads none of PgQueuer (14 MB).
"""

from datetime import timedelta
from enum import StrEnum

from coatcheck.clock import Clock
from coatcheck.db.database import Connection, run

__all__ = ["Jobs", "TaskKind"]

AT_ONCE = timedelta()


class TaskKind(StrEnum):
    """What a worker can be woken for, and what the key then names."""

    #: A sitting at a bank: `<user guid>/<job guid>`.
    MEMBER_JOB = "member_job"
    #: A webhook to be delivered: the event's guid.
    DELIVERY = "delivery"
    #: Two small deposits to be sent: `<user guid>/<micro-deposit guid>`.
    MICRO_DEPOSIT = "micro_deposit"


class Jobs:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    async def wake(
        self,
        connection: Connection,
        task_kind: TaskKind,
        key: str,
        *,
        after: timedelta = AT_ONCE,
        priority: int = 0,
        once: bool = False,
    ) -> None:
        """Leaves a wake-up; it counts when the caller's transaction commits.

        Args:
            connection: the caller's, with or without an open transaction.
            task_kind: what for.
            key: names the row to look at. No secret: it stands in the queue's log.
            after: not before this time has passed.
            priority: the higher goes first.
            once: leaves none where one of the same duty and key still stands.
        """
        await run(
            connection,
            """SELECT pgqueuer_enqueue(
                   ARRAY[%(priority)s::int], ARRAY[%(duty)s::text], ARRAY[%(key)s::bytea],
                   ARRAY[coalesce(%(due)s::timestamptz - now(), interval '0')],
                   ARRAY[%(dedupe_key)s::text], ARRAY['{}'::jsonb])""",
            {
                "priority": priority,
                "duty": task_kind.value,
                "key": key.encode(),
                "due": self._clock.now() + after if after else None,
                "dedupe_key": f"{task_kind}/{key}" if once else None,
            },
        )
