"""What all admin requests share: who asks, what he may, and which version he means (RFC 9110 §13.1.1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from doorward.protocol import limit
from doorward.protocol.refusal import Conflict, InsufficientScope, NotFound, PreconditionFailed, Unprocessable
from doorward_verify.scope import Scope

NOUNS = (
    "apis", "accounts", "keys", "clients", "verifiers", "admin-keys", "signing-keys", "audit", "requests",
    "users", "memberships", "identities", "sessions", "grants", "leaks", "nodes",
)  # fmt: skip
SCOPES = frozenset(
    {
        "admin",
        "leaks:verify",
        "metrics:read",
        *(f"{noun}:{verb}" for noun in NOUNS for verb in ("read", "write")),
    }
)
METADATA_LIMIT = 4096

Body = TypeVar("Body")


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: an admin key's id or `local:<uid>`, the scope it holds, and the only networks it may come from."""

    actor: str
    scope: Scope
    networks: tuple[str, ...] = ()

    def may(self, scope: str) -> bool:
        return "admin" in self.scope or scope in self.scope


NOBODY = Caller("", frozenset())


@dataclass(frozen=True, slots=True)
class Asked(Generic[Body]):
    """One admin request: the body, the id of the path, and the version of `If-Match`.

    While facts are gathered the caller is nobody: who asks is decided, not assumed.
    """

    body: Body
    caller: Caller = NOBODY
    id: str = ""
    if_match: str | None = None


class Versioned(Protocol):
    """An entity that updates may race for."""

    @property
    def version(self) -> int: ...


Entity = TypeVar("Entity", bound=Versioned)
Thing = TypeVar("Thing")
Limited = TypeVar("Limited", bound=limit.Limit)


class Strict:
    """A request body: unknown members are refused rather than ignored."""

    __slots__ = ()
    __pydantic_config__: ClassVar[Mapping[str, Any]] = {"extra": "forbid", "strict": True}


@dataclass(frozen=True, slots=True)
class Nothing(Strict):
    """A request without a body."""


def permitted(caller: Caller, scope: str) -> None:
    """T189: every admin route names the scope it needs."""
    if not caller.may(scope):
        raise InsufficientScope("the admin key lacks a scope that this route needs", fields=(("scope", scope),))


def found(entity: Thing | None, noun: str) -> Thing:
    if entity is None:
        raise NotFound(f"there is no such {noun}")
    return entity


def current(entity: Entity | None, asked: Asked[Any], noun: str) -> Entity:
    """The entity, if it exists and is the version that `If-Match` names."""
    there = found(entity, noun)
    if asked.if_match is not None and not _names(asked.if_match, etag(there.version)):
        raise PreconditionFailed(f"the {noun} was changed since it was read")
    return there


def touched(entity: Entity, before: Entity, now: int) -> Entity:
    """The next version; or the one before it, where nothing is different."""
    return before if entity == before else replace(entity, updated_at=now, version=before.version + 1)  # type: ignore[type-var]


def _names(if_match: str, tag: str) -> bool:
    """RFC 9110 §13.1.1: `*` or a list of tags, compared strongly; our own hold no comma."""
    return if_match.strip() == "*" or tag in (one.strip() for one in if_match.split(","))


def absent(entity: object | None, noun: str) -> None:
    if entity is not None:
        raise Conflict(f"this {noun} exists already")


def etag(version: int) -> str:
    return f'"{version}"'


def invalid(field: str, must: str) -> Unprocessable:
    """A refusal that names the field and what it must be."""
    return Unprocessable(f"{field} {must}", fields=((field, must),))


def limited(limits: Sequence[Limited]) -> tuple[Limited, ...]:
    """The limits of one subject, if each may stand as it is."""
    must = limit.unfit(limits)
    if must is not None:
        raise invalid("limits", must)
    return tuple(limits)


def named(name: str) -> str:
    """A name for people: 1 to 100 printable characters."""
    if not 1 <= len(name) <= 100 or not name.isprintable() or name.strip() != name:
        raise invalid("name", "must be 1 to 100 printable characters without surrounding spaces")
    return name


def metadata(given: Mapping[str, Any]) -> Mapping[str, Any]:
    """Flat metadata: at most 50 members whose values are strings, numbers or booleans, 4 KiB in all."""
    if len(given) > 50 or sum(len(str(k)) + len(str(v)) for k, v in given.items()) > METADATA_LIMIT:
        raise invalid("metadata", "must have at most 50 members and 4 KiB")
    if any("\x00" in k or "\x00" in str(v) for k, v in given.items()):
        raise invalid("metadata", "must not contain NUL")
    return dict(given)
