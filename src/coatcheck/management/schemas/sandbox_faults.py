"""Faults in the answers of a sandbox."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Annotated

from msgspec import Meta, Struct

from coatcheck import text
from coatcheck.emulator.faults import Fault, NewFault
from coatcheck.http.decoding import StrictSchema


class FaultRequest(StrictSchema, frozen=True, kw_only=True):
    """At least one of `status`, `latency_ms` and `drop`."""

    route: Annotated[
        str,
        Meta(
            pattern=text.STORABLE,
            min_length=1,
            max_length=500,
            description="A path, a method and a path, or `*` for every route. A parameter is in braces under any "
            "name, or has the value of the requests to hit.",
            examples=["GET /account/account_numbers", "/users/{user_guid}/members", "*"],
        ),
    ]
    probability: Annotated[float, Meta(ge=0, le=1, description="The share of the requests that are hit.")] = (
        1.0
    )
    status: (
        Annotated[
            int,
            Meta(ge=400, le=599, description="Answer with this error. The request is not carried out."),
        ]
        | None
    ) = None
    latency_ms: Annotated[int, Meta(ge=0, le=60_000, description="Wait first, in milliseconds.")] = 0
    drop: Annotated[
        bool,
        Meta(description="Carry the request out, and close the connection in the middle of the answer."),
    ] = False
    seed: Annotated[
        int, Meta(ge=0, le=2**63 - 1, description="Decides which requests are hit, in the order they arrive.")
    ] = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.status is None and not self.latency_ms and not self.drop:
            raise ValueError("it must contain status, latency_ms or drop")

    @property
    def new_fault(self) -> NewFault:
        return NewFault(
            route=self.route,
            probability=self.probability,
            status=self.status,
            latency=timedelta(milliseconds=self.latency_ms),
            drop=self.drop,
            seed=self.seed,
        )


class FaultRequestBody(StrictSchema, frozen=True, kw_only=True):
    fault: FaultRequest


class FaultResponse(Struct, frozen=True):
    guid: str
    route: str
    probability: float
    status: int | None
    latency_ms: int
    drop: bool
    seed: int
    requests: Annotated[int, Meta(description="Requests to the route since the fault was added.")]
    hits: Annotated[int, Meta(description="Those that it was applied to.")]


class FaultResponseBody(Struct, frozen=True):
    fault: FaultResponse


class FaultsResponseBody(Struct, frozen=True):
    faults: list[FaultResponse]


def fault_body(fault: Fault) -> FaultResponseBody:
    return FaultResponseBody(_fault(fault))


def faults_body(faults: Iterable[Fault]) -> FaultsResponseBody:
    return FaultsResponseBody([_fault(each) for each in faults])


def _fault(fault: Fault) -> FaultResponse:
    new = fault.new
    return FaultResponse(
        guid=fault.guid,
        route=new.route,
        probability=new.probability,
        status=new.status,
        latency_ms=round(new.latency / timedelta(milliseconds=1)),
        drop=new.drop,
        seed=new.seed,
        requests=fault.requests,
        hits=fault.hits,
    )
