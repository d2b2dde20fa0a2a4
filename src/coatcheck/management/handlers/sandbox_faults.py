"""Faults in the answers of a sandbox."""

from coatcheck.emulator.faults import current_faults
from coatcheck.http.decoding import parse
from coatcheck.management.request import ManagementRequest
from coatcheck.management.schemas.sandbox_faults import (
    FaultRequestBody,
    FaultResponseBody,
    FaultsResponseBody,
    fault_body,
    faults_body,
)


async def create_fault(request: ManagementRequest) -> FaultResponseBody:
    new = parse(request.body, FaultRequestBody).fault.new_fault
    return fault_body(current_faults.get().add(new))


async def list_faults(_request: ManagementRequest) -> FaultsResponseBody:
    return faults_body(current_faults.get().listed)


async def delete_faults(_request: ManagementRequest) -> None:
    current_faults.get().clear()
