"""What users allowed clients, and whether they have to be asked (OpenID Connect Core §3.1.2.4; T149)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from doorward.protocol import redirect_uri
from doorward.protocol.client import GrantFacts
from doorward.protocol.entities import Account, Client, Grant
from doorward_verify.scope import Scope

# What every client may ask of a user for itself (OpenID Connect Core §5.4 and §11), as users are asked.
OIDC: Mapping[str, str] = {
    "openid": "Know who you are",
    "profile": "See your name and picture",
    "email": "See your e-mail address",
    "address": "See your postal address",
    "phone": "See your telephone number",
    "offline_access": "Act for you while you are away",
}
# Without it the answer would be none that the client can read.
ALWAYS = frozenset({"openid"})


def allowed(granted: GrantFacts | None) -> Scope:
    """The most that a user can allow a client: its administrator's grant, and what every client may ask for."""
    of_api = granted.grant.scope & granted.api.scopes.keys() if granted else frozenset()
    return of_api | OIDC.keys()


def remembered(grants: Iterable[Grant], api_id: str | None, account_id: str | None) -> Scope:
    """Decision record 10: the union of what he allowed this client there and has not ended, for this account alone."""
    there = (grant for grant in grants if (grant.api_id, grant.account_id) == (api_id, account_id))
    return frozenset().union(*(grant.scope for grant in there if grant.revoked_at is None))


def is_needed(client: Client, uri: str, scope: Scope, known: Scope) -> bool:
    """RFC 8252 §8.6: who could be any program of the user's machine is never answered without him."""
    if client.first_party:
        return False
    return not redirect_uri.proves_its_client(uri) or not scope <= known


def account(accounts: Iterable[Account], grants: Iterable[Grant]) -> str | None:
    """Whom the client acts for, where the user does not choose: as last time, else the first of his accounts."""
    own = sorted(one.id for one in accounts)
    before = [grant.account_id for grant in sorted(grants, key=lambda grant: grant.created_at, reverse=True)]
    return next((one for one in before if one in own), own[0] if own else None)


def sentence(name: str, granted: GrantFacts | None) -> str:
    """A scope in the api owner's words, or in ours for those of OpenID Connect."""
    if granted is not None and name in granted.api.scopes:
        return granted.api.scopes[name] or name
    return OIDC.get(name, name)
