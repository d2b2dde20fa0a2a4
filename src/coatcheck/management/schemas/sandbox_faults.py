"""Faults in the answers of a sandbox."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Annotated

from msgspec import Meta, Struct

from coatcheck import text
from coatcheck.emulator.faults import Fault, NewFault
from coatcheck.http.decoding import StrictSchema
from coatcheck.http.doc import doc


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
    fault: Annotated[FaultRequest, doc("The fault.")]


class FaultResponse(Struct, frozen=True):
    guid: Annotated[str, doc("The guid of the fault.", "FLT-0197c4b1-2a10-7c3d-8e4f-5a6b7c8d9e0f")]
    route: Annotated[str, doc("As it was given.", "GET /account/account_numbers")]
    probability: Annotated[float, doc("The share of the requests that are hit.", 0.3)]
    status: Annotated[int | None, doc("The status of the answer; null if the request is carried out.", 503)]
    latency_ms: Annotated[int, doc("The wait before the answer, in milliseconds.", 0)]
    drop: Annotated[bool, doc("Whether the answer is lost.", False)]
    seed: Annotated[int, doc("Decides which requests are hit.", 7)]
    requests: Annotated[int, doc("Requests to the route since the fault was added.", 10)]
    hits: Annotated[int, doc("Those that it was applied to.", 3)]


class FaultResponseBody(Struct, frozen=True):
    fault: Annotated[FaultResponse, doc("The fault.")]


class FaultsResponseBody(Struct, frozen=True):
    faults: Annotated[list[FaultResponse], doc("The faults, oldest first.")]


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
