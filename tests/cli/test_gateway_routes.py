"""`doorward gateway routes` and `doorward apis --routes`: what gateways let through, as it is typed."""

from __future__ import annotations

import json

import pytest

API = "https://api.example.com"
ROUTES = [
    {"path": "/invoices/{id}", "methods": ["GET"], "scope": "invoices:read", "service": "billing"},
    {"path": "/static/**", "methods": ["GET", "HEAD"], "public": True},
]
SETTINGS = f"""
[[gateway.routes]]
path = "/admin/**"
methods = ["*"]
api = "{API}"
host = "admin.example.com"
cost = 10
limits = [{{ name = "work", amount = 100, per = "day", each = "account" }}]
"""


@pytest.fixture
def routed(acme, tmp_path):
    (tmp_path / "doorward.toml").write_text(SETTINGS)
    (tmp_path / "routes.json").write_text(json.dumps(ROUTES))
    ran = acme("apis", "update", API, "--routes", "routes.json", "--json")
    assert ran.code == 0, ran.err
    return acme


def test_an_api_takes_its_routes_from_a_file_or_standard_input(routed):
    shown = routed("apis", "show", API)
    assert "GET /invoices/{id}" in shown.out
    assert "GET HEAD /static/**" in shown.out
    assert routed("apis", "update", API, "--routes", "-", stdin="[]").code == 0
    assert "routes" not in routed("apis", "show", API).out
    for text in ("{}", "nonsense", "[1]"):
        assert routed("apis", "update", API, "--routes", "-", stdin=text).code != 0
    assert routed("apis", "update", API, "--routes", "absent.json").code == 2


def test_the_list_has_the_settings_first_and_says_who_says_what(routed):
    ran = routed("gateway", "routes", "list")
    header, *lines = ran.out.splitlines()
    assert header.split() == ["PATH", "METHODS", "HOST", "NEEDS", "LIMITS", "SERVICE", "FROM"]
    assert [line.split()[0] for line in lines] == ["/admin/**", "/invoices/{id}", "/static/**"]
    assert "admin.example.com" in lines[0]
    assert "doorward.toml" in lines[0]
    assert "work: 100 a day, for each account" in lines[0]
    assert f"invoices:read of {API}" in lines[1]
    assert "billing" in lines[1]
    assert "nothing: public" in lines[2]
    assert [one["path"] for one in routed("gateway", "routes", "list", "--json").json["items"]] == [
        "/admin/**", "/invoices/{id}", "/static/**",
    ]  # fmt: skip


def test_it_is_said_which_route_decides(routed):
    ran = routed("gateway", "routes", "test", "get", "/invoices/7?page=2")
    assert ran.code == 0
    assert "/invoices/{id}" in ran.out
    assert "billing" in ran.out
    assert "what its api takes" in ran.out
    ran = routed("gateway", "routes", "test", "GET", "/admin/x", "--host", "admin.example.com")
    assert "work: 100 a day, for each account" in ran.out
    assert ran.out.splitlines()[-1].split() == ["cost", "10"]
    ran = routed("gateway", "routes", "test", "DELETE", "/admin/x", "--host", "Admin.example.com", "--json")
    assert (ran.code, ran.json["route"]["origin"]) == (0, "settings")


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("GET", "/nowhere"), "No pattern fits"),
        (("POST", "/invoices/7"), "does not name this method"),
        (("GET", "/static/../invoices/7"), "dot segment"),
        (("GET", "/admin/x"), "No pattern fits"),
    ],
)
def test_what_no_route_lets_through_is_told_with_the_reason_and_exit_code_1(routed, words, why):
    ran = routed("gateway", "routes", "test", *words)
    assert ran.code == 1
    assert why in ran.out
