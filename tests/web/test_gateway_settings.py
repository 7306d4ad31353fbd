"""Settings for gateways: routes in doorward.toml, where they ask, and what is refused before anything starts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from doorward import gateway_refusals, gateway_settings, refusals
from doorward.settings import Settings, StartRefused, load

ROUTE = {"path": "/invoices/{id}", "methods": ["GET"], "api": "https://api.example.com", "scope": "invoices:read"}
DAILY = {"name": "daily", "amount": 5, "per": "day", "type": "quota", "each": "account"}
SECRET = "4xmGZ0vTqkU2b7c9LwPsYhRjNaEdFiOu"


def settings(**given: Any) -> Settings:
    return load({"data_dir": Path("none"), **given})


def sentences(**given: Any) -> list[str]:
    found = refusals.check(settings(**given))
    assert all(len(one.ways_out) == 3 for one in found)
    return [one.sentence for one in found]


def test_routes_are_read_from_the_file(tmp_path: Path) -> None:
    file = tmp_path / "doorward.toml"
    file.write_text('[[gateway.routes]]\npath = "/a"\nmethods = ["GET"]\npublic = true\n')
    (found,) = load({"data_dir": tmp_path / "data"}, file).gateway.routes
    assert (found.path, found.methods, found.public) == ("/a", ("GET",), True)
    (route,) = gateway_settings.table([found]).routes
    assert (route.path, route.origin) == ("/a", "settings")


def test_routes_may_stand_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOORWARD__GATEWAY__ROUTES", '[{"path": "/a", "methods": ["GET"], "public": true}]')
    assert [one.path for one in settings().gateway.routes] == ["/a"]


@pytest.mark.parametrize(
    "members",
    [
        {"regex": "x"},
        {"methods": "GET"},
        {"environment": "staging"},
        {"public": "often"},
        {"cost": -1},
        {"limits": [{"name": "a", "amount": 1, "per": "day", "each": "key"}]},
    ],
)
def test_a_member_that_is_none_is_refused_by_its_place(members: dict[str, Any]) -> None:
    with pytest.raises(StartRefused, match=r"gateway\.routes\.1\."):
        settings(gateway={"routes": [ROUTE, {**ROUTE, **members}]})


@pytest.mark.parametrize(
    ("routes", "sentence"),
    [
        ([ROUTE], None),
        ([ROUTE, {**ROUTE, "methods": ["POST"]}], None),
        ([{**ROUTE, "path": "/a/../b"}], "the route /a/../b cannot work: path must"),
        ([{**ROUTE, "api": ""}], "cannot work: api must name the api"),
        ([{**ROUTE, "transports": ["body"]}], "transports cannot be body: no gateway shows the body"),
        ([{**ROUTE, "transports": ["query"]}], "transports cannot be query"),
        ([{**ROUTE, "cost": 2, "limits": [DAILY]}], None),
        ([{**ROUTE, "cost": 6, "limits": [DAILY]}], "cost is more than its limit daily ever has at once"),
        ([{**ROUTE, "limits": [{**DAILY, "per": "second"}]}], "limits of type quota are per minute, hour"),
        ([ROUTE, {**ROUTE, "path": "/invoices/{number}"}], "two routes say something of the same: /invoices/{number}"),
    ],
)
def test_routes_that_cannot_work_are_refused_by_name(routes: list[Any], sentence: str | None) -> None:
    found = sentences(gateway={"routes": routes})
    assert found == [] if sentence is None else len(found) == 1 and sentence in found[0]


@pytest.mark.parametrize(
    ("where", "is_safe"),
    [
        ("127.0.0.1:8444", True), ("localhost:8444", True), ("[::1]:8444", True), ("unix:/run/check.sock", True),
        ("0.0.0.0:8444", False), ("[::]:8444", False), ("192.0.2.1:8444", False), ("gateway.example.com:8444", False),
        ("127.0.0.1:0", False), ("127.0.0.1:70000", False),
    ],
)  # fmt: skip
def test_gateways_ask_on_this_machine_or_over_tls(where: str, is_safe: bool) -> None:
    assert (
        [one.startswith("check_listen is open") for one in sentences(check_listen=where)] == [] if is_safe else [True]
    )


@pytest.mark.parametrize(("where", "is_safe"), [("127.0.0.1:8445", True), ("0.0.0.0:8445", False), ("[::1]:0", False)])
def test_envoy_asks_by_grpc_on_this_machine(where: str, is_safe: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    found = [one.startswith("check_grpc_listen wants") for one in sentences(check_grpc_listen=where)]
    assert found == [] if is_safe else [True]
    monkeypatch.setattr(gateway_refusals, "find_spec", lambda _: None)
    assert len(sentences(check_grpc_listen=where)) == 1


TLS = {"check_tls_listen": "0.0.0.0:8446", "check_client_ca_file": Path("gateways.pem")}


@pytest.mark.parametrize(
    ("given", "is_safe"),
    [
        (TLS, True), ({**TLS, "check_client_ca_file": None}, False), ({**TLS, "check_tls_listen": None}, False),
        ({**TLS, "no_tls": True}, False),
    ],
)  # fmt: skip
def test_certificates_are_asked_for_where_somebody_signs_them(given: dict[str, Any], is_safe: bool) -> None:
    assert [one.partition(" and")[0] for one in sentences(**given)] == ([] if is_safe else ["check_tls_listen"])


@pytest.mark.parametrize(("number", "is_safe"), [(1, True), (20, True), (21, False)])
def test_the_authorities_of_the_world_sign_no_gateways(number: int, is_safe: bool, tmp_path: Path) -> None:
    file = tmp_path / "authorities.pem"
    file.write_text("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n" * number)
    found = sentences(**{**TLS, "check_client_ca_file": file})
    assert [one.startswith("check_client_ca_file names the world's") for one in found] == ([] if is_safe else [True])


@pytest.mark.parametrize("where", ["8444", "127.0.0.1", "unix:check.sock", "http://127.0.0.1:8444", "127.0.0.1:x"])
def test_what_is_no_place_to_listen_is_refused(where: str) -> None:
    with pytest.raises(StartRefused, match="check_listen"):
        settings(check_listen=where)


@pytest.mark.parametrize("secret", ["short", "a" * 40, SECRET[:31], SECRET + "\u00e9", SECRET + " \n"])
def test_a_secret_that_can_be_guessed_is_refused(secret: str) -> None:
    assert [one.startswith("check_secret can be guessed") for one in sentences(check_secret=secret)] == [True]
    assert sentences(check_secret=SECRET) == []


def test_the_secret_is_read_from_a_file_and_shown_nowhere(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text(SECRET + "\n")
    given = settings(check_secret_file=file)
    assert given.secret("check_secret") == SECRET
    assert SECRET not in repr(settings(check_secret=SECRET))
