"""The pushed log as a value: what it ends, what it makes a verifier forget, and what it forgets itself."""

from __future__ import annotations

import sys
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.verify.issuing import AUDIENCE, NOW, claims

from doorward_verify import Verified, revocations
from doorward_verify.revocations import ORIGIN, Entry, Log, Ties, ties_of_answer, ties_of_token
from doorward_verify.verified import Kind

TOKEN = {**claims(), "jti": "jti_1", "grant_id": "grant_1", "client_id": "client_1", "account": "acme",
         "sub": "user_1", "sid": "session_1"}  # fmt: skip
NAMED = {"token": "jti_1", "grant": "grant_1", "client": "client_1", "account": "acme", "everything": "",
         "signing_key": "kid_1", "user": "user_1", "session": "session_1"}  # fmt: skip
FOR_GOOD = ["token", "grant", "signing_key"]
CUT_OFFS = ["client", "account", "everything", "user", "session"]
ANSWERED = ["api_key", "token", "grant", "client", "account", "api", "everything", "user", "session"]


def an_entry(kind: str, value: str, seq: int = 50, *, is_dead: bool = True, expires_at: int = NOW + 3660) -> Entry:
    return Entry((1, seq), (1, seq - 1), kind, value, is_dead, expires_at)


def a_token(pos: str | None = "1:10", **changes: Any) -> Ties:
    found = {**TOKEN, "pos": pos, **changes}
    return ties_of_token({name: value for name, value in found.items() if value is not None}, "kid_1")


def an_answer(seq: int = 10, credential: Kind = "opaque", **changes: Any) -> Ties:
    members: dict[str, Any] = {"key_id": "key_1", "account": "acme", "client_id": "client_1", "grant_id": "grant_1"}
    members |= changes
    told = Verified(
        credential, "user_1", scope=frozenset(), audience=AUDIENCE, environment="live", expires_at=None,
        claims={"jti": "jti_1", "sid": "session_1"}, **members,
    )  # fmt: skip
    return ties_of_answer(told, "secret_1", (1, seq))


def wire(**changes: Any) -> dict[str, Any]:
    good = {"pos": "1:1042", "prev": "1:1017", "kind": "grant", "value": "grant_1", "effect": "dead", "exp": NOW}
    return {name: value for name, value in {**good, **changes}.items() if value is not ...}


class TestOnTheWire:
    def test_an_entry_is_read(self) -> None:
        assert revocations.entry(wire()) == Entry((1, 1042), (1, 1017), "grant", "grant_1", True, NOW)
        assert not revocations.entry(wire(effect="changed")).is_dead

    @pytest.mark.parametrize(
        "changes",
        [{"kind": "browser"}, {"kind": ["grant"]}, {"kind": ...}, {"effect": "asleep"}, {"effect": {}}, {"effect": ...},
         {"value": 1}, {"value": ...}, {"exp": "1"}, {"exp": True}, {"exp": ...}, {"pos": "1"}, {"pos": 1},
         {"pos": ...}, {"prev": "1:01"}, {"prev": None}],
        ids=str,
    )  # fmt: skip
    def test_what_is_not_understood_is_refused_whole(self, changes: dict[str, Any]) -> None:
        with pytest.raises(ValueError):
            revocations.entry(wire(**changes))

    def test_an_entry_is_an_object(self) -> None:
        with pytest.raises(ValueError):
            revocations.entry(["pos"])

    @pytest.mark.parametrize(
        "text", ["", "1", "1:", ":1", "01:1", "1:01", "-1:2", "1:2 ", "1:2\n", "\uff11:1", "1:2:3", None]
    )
    def test_a_position_has_one_spelling(self, text: str | None) -> None:
        with pytest.raises(ValueError):
            revocations.position(text)


class TestTokens:
    @pytest.mark.parametrize("kind", NAMED)
    def test_each_kind_ends_the_token_that_it_names(self, kind: str) -> None:
        log = Log(1, [an_entry(kind, NAMED[kind])])
        assert log.covers(a_token())

    @pytest.mark.parametrize("kind", [kind for kind in NAMED if kind != "everything"])
    def test_another_value_ends_nothing(self, kind: str) -> None:
        log = Log(1, [an_entry(kind, f"{NAMED[kind]}x")])
        assert not log.covers(a_token())

    def test_a_value_means_something_only_with_its_kind(self) -> None:
        log = Log(1, [an_entry("client", "acme"), an_entry("grant", "jti_1"), an_entry("token", "grant_1")])
        assert not log.covers(a_token())

    @pytest.mark.parametrize("kind", NAMED)
    def test_what_changed_is_not_dead(self, kind: str) -> None:
        assert not Log(1, [an_entry(kind, NAMED[kind], is_dead=False)]).covers(a_token())

    @pytest.mark.parametrize("kind", CUT_OFFS)
    def test_a_cut_off_ends_what_has_a_smaller_position_only(self, kind: str) -> None:
        log = Log(1, [an_entry(kind, NAMED[kind], 50)])
        assert [log.covers(a_token(f"1:{seq}")) for seq in (49, 50, 51)] == [True, False, False]

    @pytest.mark.parametrize("kind", FOR_GOOD)
    def test_what_is_named_is_ended_whatever_its_position(self, kind: str) -> None:
        log = Log(1, [an_entry(kind, NAMED[kind], 50)])
        assert [log.covers(a_token(pos)) for pos in ("1:49", "1:51", "2:1")] == [True, True, True]

    @pytest.mark.parametrize("kind", NAMED)
    def test_a_later_resume_brings_nothing_back(self, kind: str) -> None:
        log = Log(1, [an_entry(kind, NAMED[kind], 50), an_entry(kind, NAMED[kind], 60, is_dead=False)])
        assert log.covers(a_token("1:49"))

    def test_tokens_of_an_older_epoch_are_dead(self) -> None:
        log = Log(2)
        assert [log.covers(a_token(pos)) for pos in ("1:99", "2:0", "3:0")] == [True, False, False]

    @pytest.mark.parametrize("pos", [None, "", "x", "1:01"])
    def test_a_token_without_a_position_is_older_than_everything(self, pos: str | None) -> None:
        assert Log(1).covers(a_token(pos))

    def test_a_token_that_names_no_grant_or_account_hangs_on_none(self) -> None:
        log = Log(1, [an_entry("grant", "None"), an_entry("account", "None")])
        assert not log.covers(a_token(grant_id=None, account=None))

    def test_a_withdrawn_signing_key_is_remembered_for_good(self) -> None:
        log = Log(1, [an_entry("signing_key", "kid_1", expires_at=NOW)])
        log.expire(NOW + 10_000)
        assert log.withdrawn == {"kid_1"}
        assert Log(2, withdrawn=log.withdrawn).withdrawn == {"kid_1"}
        assert Log(1, [an_entry("signing_key", "kid_1", is_dead=False)]).withdrawn == set()


class TestAnswers:
    @pytest.mark.parametrize("is_dead", [True, False])
    @pytest.mark.parametrize("kind", ANSWERED)
    def test_an_answer_is_forgotten_after_an_entry_about_what_it_hangs_on(self, kind: str, is_dead: bool) -> None:
        value = {**NAMED, "api_key": "key_1", "api": "whatever"}[kind]
        log = Log(1, [an_entry(kind, value, 50, is_dead=is_dead)])
        assert [log.forgets(an_answer(seq)) for seq in (49, 50, 51)] == [True, False, False]

    def test_an_answer_about_a_key_is_forgotten_with_the_secret_that_it_was_about(self) -> None:
        """And with no other one: a sibling in rotation is the same key (decision 12)."""
        for value, forgets in (("secret_1", True), ("secret_2", False), ("key_1", False)):
            log = Log(1, [an_entry("secret", value, 50)])
            assert log.forgets(an_answer(49, "api_key")) is forgets
        assert not Log(1, [an_entry("secret", "secret_1", 50)]).forgets(an_answer(49))

    def test_what_was_named_for_good_is_known_to_have_ended_without_an_answer(self) -> None:
        log = Log(1, [an_entry("secret", "secret_1", 50), an_entry("api_key", "key_1", 51)])
        log.add(an_entry("token", "jti_1", 52, is_dead=False))
        named = [("secret", "secret_1"), ("secret", "secret_2"), ("api_key", "key_1"), ("token", "jti_1")]
        assert [log.ends(*one) for one in named] == [True, False, False, False]

    def test_an_answer_about_something_else_stays(self) -> None:
        log = Log(1, [an_entry("api_key", "key_2"), an_entry("account", "other"), an_entry("grant", "key_1")])
        assert not log.forgets(an_answer())

    def test_an_answer_of_an_older_epoch_is_forgotten(self) -> None:
        assert [Log(2).forgets(an_answer()._replace(position=(epoch, 999))) for epoch in (1, 2, 3)] == [
            True,
            False,
            False,
        ]


class TestBounds:
    def test_an_expired_entry_means_nothing_to_anybody(self) -> None:
        log = Log(1, [an_entry("client", "client_1", expires_at=NOW), an_entry("account", "acme", expires_at=NOW + 1)])
        log.expire(NOW)
        assert len(log) == len(log.values) == 1
        assert log.covers(a_token())
        log.expire(NOW + 1 + revocations.SWEEP)
        assert not log.covers(a_token())
        assert len(log) == len(log.values) == 0

    def test_of_two_entries_about_one_thing_the_longer_life_counts(self) -> None:
        both = [an_entry("client", "client_1", 50, expires_at=NOW + 100),
                an_entry("client", "client_1", 60, is_dead=False, expires_at=NOW)]  # fmt: skip
        log = Log(1, both)
        log.expire(NOW + 99)
        assert log.covers(a_token("1:49"))
        assert len(log) == 1

    def test_what_cannot_be_remembered_is_not_passed_over(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(revocations, "LIMIT", 2)
        log = Log(1, [an_entry("token", "a"), an_entry("token", "b")])
        with pytest.raises(ValueError, match="too long"):
            log.add(an_entry("token", "c"))

    @pytest.mark.skipif(sys.gettrace() is not None, reason="tracing has a memory of its own")
    def test_ten_thousand_live_entries_take_less_than_5_mb(self) -> None:
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        log = Log(1, (an_entry("token", f"{number:022d}", number) for number in range(10_000)))
        used = tracemalloc.get_traced_memory()[0] - before
        tracemalloc.stop()
        assert len(log) == 10_000
        assert used < 5_000_000


NAMES = st.sampled_from("ab")
KINDS = st.sampled_from(sorted(NAMED))


@given(st.lists(st.tuples(KINDS, NAMES, st.booleans()), max_size=12), st.integers(0, 14), st.tuples(*[NAMES] * 7))
def test_a_token_is_dead_exactly_when_some_entry_says_so(
    told: list[tuple[str, str, bool]], seq: int, names: tuple[str, ...]
) -> None:
    """The log, against the table of decision 3 read entry by entry."""
    jti, grant, client, account, client_account, user, session = names
    hangs_on = {
        "token": {jti}, "grant": {grant}, "client": {client}, "account": {account, client_account}, "user": {user},
        "session": {session}, "signing_key": {"kid_1"},
    }  # fmt: skip
    entries = [an_entry(kind, value, at, is_dead=dead) for at, (kind, value, dead) in enumerate(told, 1)]
    about = {"account": account, "client_account": client_account, "sub": user, "sid": session}
    ties = a_token(f"1:{seq}", jti=jti, grant_id=grant, client_id=client, **about)
    expected = any(
        entry.is_dead
        and (entry.kind == "everything" or entry.value in hangs_on[entry.kind])
        and (entry.kind in FOR_GOOD or seq < entry.position[1])
        for entry in entries
    )
    assert Log(1, entries).covers(ties) == expected


@given(st.lists(st.tuples(KINDS, NAMES, st.booleans()), max_size=12), st.data())
def test_once_dead_a_token_stays_dead_whatever_is_told_afterwards(
    told: list[tuple[str, str, bool]], data: st.DataObject
) -> None:
    log, kind = Log(1), data.draw(KINDS)
    log.add(an_entry(kind, NAMED[kind], 50))
    for at, (later, value, dead) in enumerate(told, 51):
        log.add(an_entry(later, value, at, is_dead=dead))
        assert log.covers(a_token("1:49"))
    log.expire(NOW + 3659)
    assert log.covers(a_token("1:49"))


def test_nothing_hangs_on_nothing() -> None:
    assert not Log(1, [an_entry("everything", "")]).forgets(Ties(frozenset(), (1, 0)))
    assert ORIGIN < (1, 0)


@pytest.mark.parametrize("kind", ["token", "grant", *CUT_OFFS])
def test_what_was_dead_stays_dead_though_a_new_snapshot_does_not_know_it(kind: str) -> None:
    before, after = Log(1, [an_entry(kind, NAMED[kind])]), Log(1)
    after.keep(before)
    assert after.covers(a_token())
    assert not after.covers(a_token(jti="other", grant_id="other", client_id="other", account="other", pos="1:60"))
    after.expire(NOW + 3661)
    assert not after.covers(a_token())


def test_a_snapshot_of_another_epoch_keeps_what_is_dead_for_good_alone() -> None:
    before = Log(1, [an_entry("token", "jti_1"), an_entry("client", "client_2")])
    after = Log(2)
    after.keep(before)
    assert after.covers(a_token("2:10"))
    assert not after.covers(a_token("2:10", jti="jti_2", client_id="client_2"))
    assert after.covers(a_token("1:10", jti="jti_2"))


def test_what_was_only_changed_is_not_kept() -> None:
    before, after = Log(1, [an_entry("grant", "grant_1", is_dead=False)]), Log(1)
    after.keep(before)
    assert len(after) == 0
