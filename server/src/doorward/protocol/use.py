"""A use of a credential, and what is kept of it: how often, with what result, when last, from where and by what.

Nothing is decided by it (decision 27). That a credential which exists was refused is counted too, but is no use of it.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

ACTIVE, OTHER = "active", "other"
# What can become of a credential that exists: so many rows an hour may there be of it at most.
RESULTS = frozenset(
    {
        ACTIVE, OTHER, "credential_revoked", "credential_expired", "credential_inactive", "account_suspended",
        "client_disabled", "network_not_allowed", "wrong_audience", "wrong_environment", "insufficient_scope", "decoy",
        "rate_limited", "quota_exceeded", "limits_uncountable", "transport_not_allowed", "key_in_browser",
        "cost_impossible", "credential_held",
    }
)  # fmt: skip
USER_AGENT_LIMIT = 200
# The longest text of an IPv6 address, and some room for its zone.
ADDRESS_LIMIT = 64


@dataclass(frozen=True, slots=True)
class Used:
    """`id` is that of an api key, or of the grant behind a token; `secret_id` is of the key's secret, if it was told.

    `is_old` says that the secret was superseded by then.
    """

    kind: str
    id: str
    count: int
    last_used_at: int
    result: str = ACTIVE
    account_id: str = ""
    secret_id: str = ""
    is_old: bool = False
    address: str = ""
    user_agent: str = ""


def counted(one: Used, result: str, now: int) -> Used:
    """The same use again, as it ended now.

    Made anew field by field: `replace` takes three times as long, and this is done for each check.
    """
    return Used(
        one.kind, one.id, one.count, now, result, one.account_id, one.secret_id, one.is_old, one.address, one.user_agent
    )


def result(named: str) -> str:
    """As it is counted: what a newer verifier may say is not lost."""
    return named if named in RESULTS else OTHER


def address(text: str) -> str:
    """As it is kept: in one spelling, and nothing that is no address."""
    try:
        found = ipaddress.ip_address(text[:ADDRESS_LIMIT])
    except ValueError:
        return ""
    return str(getattr(found, "ipv4_mapped", None) or found)


def user_agent(text: str) -> str:
    """As it is kept: what a stranger sent, bounded and without what moves a cursor."""
    return "".join(character for character in text[:USER_AGENT_LIMIT] if character.isprintable()).strip()
