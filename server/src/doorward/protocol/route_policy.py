"""Which requests a gateway lets through, and what each needs: patterns of paths, and nothing passes that none names.

{"path": "/invoices/{id}", "methods": ["GET"], "scope": "invoices:read"}
{"path": "/static/**", "methods": ["GET", "HEAD"], "public": true}
{"path": "/exports", "methods": ["POST"], "cost": 10, "limits": [{"name": "exports", "amount": 100, "per": "day"}]}

The most specific pattern decides alone: a name before `{id}`, `{id}` before `**`, segment by segment. Where it does not
name the method, the request is refused; a wider pattern is not asked. The settings come before what apis say.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final, NamedTuple

from doorward.protocol import request_path, route_limit
from doorward.protocol.entities import JSON
from doorward.protocol.limit import COST_LIMIT
from doorward.protocol.route_limit import RouteLimit
from doorward_verify import scope as scopes
from doorward_verify.scope import Scope

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
EVERY = "*"
TRANSPORTS = ("bearer", "header", "basic", "query", "body")
# What a gateway cannot do, whoever asks for it.
IMPOSSIBLE = {
    "body": "no gateway shows the body of a request to who decides on it",
    "query": "the gateway would hand the key on in the URL",
}
ENVIRONMENTS = ("live", "test")
LIMIT = 1000

_PARAMETER = re.compile(r"\{[a-z][a-z0-9_]{0,31}\}")
_REST = "**"
_WILD = re.compile(r"[*?#%]")
_HOST = re.compile(r"(?=.{1,253}\Z)[a-z0-9]([a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:.]+\]")
_SERVICE = re.compile(r"[!-~]{1,500}")


class BadRoute(ValueError):  # noqa: N818  a setting that cannot be
    """`member` of the route must be as the text says; `reason` where it is one of its own, as `route_impossible`."""

    def __init__(self, member: str, must: str, *, reason: str | None = None) -> None:
        super().__init__(f"{member} {must}")
        self.member, self.must, self.reason = member, must, reason


@dataclass(frozen=True, slots=True)
class Route:
    """`api` is the identifier of the api that opens it; `service` whom the assertion is for; `origin` who says so.

    Without `transports` keys may come as the api takes them. `cost` is what one request takes of each limit that it is
    counted by: those of the key, its account and its api, and those of the route.
    """

    path: str
    methods: tuple[str, ...]
    api: str = ""
    scope: Scope = frozenset()
    service: str = ""
    host: str = ""
    transports: tuple[str, ...] = ()
    environment: str = "live"
    public: bool = False
    preflight: bool = False
    origin: str = "settings"
    limits: tuple[RouteLimit, ...] = ()
    cost: int = 1

    @property
    def place(self) -> str:
        return route_limit.place(self.host, self.path, self.methods)


def route(members: Mapping[str, Any], origin: str = "settings", api: str = "") -> Route:
    """Raises BadRoute. `api` is whose route it is, where an api says so itself."""
    return _checked(_made(members, origin, api))


def _made(members: Mapping[str, Any], origin: str, api: str) -> Route:
    return Route(
        members["path"], _methods(tuple(members["methods"])), members.get("api") or api,
        _scope(members.get("scope") or ""),
        members.get("service") or members.get("api") or api, (members.get("host") or "").lower(),
        tuple(members.get("transports") or ()), members.get("environment") or "live",
        bool(members.get("public")), bool(members.get("preflight")), origin,
        route_limit.made(members.get("limits") or ()), members.get("cost", 1),
    )  # fmt: skip


# Thousands of routes have the same few of these.
@lru_cache(maxsize=1024)
def _methods(given: tuple[str, ...]) -> tuple[str, ...]:
    named = tuple(dict.fromkeys(given))
    return METHODS if named == (EVERY,) else named


@lru_cache(maxsize=1024)
def _scope(text: str) -> Scope:
    try:
        return scopes.parse(text) if text else frozenset()
    except scopes.MalformedScope:
        raise BadRoute("scope", "must be scope names separated by single spaces") from None


def _checked(made: Route) -> Route:
    segments(made.path)
    if not made.methods or not set(made.methods) <= set(METHODS):
        raise BadRoute("methods", f'must be some of {", ".join(METHODS)}, or "*" alone')
    for transport in made.transports:
        if transport in IMPOSSIBLE:
            raise BadRoute("transports", f"cannot be {transport}: {IMPOSSIBLE[transport]}", reason="route_impossible")
    if not set(made.transports) <= set(TRANSPORTS):
        raise BadRoute("transports", f"must be some of {', '.join(TRANSPORTS)}")
    if made.host and not _HOST.fullmatch(made.host):
        raise BadRoute("host", "must be a host name without a port")
    if made.environment not in ENVIRONMENTS:
        raise BadRoute("environment", "must be live or test")
    if made.public and made.scope:
        raise BadRoute("scope", "must be empty on a public route, which asks for no credential")
    if not made.public and not made.api:
        raise BadRoute("api", "must name the api whose credentials open the route")
    if not made.public and not _SERVICE.fullmatch(made.service):
        raise BadRoute("service", "must be printable ASCII without spaces")
    return _counted(made)


def _counted(made: Route) -> Route:
    must = route_limit.unfit(made.limits, public=made.public)
    if must is not None:
        raise BadRoute("limits", must)
    lowest = 1 if made.limits else 0
    if not lowest <= made.cost <= COST_LIMIT:
        raise BadRoute("cost", f"must be 0 to {COST_LIMIT}, and 1 at least where the route has limits")
    small = route_limit.too_small(made.limits, made.cost)
    if small is not None:
        raise BadRoute("cost", f"is more than its limit {small} ever has at once", reason="cost_impossible")
    return made


def segments(path: str) -> tuple[str, ...]:
    """Of a pattern: its literal parts are canonical, or nothing could ever be equal to them. Raises BadRoute."""
    named: set[str] = set()
    parts = path.split("/")
    if parts[0] or len(parts) < 2:
        raise BadRoute("path", "must begin with /")
    for index, part in enumerate(parts[1:], 1):
        if _PARAMETER.fullmatch(part):
            if part in named:
                raise BadRoute("path", "must name each parameter once")
            named.add(part)
        elif part == _REST:
            if index != len(parts) - 1:
                raise BadRoute("path", "must have ** at its end alone")
        elif part or index != len(parts) - 1:
            _literal(part)
    return tuple(parts[1:])


def _literal(part: str) -> None:
    if part and part.isascii() and request_path.PLAIN.fullmatch(f"/{part}") and "*" not in part:
        return
    try:
        is_sound = not part.isascii() and not _WILD.search(part) and "/" + part == request_path.canonical(_quoted(part))
    except request_path.AmbiguousPath:
        is_sound = False
    if not is_sound:
        raise BadRoute("path", "must consist of plain segments, {names} and ** at its end, without dots alone or %")


def _quoted(part: str) -> str:
    return "/" + "".join(chr(b) if b < 128 else f"%{b:02X}" for b in part.encode())


# Keys of a node that no segment can be.
PARAMETER: Final = 0
REST: Final = 1
END: Final = 2
Node = dict[Any, Any]


class Taken(NamedTuple):
    """Two routes for the same pattern and method."""

    first: Route
    second: Route


@dataclass(eq=False, slots=True)
class Table:
    """Routes as a tree of segments for each host; the tree without a host is for those that have none of their own."""

    hosts: dict[str, Node] = field(default_factory=dict)
    routes: list[Route] = field(default_factory=list)
    taken: list[Taken] = field(default_factory=list)

    def add(self, added: Route) -> None:
        """Of two that say something of the same, the first one counts, and both are told in `taken`."""
        node = self.hosts.setdefault(added.host, {})
        for part in added.path.split("/")[1:]:
            if part == _REST:
                break
            key = PARAMETER if part[:1] == "{" else part
            node = node.setdefault(key, {})
        by_method: dict[str, Route] = node.setdefault(REST if added.path.endswith(_REST) else END, {})
        self.routes.append(added)
        for method in added.methods:
            first = by_method.setdefault(method, added)
            if first is not added:
                self.taken.append(Taken(first, added))

    def find(self, host: str, path: str) -> Mapping[str, Route] | None:
        """The routes of the most specific pattern, by their methods."""
        parts = path.split("/")
        for name in (host, "") if host else ("",):
            tree = self.hosts.get(name)
            found = None if tree is None else _walk(tree, parts, 1)
            if found is not None:
                return found
        return None


def _walk(node: Node, parts: list[str], at: int) -> Mapping[str, Route] | None:
    if at == len(parts):
        return node.get(END)
    found: Mapping[str, Route] | None = None
    below = node.get(parts[at])
    if below is not None:
        found = _walk(below, parts, at + 1)
    if found is None and parts[at]:
        below = node.get(PARAMETER)
        found = None if below is None else _walk(below, parts, at + 1)
    return node.get(REST) if found is None else found


def compiled(routes: Iterable[Route]) -> Table:
    table = Table()
    for one in routes:
        table.add(one)
    return table


NONE = Table()


@dataclass(frozen=True, slots=True)
class Found:
    """`by_method` is what the deciding pattern says, None when there is none; `route` is that of the method."""

    by_method: Mapping[str, Route] | None
    route: Route | None


def find(settings: Table, apis: Table, method: str, host: str, path: str) -> Found:
    """Where a pattern of the settings fits the path, it decides, whatever apis say of it."""
    by_method = settings.find(host, path)
    if by_method is None:
        by_method = apis.find(host, path)
    return Found(by_method, None if by_method is None else by_method.get(method))


def members(shown: Route) -> dict[str, JSON]:
    """A route as it is shown, and kept."""
    return {
        "path": shown.path, "methods": list(shown.methods), "scope": scopes.text(shown.scope),
        "service": shown.service, "host": shown.host, "transports": list(shown.transports),
        "environment": shown.environment, "public": shown.public, "preflight": shown.preflight,
        "limits": route_limit.members(shown.limits), "cost": shown.cost,
    }  # fmt: skip


def of_api(identifier: str, name: str, kept: Iterable[Mapping[str, Any]]) -> Iterator[Route]:
    """The routes that an api has, from how they are kept: what they may be was asked when they were given."""
    return (_made(one, name, identifier) for one in kept)
