"""Limits of a route: whose they may be, and the cells that they are counted in, which are nobody else's."""

from __future__ import annotations

from typing import Any

import pytest
from tests.protocol.given import IDENTIFIER, NOW

from doorward.protocol import limit, route_limit, route_policy
from doorward.protocol.limit import Limit
from doorward.protocol.route_policy import BadRoute, Route

BURST = {"name": "burst", "amount": 10, "per": "minute"}
MONTHLY = {"name": "monthly", "amount": 5, "per": "month", "type": "quota"}
WHOSE = {"credential": "key/key_1", "account": "account/acme", "address": "address/192.0.2.9", "route": "all"}


def a_route(*limits: dict[str, Any], path: str = "/exports", **members: Any) -> Route:
    given = {"path": path, "methods": ["POST", "PUT"], "limits": limits, **members}
    return route_policy.route(given, api="" if members.get("public") else IDENTIFIER)


def cells(of: Route) -> list[str]:
    return [one.cell for one in route_limit.charges(of.place, of.limits, WHOSE, of.cost, NOW)]


def test_a_limit_is_each_credentials_unless_said_otherwise() -> None:
    (kept,) = a_route(BURST).limits
    assert kept.each == "credential"
    (charge,) = route_limit.charges("route/x", (kept,), WHOSE, 3, NOW)
    assert (charge.cell, charge.cost, charge.limit) == ("route/x/key/key_1/burst", 3, kept)


@pytest.mark.parametrize(("each", "whose"), WHOSE.items())
def test_it_is_counted_in_a_cell_of_whose_it_is(each: str, whose: str) -> None:
    route = a_route({**BURST, "each": each}, {**MONTHLY, "each": each})
    burst, monthly = cells(route)
    assert burst == f"{route.place}/{whose}/burst"
    assert monthly.startswith(f"{route.place}/{whose}/monthly/month/")


def test_no_cell_is_another_routes_or_a_keys_an_accounts_or_an_apis() -> None:
    each = [{**BURST, "name": name, "each": name} for name in WHOSE]
    others = (
        {"path": "/exports/{id}"}, {"host": "a.example.com"}, {"methods": ["POST"]}, {"path": "/exports/burst"},
    )  # fmt: skip
    found = [cell for members in ({}, *others) for cell in cells(a_route(*each, **members))]
    limits = [Limit(**{**BURST, "name": name}) for name in WHOSE]
    of_api = [limit.ApiLimit(**BURST, each=one) for one in ("key", "account", "api")]
    found += [one.cell for one in limit.charges("key_1", "acme", "api_1", limits, limits, of_api, 1, NOW)]
    assert len(set(found)) == len(found)
    assert max(map(len, found)) < 200, "the column's length"


def test_what_was_counted_stays_when_the_rest_of_a_route_is_changed() -> None:
    before, after = a_route(BURST), a_route({**BURST, "amount": 20}, scope="read", methods=["PUT", "POST"])
    assert cells(before) == cells(after)


BAD = (
    # limits, other members, the member that is wrong, what is said of it
    ([BURST, BURST], {}, "limits", "of another name"),
    ([{**BURST, "amount": 0}], {}, "limits", "amount"),
    ([{**BURST, "per": "month"}], {}, "limits", "months are for quotas"),
    ([BURST], {"public": True}, "limits", "for each address or route"),
    ([{**BURST, "each": "account"}], {"public": True}, "limits", "for each address or route"),
    ([BURST], {"cost": 0}, "cost", "1 at least"),
    ([], {"cost": -1}, "cost", "must be 0 to"),
    ([], {"cost": 1_000_001}, "cost", "must be 0 to"),
)


@pytest.mark.parametrize(("limits", "members", "member", "said"), BAD)
def test_what_cannot_be_counted_is_refused_by_the_member_that_is_wrong(
    limits: list[Any], members: dict[str, Any], member: str, said: str
) -> None:
    with pytest.raises(BadRoute, match=said) as refused:
        a_route(*limits, **members)
    assert (refused.value.member, refused.value.reason) == (member, None)


@pytest.mark.parametrize("of", [{**BURST, "burst": 3}, {**MONTHLY, "amount": 3}])
def test_a_cost_above_a_limit_of_its_own_is_refused_by_name(of: dict[str, Any]) -> None:
    with pytest.raises(BadRoute, match=f"its limit {of['name']} ever has") as refused:
        a_route(of, cost=4)
    assert (refused.value.member, refused.value.reason) == ("cost", "cost_impossible")
    assert a_route(of, cost=3).cost == 3


def test_a_public_route_has_limits_for_each_address_or_for_all() -> None:
    route = a_route({**BURST, "each": "address"}, {**MONTHLY, "each": "route"}, public=True)
    assert [one.each for one in route.limits] == ["address", "route"]
