"""Sessions: begun anew at each sign-in, and over when they are old, idle, ended, or their user is disabled (T140)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.protocol.given import NOW, POLICY, a_moment, a_session, a_user, asked, refused

from doorward.protocol import session
from doorward.protocol.people import Session
from doorward.protocol.people_events import SessionEnded, SessionStarted
from doorward.protocol.session import Browser, End, EndFacts, Facts, SessionFacts

HERE = Browser("Firefox/140", "192.0.2.1")
SEEN = SessionFacts(a_session(), a_user(), (), NOW - 30)


def start(*live: Session, seed: object = 0) -> session.Started:
    return session.start(a_user(), ("pwd",), "1", HERE, live, POLICY, a_moment(seed=seed)).reply


def test_a_session_that_was_seen_lately_is_good() -> None:
    assert session.live(SEEN, POLICY, NOW) is SEEN


@pytest.mark.parametrize(
    "facts",
    [
        None,
        replace(SEEN, session=a_session(ended_at=NOW - 1)),
        replace(SEEN, user=a_user(state="disabled")),
        replace(SEEN, session=a_session(expires_at=NOW)),
        replace(SEEN, session=a_session(created_at=0), last_seen_at=NOW - POLICY.session_idle_lifetime),
    ],
    ids=["unknown", "ended", "disabled", "old", "idle"],
)
def test_a_session_is_over(facts: SessionFacts | None) -> None:
    assert session.live(facts, POLICY, NOW) is None


def test_being_seen_lengthens_no_session_beyond_its_absolute_end() -> None:
    old = replace(SEEN, session=a_session(created_at=NOW - POLICY.session_lifetime, expires_at=NOW), last_seen_at=NOW)
    assert session.live(old, POLICY, NOW) is None


def test_each_start_has_an_id_and_a_cookie_of_its_own_and_keeps_a_digest_alone() -> None:
    one, other = start(seed=1), start(seed=2)
    assert one.cookie != other.cookie
    assert one.session.id != other.session.id
    assert one.session.digest == session.digest(one.cookie)
    assert one.cookie not in repr(one.session)
    assert (one.session.auth_time, one.session.amr, one.session.acr) == (NOW, ("pwd",), "1")
    assert one.session.expires_at == NOW + POLICY.session_lifetime


def test_what_a_browser_says_of_itself_is_cut() -> None:
    long = Browser("x" * 5000, "y" * 5000)
    made = session.start(a_user(), (), "1", long, (), POLICY, a_moment()).reply.session
    assert (len(made.user_agent), len(made.address)) == (200, 200)


def test_too_many_sessions_end_the_oldest() -> None:
    live = tuple(a_session(id=f"session_{n}") for n in range(session.LIVE_LIMIT))
    events = session.start(a_user(), (), "1", HERE, live, POLICY, a_moment()).events
    assert isinstance(events[0], SessionStarted)
    assert [event.session.id for event in events[1:] if isinstance(event, SessionEnded)] == ["session_0"]


def test_a_user_ends_one_of_his_sessions_or_all_but_this_one() -> None:
    live = EndFacts(tuple(a_session(id=name) for name in ("a", "b", "c")))
    one = session.end_own(End("user_1", ("b",), "a"), live, POLICY, a_moment())
    assert one.events == (SessionEnded(a_session(id="b", ended_at=NOW)),)
    every = session.end_own(End("user_1", None, "a"), live, POLICY, a_moment())
    assert [event.session.id for event in every.events if isinstance(event, SessionEnded)] == ["b", "c"]


def test_what_is_not_among_his_live_ones_ends_nothing() -> None:
    live = EndFacts((a_session(id="a"),))
    assert session.end_own(End("user_1", ("x",)), live, POLICY, a_moment()).events == ()


def test_an_administrator_ends_a_session_and_a_second_time_is_no_error() -> None:
    once = session.revoke(asked(), Facts(SEEN), POLICY, a_moment())
    assert once.events == (SessionEnded(a_session(ended_at=NOW)),)
    ended = replace(SEEN, session=a_session(ended_at=NOW - 5))
    again = session.revoke(asked(), Facts(ended), POLICY, a_moment())
    assert (again.events, again.reply.ended_at) == ((), NOW - 5)
    with refused("not_found"):
        session.revoke(asked(), Facts(None), POLICY, a_moment())
