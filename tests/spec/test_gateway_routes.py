"""`/v1/apis` takes the routes of an api, and `/v1/gateway-routes` tells which one decides on a request."""

from __future__ import annotations

import itertools

import pytest

NUMBERS = itertools.count()
READ = {"path": "/read", "methods": ["GET"], "scope": "invoices:read"}


@pytest.fixture
def prefix():
    return f"/r{next(NUMBERS)}"


def at(prefix, *routes):
    return [{**one, "path": prefix + one["path"]} for one in routes]


def matched(doorward, path, method="GET"):
    reply = doorward.v1("GET", f"/gateway-routes/match?method={method}&target={path}")
    assert reply.status_code == 200, reply.text
    return reply.json()


def test_an_api_has_routes_from_its_making_on_and_they_can_be_replaced(doorward, prefix):
    api = doorward.an_api(routes=at(prefix, READ))
    assert [one["path"] for one in api["routes"]] == [f"{prefix}/read"]
    assert api["routes"][0]["service"] == api["identifier"]
    other = at(prefix, {**READ, "path": "/other", "methods": ["*"], "service": "billing", "host": "A.example.com"})
    changed = doorward.v1("PATCH", f"/apis/{api['id']}", {"routes": other}).json()["routes"]
    assert [(one["path"], one["service"], one["host"]) for one in changed] == [
        (f"{prefix}/other", "billing", "a.example.com")
    ]
    assert "GET" in changed[0]["methods"]
    assert doorward.v1("PATCH", f"/apis/{api['id']}", {"name": f"renamed {prefix}"}).json()["routes"] == changed
    assert doorward.v1("PATCH", f"/apis/{api['id']}", {"routes": []}).json()["routes"] == []


def test_what_is_taken_can_be_given_again_as_it_was_shown(doorward, prefix):
    api = doorward.an_api(routes=at(prefix, READ))
    again = doorward.v1("PATCH", f"/apis/{api['id']}", {"routes": api["routes"]})
    assert (again.status_code, again.json()["routes"]) == (200, api["routes"])


BAD = (
    # a route, the member that is named, the reason
    ({"path": "read"}, "path", "field_invalid"),
    ({"path": "/a/../b"}, "path", "field_invalid"),
    ({"methods": ["TRACE"]}, "methods", "field_invalid"),
    ({"methods": []}, "methods", "field_invalid"),
    ({"scope": "not-of-this-api"}, "scope", "field_invalid"),
    ({"public": True}, "scope", "field_invalid"),
    ({"environment": "staging"}, "environment", "field_invalid"),
    ({"transports": ["body"]}, "transports", "route_impossible"),
    ({"transports": ["bearer", "query"]}, "transports", "route_impossible"),
    ({"limits": [{"name": "a", "amount": 0, "per": "day"}]}, "limits", "field_invalid"),
    ({"public": True, "scope": "", "limits": [{"name": "a", "amount": 1, "per": "day"}]}, "limits", "field_invalid"),
    ({"cost": -1}, "cost", "field_invalid"),
    ({"cost": 3, "limits": [{"name": "a", "amount": 2, "per": "day"}]}, "cost", "cost_impossible"),
)


@pytest.mark.parametrize(("members", "member", "reason"), BAD)
def test_a_route_that_cannot_be_is_refused_by_name_and_changes_nothing(doorward, prefix, members, member, reason):
    api = doorward.an_api()
    reply = doorward.v1("PATCH", f"/apis/{api['id']}", {"routes": [*at(prefix, READ), {**READ, **members}]})
    assert (reply.status_code, reply.json()["reason"]) == (422, reason)
    assert [one["field"] for one in reply.json()["errors"]] == [f"routes.1.{member}"]
    assert doorward.v1("GET", f"/apis/{api['id']}").json() == api


def test_a_route_must_be_opened_by_something_that_its_api_takes(doorward, prefix):
    basic = at(prefix, {**READ, "transports": ["basic"]})
    api = doorward.an_api(transports=["basic"], routes=basic)
    reply = doorward.v1("PATCH", f"/apis/{api['id']}", {"transports": ["header"]})
    assert (reply.status_code, reply.json()["reason"]) == (422, "route_impossible")
    assert [one["field"] for one in reply.json()["errors"]] == ["routes.0.transports"]
    assert doorward.v1("GET", f"/apis/{api['id']}").json() == api
    other = {"name": f"no basic {prefix}", "identifier": f"https://other.example.com{prefix}", "scopes": api["scopes"]}
    reply = doorward.v1(
        "POST", "/apis", {**other, "routes": at(prefix, {**READ, "path": "/b", "transports": ["basic"]})}
    )
    assert (reply.status_code, reply.json()["reason"]) == (422, "route_impossible")
    tokens = at(prefix, {**READ, "transports": ["bearer"]})
    changed = doorward.v1("PATCH", f"/apis/{api['id']}", {"transports": ["header"], "routes": tokens})
    assert changed.status_code == 200, changed.text


def test_a_route_tells_its_limits_its_cost_and_no_transports_where_it_follows_its_api(doorward, prefix):
    limit = {"name": "daily", "amount": 100, "per": "day", "type": "quota", "burst": None, "each": "account"}
    given = at(prefix, {**READ, "limits": [{key: limit[key] for key in ("name", "amount", "per", "type", "each")}]})
    api = doorward.an_api(routes=[{**given[0], "cost": 5}], transports=["basic"])
    (shown,) = api["routes"]
    assert (shown["limits"], shown["cost"], shown["transports"]) == ([limit], 5, [])
    route = matched(doorward, f"{prefix}/read")["route"]
    assert (route["limits"], route["cost"], route["transports"]) == ([limit], 5, [])
    assert doorward.v1("PATCH", f"/apis/{api['id']}", {"transports": ["header"]}).status_code == 200
    for wrong in ({"each": "key"}, {"each": ""}, {"more": 1}, {"amount": "5"}):
        routes = [{**given[0], "limits": [{**limit, **wrong}]}]
        assert doorward.v1("PATCH", f"/apis/{api['id']}", {"routes": routes}).status_code == 422


@pytest.mark.parametrize(
    "routes", [[{}], [{**READ, "regex": "x"}], {}, ["x"], [READ] * 1001, [READ, READ], [{**READ, "path": "/\x00"}]]
)
def test_what_is_no_list_of_routes_is_refused(doorward, routes):
    api = doorward.an_api()
    assert doorward.v1("PATCH", f"/apis/{api['id']}", {"routes": routes}).status_code in (400, 413, 422)
    assert doorward.v1("GET", f"/apis/{api['id']}").json() == api


def test_two_apis_cannot_say_something_of_the_same(doorward, prefix):
    first = doorward.an_api(routes=at(prefix, {**READ, "path": "/{id}"}))
    same = {"name": f"second {prefix}", "identifier": f"https://second.example.com{prefix}", "scopes": first["scopes"]}
    reply = doorward.v1("POST", "/apis", {**same, "routes": at(prefix, {**READ, "path": "/{number}"})})
    assert (reply.status_code, reply.json()["reason"]) == (409, "route_taken")
    assert first["name"] in reply.json()["detail"]
    for other in ({"methods": ["POST"]}, {"host": "b.example.com"}, {"path": "/{id}/lines"}):
        one = at(prefix, {**READ, "path": "/{number}", **other})
        second = doorward.v1("POST", "/apis", {**same, "routes": one})
        assert second.status_code == 201, second.text
        assert doorward.v1("DELETE", f"/apis/{second.json()['id']}").status_code == 204


def test_of_many_apis_that_want_one_route_at_once_one_gets_it(doorward, prefix):
    def make(number):
        body = {"name": f"race {prefix} {number}", "identifier": f"https://race.example.com{prefix}/{number}"}
        return doorward.v1("POST", "/apis", {**body, "routes": at(prefix, {**READ, "scope": ""})}).status_code

    assert sorted(doorward.at_once(8, make)) == [201, *[409] * 7]


def test_it_is_told_which_route_decides_and_why_none_does(doorward, prefix):
    api = doorward.an_api(routes=at(prefix, READ, {"path": "/open/**", "methods": ["GET"], "public": True}))
    found = matched(doorward, f"{prefix}/read?x=1")
    assert (found["path"], found["route"]["origin"], found["route"]["api"]) == (
        f"{prefix}/read", api["name"], api["identifier"],
    )  # fmt: skip
    assert matched(doorward, f"{prefix}/open/%61")["route"]["public"]
    assert matched(doorward, f"{prefix}/none")["reason"] == "route_unknown"
    assert matched(doorward, f"{prefix}/read", "POST")["reason"] == "route_method"
    twice = matched(doorward, f"{prefix}/%252e%252e/read")
    assert (twice["route"], twice["reason"], twice["flaw"]) == (None, "path_ambiguous", "dot_segment")
    assert doorward.v1("GET", "/gateway-routes/match?method=get&target=/").status_code == 422
    assert doorward.v1("GET", "/gateway-routes/match?method=GET").status_code == 422


def test_all_routes_are_listed_page_by_page(doorward, prefix):
    paths = [{**READ, "path": f"/{number}"} for number in range(7)]
    doorward.an_api(routes=at(prefix, *paths))
    found, cursor = [], ""
    while cursor is not None:
        page = doorward.v1("GET", f"/gateway-routes?limit=3{cursor and '&cursor=' + cursor}").json()
        found += [one["path"] for one in page["items"]]
        cursor = page["next_cursor"]
    assert [path for path in found if path.startswith(f"{prefix}/")] == [f"{prefix}/{number}" for number in range(7)]
    assert doorward.v1("GET", "/gateway-routes?cursor=x").status_code == 400


def test_a_change_of_routes_is_told_in_the_audit_log(doorward, prefix):
    api = doorward.an_api(routes=at(prefix, READ))
    doorward.v1("PATCH", f"/apis/{api['id']}", {"routes": at(prefix, {**READ, "path": "/other"})})
    doorward.v1("PATCH", f"/apis/{api['id']}", {"scopes": {**api["scopes"], "more": "More"}})
    doorward.v1("DELETE", f"/apis/{api['id']}")
    told = [one["data"] for one in doorward.v1("GET", "/audit?type=RoutesChanged&order=desc&limit=3").json()["items"]]
    assert [one["api"] for one in told] == [api["id"]] * 3
    added = [[route["path"] for route in one["added"]] for one in told]
    removed = [[route["path"] for route in one["removed"]] for one in told]
    assert added == [[], [f"{prefix}/other"], [f"{prefix}/read"]]
    assert removed == [[f"{prefix}/other"], [f"{prefix}/read"], []]


def test_who_may_not_read_apis_may_not_read_routes(doorward):
    key = doorward.an_admin_key("keys:read")
    for path in ("/gateway-routes", "/gateway-routes/match?method=GET&target=/"):
        assert doorward.v1("GET", path, key=key).status_code == 403
