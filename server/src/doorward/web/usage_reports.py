"""How a key or an account was used: plain reads of what was counted, for whoever administers it.

GET /v1/keys/key_8sK2.../usage?from=1795470000&to=1795559999        GET /v1/accounts/acme/usage
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import astuple, dataclass
from typing import Annotated, Any

from fastapi import Query
from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from doorward.protocol import usage_report
from doorward.protocol.admin import found
from doorward.protocol.usage_report import UsageObject
from doorward.store import accounts, api_keys, usage
from doorward.web.responses import rendered, respond

From = Annotated[int | None, Query(alias="from", description="Seconds; the whole hour counts (default: 30 days ago).")]
To = Annotated[int | None, Query(alias="to", description="Seconds; hours that began before (default: now).")]


@dataclass(frozen=True, slots=True)
class Look:
    """`named` finds the id by which uses are counted, None for what does not exist."""

    scope: str
    kind: str
    noun: str
    named: Callable[[Connection, str], str | None]

    def read(self, connection: Connection, id_: str, span: tuple[int, int]) -> UsageObject:
        known = found(self.named(connection, id_), self.noun)
        hours = (astuple(hour) for hour in usage.hours(connection, self.kind, known, *span))
        return usage_report.report(known, span, hours, usage.of(connection, self.kind, known))

    @property
    def endpoint(self) -> Callable[..., Any]:
        async def show(request: Request, id: str, since: From = None, until: To = None) -> Response:  # noqa: A002  the path's own name
            incoming = request.incoming  # type: ignore[attr-defined]
            store = incoming.runtime.store
            span = usage_report.span(since, until, store.now())
            shown = await store.read(lambda connection: self.read(connection, id, span))
            return respond(rendered(shown, 200), incoming)

        show.__name__ = f"show_{self.noun}_usage".replace(" ", "_")
        return show


def _key(connection: Connection, id_: str) -> str | None:
    """By the key's id or that of one of its secrets."""
    key = api_keys.by_id(connection, id_).api_key
    return None if key is None else key.id


def _account(connection: Connection, id_: str) -> str | None:
    account = accounts.by_id(connection, id_)
    return None if account is None else account.id


LOOKS: Mapping[str, Look] = {
    "/keys/{id}/usage": Look("keys:read", usage.API_KEY, "api key", _key),
    "/accounts/{id}/usage": Look("accounts:read", usage.ACCOUNT, "account", _account),
}
