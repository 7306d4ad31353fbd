"""What a route needs of its caller: scope (RFC 6750 §3.1), and how and when the user signed in (RFC 9470)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypedDict

from doorward_verify import scope as scopes
from doorward_verify.errors import InsufficientScope, InsufficientUserAuthentication, Misconfigured
from doorward_verify.scope import Scope
from doorward_verify.verified import Verified

COST_LIMIT = 1_000_000


class Wanted(TypedDict, total=False):
    """What may be said beside the scope. `optional` lets a request pass that shows no credential at all; `cost` is what
    a request takes of a key's limits.
    """

    acr_values: str
    max_age: int
    optional: bool
    cost: int


@dataclass(frozen=True, slots=True)
class Needs:
    scope: Scope = frozenset()
    acr_values: tuple[str, ...] = ()
    max_age: int | None = None
    optional: bool = False
    cost: int = 1

    @classmethod
    def of(
        cls, *scope: str, acr_values: str = "", max_age: int | None = None, optional: bool = False, cost: int = 1
    ) -> Needs:  # fmt: skip
        """Every named scope, any of the space-separated `acr_values`, a sign-in at most `max_age` seconds ago."""
        if max_age is not None and max_age < 0:
            raise Misconfigured("max_age cannot be negative")
        if not 0 <= cost <= COST_LIMIT:
            raise Misconfigured(f"a cost is 0 to {COST_LIMIT}")
        named = frozenset(name for text in scope for name in scopes.parse(text))
        return cls(named, tuple(acr_values.split()), max_age, optional, cost)

    def check(self, caller: Verified, now: float) -> None:
        """Raises InsufficientUserAuthentication first: its challenge names the scope too, so one round is enough."""
        if (self.acr_values or self.max_age is not None) and not self._is_met_by(caller.claims, now):
            raise InsufficientUserAuthentication(self.acr_values, self.max_age)
        if not self.scope <= caller.scope:
            raise InsufficientScope(self.scope)

    def _is_met_by(self, claims: Mapping[str, Any], now: float) -> bool:
        if self.acr_values and claims.get("acr") not in self.acr_values:
            return False
        if self.max_age is None:
            return True
        signed_in_at = claims.get("auth_time")
        return type(signed_in_at) is int and now - signed_in_at <= self.max_age
