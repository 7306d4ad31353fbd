"""`[[gateway.routes]]` in doorward.toml: which requests gateways let through, before what apis say themselves.

[[gateway.routes]]                       [[gateway.routes]]
path = "/invoices/{id}"                  path = "/static/**"
methods = ["GET"]                        methods = ["GET", "HEAD"]
api = "https://api.example.com"          public = true
scope = "invoices:read"
"""

from collections.abc import Iterable
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from doorward.protocol import route_policy
from doorward.protocol.route_policy import Table


class RouteSettings(BaseModel):
    """One pattern; `refusals` has what may not be combined."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    path: str = Field(description="Such as /invoices/{id} or /static/**: the most specific pattern decides alone.")
    methods: tuple[str, ...] = Field(description='Those that it lets through; ["*"] for all.')
    api: str = Field("", description="The api whose credentials open it, by its identifier or name.")
    scope: str = Field("", description="What they need, separated by spaces.")
    service: str = Field("", description="Whom the assertion is for; the api, by default.")
    host: str = Field("", description="Only for this host, which then is asked about its own routes first.")
    transports: tuple[str, ...] = Field(
        route_policy.DEFAULT_TRANSPORTS, description="How api keys may be sent: bearer, header, basic."
    )
    environment: Literal["live", "test"] = Field("live", description="Of which environment api keys must be.")
    public: bool = Field(False, description="It needs no credential, and nobody is named to the backend.")
    preflight: bool = Field(False, description="Browsers of other origins may ask for it by OPTIONS first.")


class GatewaySettings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    routes: tuple[RouteSettings, ...] = Field((), description="A table each, in any order.")


def table(routes: Iterable[RouteSettings]) -> Table:
    """Raises BadRoute."""
    return route_policy.compiled(route_policy.route(one.model_dump()) for one in routes)
