"""What a user sees on his page of the apps that act for him, and ends there (decision 8; T149)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from doorward.protocol.decision import Decision
from doorward.protocol.entities import Api, Client, Grant
from doorward.protocol.events import GrantRevoked
from doorward.protocol.moment import Moment
from doorward.protocol.policy import Policy
from doorward_verify.scope import Scope


@dataclass(frozen=True, slots=True)
class Allowed:
    """What grants allow that allow the same; without an api it opens nothing but who the user is."""

    client: Client
    api: Api | None
    scope: Scope
    since: int
    last_used_at: int | None


@dataclass(frozen=True, slots=True)
class App:
    """A client as the user sees it: all that he ever allowed it is one thing, with one end."""

    client: Client
    scopes: Mapping[str, str]
    since: int
    last_used_at: int | None


def apps(allowed: tuple[Allowed, ...]) -> tuple[App, ...]:
    """By the name of the app; each scope in the sentence of the api's owner, or as it is where there is none."""
    found: dict[str, list[Allowed]] = {}
    for one in sorted(allowed, key=lambda one: (one.client.name.casefold(), one.client.id)):
        found.setdefault(one.client.id, []).append(one)
    return tuple(_app(of_client) for of_client in found.values())


def _app(allowed: list[Allowed]) -> App:
    scopes = {name: one.api.scopes.get(name, "") if one.api else "" for one in allowed for name in sorted(one.scope)}
    used = [one.last_used_at for one in allowed if one.last_used_at is not None]
    return App(allowed[0].client, scopes, min(one.since for one in allowed), max(used, default=None))


# Grants that end in one commit: each is an event that somebody's verifier hears of, and nobody waits long for any.
AT_ONCE = 250


@dataclass(frozen=True, slots=True)
class Disconnect:
    user_id: str
    client_id: str


def disconnect(request: Disconnect, facts: tuple[Grant, ...], policy: Policy, moment: Moment) -> Decision[int]:
    """These grants of a user and client end, with all their tokens; how many they were. A second time is no error."""
    live = [one for one in facts if one.revoked_at is None]
    ended = (replace(one, revoked_at=moment.now, version=one.version + 1) for one in live)
    return Decision(len(live), tuple(GrantRevoked(one) for one in ended))
