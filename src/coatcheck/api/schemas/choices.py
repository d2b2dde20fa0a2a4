"""The values of MX's fields that several requests share."""

from typing import Annotated, Literal, TypeAlias

from msgspec import Meta

UseCase: TypeAlias = Literal["MONEY_MOVEMENT", "PFM"]
UseCases: TypeAlias = Annotated[tuple[UseCase, ...], Meta(max_length=2)]
ReferralSource: TypeAlias = Literal["BROWSER", "APP"]
