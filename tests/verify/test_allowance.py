"""Limits of keys at a service (decision 14b): lent for seconds, counted exactly, refused with the standard fields."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.routing import Route
from starlette.testclient import TestClient
from tests.verify.asking import KEY, MakeVerifier, active
from tests.verify.issuer_server import INTROSPECTION, Issuer, Question, Reply
from tests.verify.waiting import Clock

from doorward_verify import Unavailable, Verifier
from doorward_verify.allowance import Allowance, read
from doorward_verify.challenge import answer
from doorward_verify.errors import CostImpossible, RateLimited
from doorward_verify.starlette import Guard

BURST = {
    "name": "burst", "type": "rate", "amount": 100, "per": "minute", "window": 60, "remaining": 7, "resets_in": 56,
}  # fmt: skip
DAILY = {**BURST, "name": "daily", "type": "quota", "per": "day", "window": 86_400}
REFUSED = {"limits": [{**BURST, "remaining": 0, "resets_in": 12}], "limited": "rate_limited", "retry_after": 12}


class Server:
    """Counts as the server does: `amount` in all, lent as it is asked for, but never more than `share` at once."""

    def __init__(self, amount: int, share: int = 10) -> None:
        self.left, self.share = amount, share

    def __call__(self, question: Question | None = None) -> Reply:
        assert question is not None
        cost, spare = int(question["cost"]), min(int(question["spare"]), self.share)
        spare = min(spare, max(self.left - cost, 0))
        if self.left < cost:
            return active(question, **REFUSED)
        self.left -= cost + spare
        return active(question, limits=[{**BURST, "remaining": self.left}], spare=spare)


def asked(issuer: Issuer) -> int:
    return issuer.counts[INTROSPECTION]


def passed(call: Callable[[], object], times: int) -> int:
    count = 0
    for _ in range(times):
        try:
            call()
            count += 1
        except RateLimited:
            pass
    return count


def test_what_costs_more_than_there_ever_is_has_no_time_to_come_again() -> None:
    told = {"limits": [BURST], "limited": "cost_impossible", "retry_after": 0}
    lent = read(told, 8, now=1.0)
    assert lent is not None
    with pytest.raises(CostImpossible) as refused:
        lent.gives(8, now=2.0)
    found = answer(refused.value, issuer="https://auth.example.com", audience="https://api.example.com", request_id="r")
    assert (found.status, found.body["reason"], found.all("retry-after")) == (422, "cost_impossible", [])
    assert not lent.gives(1, now=2.0), "less may be asked for"
    assert not lent.gives(8, now=60.0), "the limits may be others by then"


class TestKeysWithLimits:
    def test_as_many_pass_as_there_are_and_few_are_asked_about(self, verifier: Verifier, issuer: Issuer) -> None:
        issuer.replies[INTROSPECTION] = Server(100)
        assert passed(lambda: verifier.check(KEY), 130) == 100
        assert asked(issuer) < 30

    def test_so_do_threads_that_ask_at_once(self, verifier: Verifier, issuer: Issuer) -> None:
        issuer.replies[INTROSPECTION] = Server(50, share=5)
        with ThreadPoolExecutor(8) as threads:
            counts = list(threads.map(lambda _: passed(lambda: verifier.check(KEY), 10), range(8)))
        assert 45 <= sum(counts) <= 50

    def test_a_quota_is_asked_for_each_time(self, verifier: Verifier, issuer: Issuer) -> None:
        issuer.replies[INTROSPECTION] = Server(5, share=0)
        assert passed(lambda: verifier.check(KEY), 8) == 5
        assert asked(issuer) == 6

    def test_what_is_refused_is_refused_from_memory_until_it_may_be_asked_again(
        self, verifier: Verifier, issuer: Issuer, clock: Clock
    ) -> None:
        issuer.replies[INTROSPECTION] = Server(0)
        for _ in range(2):
            with pytest.raises(RateLimited) as refused:
                verifier.check(KEY)
            assert (refused.value.retry_after, asked(issuer)) == (12, 1)
            clock.advance(0.3)
        clock.advance(12)
        issuer.replies[INTROSPECTION] = Server(1)
        assert verifier.check(KEY).key_id == "key_1"

    def test_what_was_lent_and_not_used_ends(self, verifier: Verifier, issuer: Issuer, clock: Clock) -> None:
        issuer.replies[INTROSPECTION] = Server(100)
        passed(lambda: verifier.check(KEY), 4)
        before = asked(issuer)
        clock.advance(6)
        verifier.check(KEY)
        assert asked(issuer) == before + 1
        assert issuer.questions[-1]["spare"] == "0"

    def test_a_cost_is_asked_for_whole(self, verifier: Verifier, issuer: Issuer) -> None:
        issuer.replies[INTROSPECTION] = Server(100)
        assert passed(lambda: verifier.check(KEY, cost=30), 5) == 3

    def test_a_key_without_limits_is_remembered_as_ever(self, verifier: Verifier, issuer: Issuer) -> None:
        assert passed(lambda: verifier.check(KEY, cost=1000), 20) == 20
        assert asked(issuer) == 1

    def test_nobody_counts_in_an_outage_so_nobody_passes(self, verifier: Verifier, issuer: Issuer) -> None:
        issuer.replies[INTROSPECTION] = Server(100, share=0)
        verifier.check(KEY)
        issuer.stop()
        with pytest.raises(Unavailable) as refused:
            verifier.check(KEY)
        assert refused.value.reason == "limits_uncountable"

    def test_unless_the_service_says_so(self, verifier_of: MakeVerifier, issuer: Issuer) -> None:
        verifier = verifier_of(on_limiter_outage="accept")
        issuer.replies[INTROSPECTION] = Server(100, share=0)
        verifier.check(KEY)
        issuer.stop()
        assert verifier.check(KEY).stale is True

    @pytest.mark.parametrize(
        "wrong",
        [
            {"limits": {}}, {"limits": [{"name": "burst"}]}, {"limits": [BURST], "spare": "5"},
            {"limits": [BURST], "limited": "because", "retry_after": 5}, {"limits": [BURST], "limited": "rate_limited"},
        ],
    )  # fmt: skip
    def test_an_answer_that_makes_no_sense_lets_nobody_in(
        self, verifier: Verifier, issuer: Issuer, wrong: dict[str, Any]
    ) -> None:
        issuer.replies[INTROSPECTION] = lambda question: active(question, **wrong)
        with pytest.raises(Unavailable):
            verifier.check(KEY)


class TestTheAnswer:
    def test_it_is_a_429_with_the_fields_of_the_draft_and_its_problem_type(
        self, verifier: Verifier, issuer: Issuer
    ) -> None:
        told = {**REFUSED, "limits": [{**BURST, "remaining": 0, "resets_in": 12}, DAILY]}
        issuer.replies[INTROSPECTION] = lambda question: active(question, **told)

        @Guard(verifier)()
        async def endpoint(request: Any) -> None: ...

        reply = TestClient(Starlette(routes=[Route("/", endpoint)])).get("/", headers={"x-api-key": KEY})
        assert reply.status_code == 429
        assert reply.headers["ratelimit"] == '"burst";r=0;t=12, "daily";r=7;t=56'
        assert reply.headers["ratelimit-policy"] == '"burst";q=100;w=60, "daily";q=100;w=86400'
        assert (reply.headers["retry-after"], reply.headers["content-type"]) == ("12", "application/problem+json")
        body = reply.json()
        assert body["type"] == "https://iana.org/assignments/http-problem-types#quota-exceeded"
        assert (body["violated-policies"], body["reason"], body["status"]) == (["burst"], "rate_limited", 429)

    def test_a_route_may_cost_more(self, verifier: Verifier, issuer: Issuer) -> None:
        issuer.replies[INTROSPECTION] = Server(10)

        @Guard(verifier)(cost=4)
        async def endpoint(request: Any) -> Any:
            from starlette.responses import Response

            return Response()

        client = TestClient(Starlette(routes=[Route("/", endpoint)]))
        assert [client.get("/", headers={"x-api-key": KEY}).status_code for _ in range(4)] == [200, 200, 429, 429]


class TestAllowances:
    def test_no_more_is_given_than_was_lent(self) -> None:
        lent = Allowance((), 3, 10.0)
        assert [lent.gives(1, 1.0) for _ in range(5)] == [True, True, True, False, False]

    def test_nothing_is_given_after_its_time(self) -> None:
        assert not Allowance((), 3, 10.0).gives(1, 10.0)

    def test_of_those_who_ask_at_once_one_borrows(self) -> None:
        lent = Allowance((), 3, 10.0)
        assert [lent.wants(1.0) for _ in range(3)] == [7, 0, 0]
        assert Allowance((), 3, 10.0).wants(10.0) == 0

    def test_it_lasts_no_longer_than_the_shortest_window(self) -> None:
        lent = read({"limits": [{**BURST, "window": 1}, DAILY], "spare": 2}, 1, 100.0)
        assert lent is not None
        assert lent.ends_at == 101.0
