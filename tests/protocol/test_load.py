"""Who is let in first when there is too much to do."""

from __future__ import annotations

import math

import pytest

from doorward.app import AUTHORIZATION, CHECKS, ENDPOINTS, FEED, ROUTES, USAGE
from doorward.protocol.load import RANKS, Rank, is_let_in, rank_of

ORDER = ("gateway", "check", "end", "token", "page", "admin")
SMALL = Rank("small", 2, 3, 1.0, 0.1, ())


def named(name: str) -> Rank:
    return next(rank for rank in RANKS if rank.name == name)


@pytest.mark.parametrize(
    ("target", "name"),
    [
        (b"/healthz", "operations"),
        (b"/check/nginx", "check"),
        (b"/check/envoy/v1/apis", "check"),
        (b"/oauth/introspect", "check"),
        (b"/v1/keys/verify", "check"),
        (b"/.well-known/jwks.json?x=1", "check"),
        (b"/statuslists/7", "check"),
        (b"/revocations", "feed"),
        (b"/revocations/stream", "feed"),
        (b"/oauth/revoke", "end"),
        (b"/leaks/burn", "end"),
        (b"/v1/revocations", "end"),
        (b"/v1/keys/self/revoke", "end"),
        (b"/oauth/token", "token"),
        (b"/oauth/token?grant_type=x", "token"),
        (b"/login", "page"),
        (b"/", "page"),
        (b"/nowhere", "page"),
        (b"/v1/keys", "admin"),
        (b"/v1/keys/verify/", "admin"),
        (b"/%6fauth/token", "page"),
        (b"https://localhost/oauth/token", "page"),
        (b"", "page"),
    ],
)
def test_a_path_has_a_rank(target: bytes, name: str) -> None:
    assert rank_of(target).name == name


def test_every_row_of_the_table_of_endpoints_has_the_rank_of_its_kind() -> None:
    asked = {path: rank_of(path.encode()).name for path in (*CHECKS, *FEED, *USAGE, *ENDPOINTS, *AUTHORIZATION)}
    assert asked.pop("/envoy.service.auth.v3.Authorization/Check") == "page"  # by gRPC, elsewhere
    assert {asked["/check/nginx"], asked["/check/forward"]} == {"check"}
    assert asked["/usage"] == "token"
    assert asked["/oauth/authorize"] == asked["/consent"] == "page"
    assert {rank_of(f"/v1{route.path}".encode()).name for route in ROUTES} == {"admin", "check", "end"}


def test_what_decides_about_others_callers_goes_before_all_else_and_administration_goes_last() -> None:
    late = [named(name).late for name in ORDER]
    assert late == sorted(late, reverse=True)
    assert len(set(late)) == len(late)
    assert named("operations").late == named("feed").late == math.inf


def test_so_many_are_answered_and_so_many_wait_and_no_more() -> None:
    assert [is_let_in(SMALL, inside, 0.0) for inside in range(7)] == [True] * 5 + [False] * 2


def test_while_the_worker_is_late_nobody_of_a_low_rank_comes_in() -> None:
    assert is_let_in(SMALL, 0, 0.1)
    assert not is_let_in(SMALL, 0, 0.11)
    assert not is_let_in(named("admin"), 0, 0.3)
    assert not is_let_in(named("page"), 0, 0.3)
    assert is_let_in(named("token"), 0, 0.3)
    assert is_let_in(named("check"), 0, 0.3)
