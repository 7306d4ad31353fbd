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

from doorward.protocol import limit, route_policy
from doorward.protocol.limit import Per, Type
from doorward.protocol.route_limit import Each
from doorward.protocol.route_policy import Table


class LimitSettings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    name: str = Field(description="By which it is told apart from others, and told to callers.")
    amount: int = Field(description="So many uses.")
    per: Per = Field(description="second, minute, hour or day; of a quota minute, hour, day or month.")
    type: Type = Field("rate", description="rate: refilled all the time; quota: by the calendar.")
    burst: int | None = Field(None, description="How many of a rate at once; all of them, by default.")
    each: Each = Field("credential", description="Who has it: each credential, account or address, or the route.")


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
        (), description="How api keys may be sent, of bearer, header and basic; as the api takes them, by default."
    )
    environment: Literal["live", "test"] = Field("live", description="Of which environment api keys must be.")
    public: bool = Field(False, description="It needs no credential, and nobody is named to the backend.")
    preflight: bool = Field(False, description="Browsers of other origins may ask for it by OPTIONS first.")
    limits: tuple[LimitSettings, ...] = Field((), description="How often: each credential, account, address, or all.")
    cost: int = Field(1, ge=0, le=limit.COST_LIMIT, description="What a request takes of each limit, the key's too.")


class GatewaySettings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    routes: tuple[RouteSettings, ...] = Field((), description="A table each, in any order.")


def table(routes: Iterable[RouteSettings]) -> Table:
    """Raises BadRoute."""
    return route_policy.compiled(route_policy.route(one.model_dump()) for one in routes)
