"""The request that a handler of the management API gets."""

from dataclasses import dataclass

from coatcheck.http.request import HandlerRequest
from coatcheck.model.clients import Processor


@dataclass(kw_only=True)
class ManagementRequest(HandlerRequest):
    """The arguments of a handler. A route for both kinds of caller sets `client_or_none` or `processor_or_none`."""

    processor_or_none: Processor | None = None
