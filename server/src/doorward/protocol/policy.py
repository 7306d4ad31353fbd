"""The deployment's settings as the core sees them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from doorward.protocol import route_policy
from doorward.protocol.secret import Pepper
from doorward.protocol.upstream import Upstream

DAY = 86_400


@dataclass(frozen=True, slots=True)
class Policy:
    """Lifetimes are spans in seconds, sizes are bytes."""

    issuer: str
    pepper: Pepper
    brand: str = "dw"
    token_lifetime: int = 300
    token_lifetime_limit: int = 3600
    token_size_warning: int = 1024
    token_size_limit: int = 4096
    api_key_lifetime: int = 90 * DAY
    admin_key_lifetime: int = 90 * DAY
    setup_link_lifetime: int = 30 * 60
    signing_key_lifetime: int = 30 * DAY
    jwks_max_age: int = 300
    status_list_max_age: int = 60
    session_lifetime: int = 7 * DAY
    session_idle_lifetime: int = DAY
    reset_link_lifetime: int = 30 * 60
    password_change_ends_sessions: bool = True
    authorization_lifetime: int = 15 * 60
    code_lifetime: int = 60
    refresh_token_lifetime: int = 90 * DAY
    refresh_token_idle_lifetime: int = 30 * DAY
    refresh_token_overlap: int = 10
    invitation_lifetime: int = 14 * DAY
    upstreams: Mapping[str, Upstream] = field(default_factory=dict)
    leaks_flagged: frozenset[str] = frozenset()
    leaks_ignored: frozenset[str] = frozenset()
    routes: route_policy.Table = route_policy.NONE
