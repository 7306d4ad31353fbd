"""What was proved of a caller: one result for API keys, opaque tokens and JWTs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

from doorward_verify.errors import InsufficientScope
from doorward_verify.scope import Scope

Kind = Literal["jwt", "opaque", "api_key"]


@dataclass(frozen=True, init=False)
class Verified:
    """A credential that is good here and now. `stale` says that the server could not be asked again."""

    credential: Kind
    subject: str | None
    account: str | None
    client_id: str | None
    key_id: str | None
    scope: Scope
    audience: str
    environment: str
    expires_at: int | None
    grant_id: str | None
    act: Mapping[str, Any] | None
    stale: bool
    claims: Mapping[str, Any] = field(repr=False)

    def __init__(
        self,
        credential: Kind,
        subject: str | None,
        account: str | None,
        client_id: str | None,
        key_id: str | None,
        scope: Scope,
        audience: str,
        environment: str,
        expires_at: int | None,
        grant_id: str | None = None,
        act: Mapping[str, Any] | None = None,
        stale: bool = False,
        claims: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        # Filled at one stroke: a frozen dataclass sets field by field, which costs as much as a tenth of all parsing.
        self.__dict__.update(
            credential=credential, subject=subject, account=account, client_id=client_id, key_id=key_id,
            scope=scope, audience=audience, environment=environment, expires_at=expires_at,
            grant_id=grant_id, act=act, stale=stale, claims=claims,
        )  # fmt: skip

    def require(self, *names: str) -> None:
        """Raises InsufficientScope unless every named scope was granted."""
        if not self.scope.issuperset(names):
            raise InsufficientScope(frozenset(names))
