"""Which requests a gateway lets through: the most specific pattern decides alone, and nothing else passes."""

from __future__ import annotations

import time
from typing import Any

import pytest

from doorward.protocol import route_policy
from doorward.protocol.route_policy import BadRoute, Route, Table

API = "https://api.example.com"


def a_route(path: str, *methods: str, **members: Any) -> Route:
    return route_policy.route({"path": path, "methods": methods or ("GET",), "api": API, **members})


def a_table(*paths: str) -> Table:
    return route_policy.compiled(map(a_route, paths))


def decides(table: Table, path: str, host: str = "") -> str | None:
    found = table.find(host, path)
    return None if found is None else found["GET"].path


# patterns, path, the pattern that decides
MATCHES = (
    (("/invoices",), "/invoices", "/invoices"),
    (("/invoices",), "/invoices/", None),
    (("/invoices/",), "/invoices", None),
    (("/invoices",), "/Invoices", None),
    (("/invoices",), "/invoices/7", None),
    (("/invoices/{id}",), "/invoices/7", "/invoices/{id}"),
    (("/invoices/{id}",), "/invoices/", None),
    (("/invoices/{id}",), "/invoices/7/lines", None),
    (("/invoices/{id}/lines/{line}",), "/invoices/7/lines/1", "/invoices/{id}/lines/{line}"),
    (("/static/**",), "/static/a/b.css", "/static/**"),
    (("/static/**",), "/static/", "/static/**"),
    (("/static/**",), "/static", None),
    (("/static/**",), "/statics/a", None),
    (("/**",), "/", "/**"),
    (("/**",), "/anything/at/all", "/**"),
    (("/",), "/", "/"),
    (("/café/{name}",), "/café/a b", "/café/{name}"),
    (("/invoices/{id}", "/invoices/new"), "/invoices/new", "/invoices/new"),
    (("/invoices/**", "/invoices/{id}"), "/invoices/7", "/invoices/{id}"),
    (("/invoices/**", "/invoices/{id}"), "/invoices/7/lines", "/invoices/**"),
    (("/a/b/**", "/a/{x}/c"), "/a/b/c", "/a/b/**"),
    (("/a/b/d", "/a/{x}/c"), "/a/b/c", "/a/{x}/c"),
    (("/{a}/b", "/a/**"), "/a/b", "/a/**"),
    ((), "/", None),
)  # fmt: skip


@pytest.mark.parametrize(("patterns", "path", "decisive"), MATCHES)
def test_the_most_specific_pattern_decides(patterns: tuple[str, ...], path: str, decisive: str | None) -> None:
    assert decides(a_table(*patterns), path) == decisive
    assert decides(a_table(*reversed(patterns)), path) == decisive, "in whatever order they stand"


def test_a_wider_pattern_is_not_asked_about_a_method_that_the_deciding_one_does_not_name() -> None:
    table = route_policy.compiled([a_route("/admin/**", "GET"), a_route("/**", "*", api="", public=True)])
    assert route_policy.find(table, route_policy.NONE, "GET", "", "/admin/x").route is not None
    assert route_policy.find(table, route_policy.NONE, "POST", "", "/admin/x").route is None
    assert route_policy.find(table, route_policy.NONE, "POST", "", "/other").route is not None


def test_the_settings_decide_wherever_one_of_their_patterns_fits() -> None:
    settings, apis = a_table("/invoices/**"), route_policy.compiled([a_route("/invoices/{id}", "GET", "POST")])
    apis.add(a_route("/other"))
    found = route_policy.find(settings, apis, "GET", "", "/invoices/7").route
    assert found is not None
    assert found.path == "/invoices/**"
    assert route_policy.find(settings, apis, "POST", "", "/invoices/7").route is None
    assert route_policy.find(settings, apis, "GET", "", "/other").route is not None


def test_a_host_with_routes_of_its_own_is_asked_about_them_first() -> None:
    table = route_policy.compiled([a_route("/x", host="Admin.Example.com"), a_route("/{any}")])
    assert decides(table, "/x", "admin.example.com") == "/x"
    assert decides(table, "/x", "api.example.com") == "/{any}"
    assert decides(table, "/y", "admin.example.com") == "/{any}"
    assert decides(table, "/x") == "/{any}"


def test_every_method_is_those_that_services_have_and_none_that_tells_of_the_connection() -> None:
    assert set(a_route("/x", "*").methods) == {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}


def test_what_is_said_twice_of_one_pattern_and_method_is_told() -> None:
    table = route_policy.compiled([a_route("/i/{id}", "GET"), a_route("/i/{number}", "POST"), a_route("/i/{n}", "GET")])
    assert [(one.first.path, one.second.path) for one in table.taken] == [("/i/{id}", "/i/{n}")]
    assert decides(table, "/i/7") == "/i/{id}"


BAD = (
    # path and members, the member that is wrong
    ("invoices", {}, "path"),
    ("", {}, "path"),
    ("/a//b", {}, "path"),
    ("/a/../b", {}, "path"),
    ("/a/.", {}, "path"),
    ("/a;b", {}, "path"),
    ("/a\\b", {}, "path"),
    ("/a%2fb", {}, "path"),
    ("/a%41", {}, "path"),
    ("/é%41", {}, "path"),
    ("/a?b", {}, "path"),
    ("/é?b", {}, "path"),
    ("/a#b", {}, "path"),
    ("/a b", {}, "path"),
    ("/a*", {}, "path"),
    ("/**/a", {}, "path"),
    ("/a**", {}, "path"),
    ("/{id", {}, "path"),
    ("/x{id}", {}, "path"),
    ("/{ID}", {}, "path"),
    ("/{id}/{id}", {}, "path"),
    ("/cafe\u0301", {}, "path"),
    ("/a\u202eb", {}, "path"),
    ("/a", {"methods": ["get"]}, "methods"),
    ("/a", {"methods": []}, "methods"),
    ("/a", {"methods": ["*", "GET"]}, "methods"),
    ("/a", {"methods": ["TRACE"]}, "methods"),
    ("/a", {"methods": ["CONNECT"]}, "methods"),
    ("/a", {"api": ""}, "api"),
    ("/a", {"scope": "a  b"}, "scope"),
    ("/a", {"public": True, "scope": "a"}, "scope"),
    ("/a", {"service": "bil ling"}, "service"),
    ("/a", {"service": "bil\r\nling"}, "service"),
    ("/a", {"host": "a b"}, "host"),
    ("/a", {"host": "a:443"}, "host"),
    ("/a", {"transports": ["cookie"]}, "transports"),
    ("/a", {"environment": "staging"}, "environment"),
)


@pytest.mark.parametrize(("path", "members", "member"), BAD)
def test_a_route_that_cannot_be_is_refused_by_the_member_that_is_wrong(
    path: str, members: dict[str, Any], member: str
) -> None:
    with pytest.raises(BadRoute) as refused:
        route_policy.route({"path": path, "methods": ["GET"], "api": API, **members})
    assert refused.value.member == member
    assert refused.value.reason is None


@pytest.mark.parametrize("transport", ["body", "query"])
def test_what_no_gateway_can_do_is_refused_by_name(transport: str) -> None:
    with pytest.raises(BadRoute, match=f"transports cannot be {transport}") as refused:
        a_route("/a", transports=["bearer", transport])
    assert refused.value.reason == "route_impossible"


def test_a_route_stays_what_it_is_when_it_is_kept() -> None:
    limits = [{"name": "burst", "amount": 5, "per": "day", "each": "account"}]
    told = {"scope": "b a", "service": "billing", "host": "h.example", "transports": ["basic"]}
    route = a_route("/a/{id}", "GET", "POST", **told, limits=limits, cost=2)
    (kept,) = route_policy.of_api(API, "settings", [route_policy.members(route)])
    assert kept == route


def test_a_hundred_thousand_routes_are_compiled_and_one_is_found_among_them() -> None:
    """Figures belong to the bench; this fails where the tree becomes a list."""
    routes = [a_route(f"/tenants/{n % 1000}/things{n // 1000}/{{id}}") for n in range(100_000)]
    begun = time.process_time()
    table = route_policy.compiled(routes)
    for n in range(10_000):
        assert decides(table, f"/tenants/{n % 1000}/things{n // 1000}/7")
    assert time.process_time() - begun < 30
