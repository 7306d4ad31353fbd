"""A session: a browser in which a user signed in. It ends when it is idle or old, or when somebody ends it (T140).

Cookie: __Host-doorward-session=8sK2vQ0pXw4mTn1Z...        its SHA-256 is all that is kept
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace

from doorward.protocol.admin import Asked, Nothing, found
from doorward.protocol.decision import Decision
from doorward.protocol.events import Event
from doorward.protocol.moment import Moment
from doorward.protocol.people import Membership, Session, User
from doorward.protocol.people_events import SessionEnded, SessionStarted
from doorward.protocol.policy import Policy

# Who signs in once more is signed out where that was longest ago.
LIVE_LIMIT = 50
TEXT_LIMIT = 200
# An `auth_time` that nobody told.
UNKNOWN = 0
# How much older than was asked a sign-in may be: clocks differ, and one elsewhere takes its time.
FRESH_LEEWAY = 60
# How exactly it is known when a session was last seen.
SEEN_EVERY = 60


@dataclass(frozen=True, slots=True)
class SessionObject:
    id: str
    user: str
    amr: list[str]
    auth_time: int
    created_at: int
    expires_at: int
    last_seen_at: int
    ended_at: int | None
    user_agent: str
    address: str


@dataclass(frozen=True, slots=True)
class SessionFacts:
    """A session with its user; when it was last seen is no event, and known to the minute."""

    session: Session
    user: User
    memberships: tuple[Membership, ...]
    last_seen_at: int

    @property
    def refs(self) -> tuple[str, ...]:
        return f"session/{self.session.id}", f"user/{self.user.id}"

    def is_due(self, now: int) -> bool:
        """Whether it is time to note that it is seen."""
        return now >= self.last_seen_at + SEEN_EVERY


@dataclass(frozen=True, slots=True)
class Seen:
    """A browser that shows the cookie of a session."""

    digest: str
    now: int


@dataclass(frozen=True, slots=True)
class Facts:
    known: SessionFacts | None


@dataclass(frozen=True, slots=True)
class Browser:
    """What is noted of where somebody signs in, so that he recognises it on his page."""

    user_agent: str
    address: str


@dataclass(frozen=True, slots=True)
class Started:
    """A new session, and what its cookie carries."""

    session: Session
    cookie: str


def digest(cookie: str) -> str:
    return hashlib.sha256(cookie.encode("utf-8", "surrogateescape")).hexdigest()


def live(facts: SessionFacts | None, policy: Policy, now: int) -> SessionFacts | None:
    """The session, if it is good now: decided when it is used, not when something sweeps it."""
    if facts is None or facts.session.ended_at is not None or facts.user.state != "active":
        return None
    seen_at = max(facts.last_seen_at, facts.session.created_at)
    if now >= facts.session.expires_at or now >= seen_at + policy.session_idle_lifetime:
        return None
    return facts


def start(
    user: User, amr: tuple[str, ...], acr: str, browser: Browser, live: tuple[Session, ...], policy: Policy,
    moment: Moment, auth_time: int | None = None,
) -> Decision[Started]:  # fmt: skip
    """A fresh id and cookie at each sign-in, whatever the browser had before. `auth_time`: if it was elsewhere."""
    cookie = moment.base62(43)
    made = Session(
        moment.id("session"), digest(cookie), user.id, moment.now if auth_time is None else auth_time, amr, acr,
        moment.now, moment.now + policy.session_lifetime, browser.user_agent[:TEXT_LIMIT], browser.address[:TEXT_LIMIT],
    )  # fmt: skip
    surplus = live[: max(0, len(live) - LIVE_LIMIT + 1)]
    return Decision(Started(made, cookie), (SessionStarted(made), *end(surplus, moment)))


def end(sessions: Iterable[Session], moment: Moment) -> tuple[Event, ...]:
    return tuple(SessionEnded(replace(one, ended_at=moment.now)) for one in sessions if one.ended_at is None)


@dataclass(frozen=True, slots=True)
class End:
    """By the user himself: these of his sessions, or all of them but one."""

    user_id: str
    ids: tuple[str, ...] | None = None
    but: str | None = None


@dataclass(frozen=True, slots=True)
class EndFacts:
    live: tuple[Session, ...]


def end_own(request: End, facts: EndFacts, policy: Policy, moment: Moment) -> Decision[int]:
    """How many ended; what is not his, or has ended, is none of them."""
    meant = [one for one in facts.live if one.id != request.but and (request.ids is None or one.id in request.ids)]
    return Decision(len(meant), end(meant, moment))


def revoke(asked: Asked[Nothing], facts: Facts, policy: Policy, moment: Moment) -> Decision[SessionObject]:
    """`POST /v1/sessions/{id}/revoke`; a second time is no error."""
    known = found(facts.known, "session")
    ended = end((known.session,), moment)
    shown = replace(known, session=replace(known.session, ended_at=known.session.ended_at or moment.now))
    return Decision(show(shown), ended)


def show(facts: SessionFacts) -> SessionObject:
    one = facts.session
    return SessionObject(
        one.id, one.user_id, [*one.amr], one.auth_time, one.created_at, one.expires_at, facts.last_seen_at,
        one.ended_at, one.user_agent, one.address,
    )  # fmt: skip
