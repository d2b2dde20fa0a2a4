"""Endpoints for the URL of the widget."""

from coatcheck import errors
from coatcheck.api.handlers import widgets
from coatcheck.api.routes.parameters import CALLBACK_PAYLOAD, USER
from coatcheck.api.routes.route import Route
from coatcheck.api.schemas.widgets import (
    ConnectWidgetRequestBody,
    ConnectWidgetResponseBody,
    WidgetRequestBody,
    WidgetResponseBody,
)
from coatcheck.api.versions import Version
from coatcheck.http.route import Group, Parameter

WIDGETS = Group(
    "Widget",
    "The page on which an end user connects an institution.",
    (
        Route(
            "POST",
            f"{USER}/widget_urls",
            widgets.request_url,
            "requestWidgetURL",
            "Request a widget URL",
            "The URL can be loaded once, within ten minutes.",
            body=WidgetRequestBody,
            headers=(CALLBACK_PAYLOAD, Parameter("Accept-Language", "The language of the widget.")),
            answer=WidgetResponseBody,
            refusals=(errors.ConstraintNotMet(),),
        ),
        Route(
            "POST",
            f"{USER}/connect_widget_url",
            widgets.request_connect_url,
            "requestConnectWidgetURL",
            "Request a widget URL (legacy)",
            versions=(Version.V20111101,),
            body=ConnectWidgetRequestBody,
            answer=ConnectWidgetResponseBody,
            refusals=(errors.ConstraintNotMet(),),
        ),
    ),
)
