"""Claims about a user, and how clients ask for them: by scope (OpenID Connect Core §5.4), or one by one (§5.5).

claims={"userinfo": {"email": null}, "id_token": {"acr": {"essential": true, "values": ["1"]}}}

Users are asked about scopes alone. A claim that is asked for by its name is therefore told only where the scope that
covers it was granted too: no client learns more than its user was shown. Users are not asked about first-party clients,
so that these learn what they name. What is not told is left out, essential or not (§5.5.1).
"""

from __future__ import annotations

from collections.abc import Mapping

from doorward.protocol.entities import JSON, Client
from doorward.protocol.people import User
from doorward_verify import strict_json
from doorward_verify.scope import Scope

ID_TOKEN, USERINFO = "id_token", "userinfo"
BY_SCOPE: Mapping[str, tuple[str, ...]] = {
    "profile": (
        "name", "family_name", "given_name", "middle_name", "nickname", "preferred_username", "profile", "picture",
        "website", "gender", "birthdate", "zoneinfo", "locale", "updated_at",
    ),
    "email": ("email", "email_verified"),
    "address": ("address",),
    "phone": ("phone_number", "phone_number_verified"),
}  # fmt: skip
NAMES = tuple(name for names in BY_SCOPE.values() for name in names)

Asked = Mapping[str, JSON]


def read(text: str) -> Asked:
    """The parameter. Raises ValueError for what is not one; members that mean nothing to us are let be."""
    if "\\u0000" in text:
        raise ValueError("NUL is no character here")
    asked = strict_json.parse(text.encode())
    for place in (ID_TOKEN, USERINFO):
        members = asked.get(place)
        if members is not None and not isinstance(members, dict):
            raise ValueError("not an object of claims")
        for one in (members or {}).values():
            _check(one)
    if not all(isinstance(value, str) for value in values(asked, "sub")):
        raise ValueError("a subject is a text")
    return asked


def _check(one: JSON) -> None:
    """One claim's part, §5.5.1. A value and a list of values could contradict each other."""
    if one is None:
        return
    if not isinstance(one, dict) or not isinstance(one.get("essential", False), bool):
        raise ValueError("not what can be said of a claim")
    if "values" in one and ("value" in one or not isinstance(one["values"], list) or not one["values"]):
        raise ValueError("no values, or two kinds of them")


def _members(asked: Asked, place: str) -> Mapping[str, JSON]:
    members = asked.get(place)
    return members if isinstance(members, dict) else {}


def values(asked: Asked, name: str) -> tuple[JSON, ...]:
    """Those that an ID token's claim may have; none where the client does not say."""
    one = _members(asked, ID_TOKEN).get(name)
    if not isinstance(one, dict):
        return ()
    listed = one.get("values")
    return tuple(listed) if isinstance(listed, list) else (one["value"],) if "value" in one else ()


def subjects(asked: Asked) -> frozenset[str]:
    """§3.1.2.2: about whom alone the client wants to hear; nobody in particular where it is empty."""
    return frozenset(value for value in values(asked, "sub") if isinstance(value, str))


def reaches(asked: Asked, acr: str | None) -> bool:
    """§5.5.1.1: an essential `acr` is one of the values, or the sign-in has failed."""
    one = _members(asked, ID_TOKEN).get("acr")
    is_essential = isinstance(one, dict) and one.get("essential") is True
    return not is_essential or acr in (values(asked, "acr") or (acr,))


def of(user: User) -> dict[str, JSON]:
    """All that is known of him. What is not known is left out: never null, never empty (§5.3.2)."""
    known: dict[str, JSON] = {
        "name": user.name, "preferred_username": user.username, "updated_at": user.updated_at, "email": user.email,
        "email_verified": user.email_verified if user.email else None, **user.profile,
    }  # fmt: skip
    return {name: value for name, value in known.items() if value not in (None, "", {})}


def by_scope(user: User, scope: Scope) -> dict[str, JSON]:
    names = covered(scope)
    return {name: value for name, value in of(user).items() if name in names}


def by_name(user: User, asked: Asked, place: str, client: Client, scope: Scope) -> dict[str, JSON]:
    """What the client named for this place, as far as it may know it."""
    open_to_it = frozenset(NAMES) if client.first_party else covered(scope)
    named = _members(asked, place).keys() & open_to_it
    return {name: value for name, value in of(user).items() if name in named}


def covered(scope: Scope) -> frozenset[str]:
    """The claims that a scope is about."""
    return frozenset(name for one in scope for name in BY_SCOPE.get(one, ()))
