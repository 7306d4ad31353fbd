"""What options make of a configuration: every gateway reads it, and those that reach a Unix socket ask there."""

from __future__ import annotations

import re
import subprocess
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.deployment import Program, free_port
from tests.gateways import proxies
from tests.gateways.conftest import SECRET, Site
from tests.gateways.relay import Relay
from tests.verify.waiting import until

from doorward.cli.gateway_attacks import Patient, bearer, request
from doorward.cli.gateway_config import CREDENTIALS, IDENTITY
from doorward.cli.gateway_wire import Door, Echo, send
from doorward.cli.main import main


@pytest.mark.parametrize("gateway", ["nginx", "caddy", "haproxy", "envoy"])
def test_a_gateway_asks_at_a_unix_socket(site: Site, tmp_path: Path, gateway: str) -> None:
    # The path of a socket has a hundred letters at most, and other users have to reach it.
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o755)
        with Relay(site.check_port, Path(directory) / "check.sock") as relay:
            plan = site.plan(tmp_path / gateway, relay.url)
            with proxies.standing(gateway, plan), Echo("127.0.0.1", plan.upstream) as echo:
                assert_it_asks(plan, site, echo)


# Envoy's TLS knows no constraints of addresses, which the local CA has: it needs a certificate of another one.
@pytest.mark.parametrize("gateway", ["nginx", "caddy", "traefik"])
def test_a_gateway_elsewhere_asks_over_tls_with_the_secret(site: Site, tmp_path: Path, gateway: str) -> None:
    (tmp_path / "secret").write_text(SECRET)
    words = ("--check-secret", f"@{tmp_path}/secret", "--ca-file", f"{site.doorward.directory}/ca.pem")
    plan = replace(site.plan(tmp_path / gateway, site.doorward.issuer), words=words)
    with proxies.standing(gateway, plan), Echo("127.0.0.1", plan.upstream) as echo:
        assert_it_asks(plan, site, echo)


def certified(site: Site, directory: Path) -> proxies.Plan:
    certificate, key = map(str, site.own)
    words = ("--check-cert", certificate, "--check-key", key, "--ca-file", f"{site.doorward.directory}/ca.pem")
    return replace(site.plan(directory, f"https://localhost:{site.tls_port}"), words=words)


@pytest.mark.parametrize("gateway", ["nginx", "caddy", "traefik"])
def test_a_gateway_elsewhere_asks_over_tls_with_its_certificate(site: Site, tmp_path: Path, gateway: str) -> None:
    plan = certified(site, tmp_path / gateway)
    with proxies.standing(gateway, plan), Echo("127.0.0.1", plan.upstream) as echo:
        assert_it_asks(plan, site, echo)


def test_without_its_certificate_it_lets_nobody_through(site: Site, tmp_path: Path) -> None:
    plan = certified(site, tmp_path)
    file = proxies.written("nginx", plan)
    lines = proxies.of_this_machine(file.read_text(), tmp_path).splitlines()
    without = [line for line in lines if "proxy_ssl_certificate" not in line]
    assert len(without) == len(lines) - 4  # for questions, and for what arrives in the clear
    file.write_text("\n".join(without))
    door, asks = Door("localhost", plan.listen, proxies.trust(plan)), request(Patient("localhost", "/invoices", ""))
    started = Program(proxies.COMMANDS["nginx"](file, tmp_path), env=proxies.environment(tmp_path))
    try:
        until(lambda: send(door, asks).status)
        assert {send(door, asks).status for _ in range(5)} == {503}
    finally:
        started.stop()


def assert_it_asks(plan: proxies.Plan, site: Site, echo: Echo) -> None:
    door, patient = Door("localhost", plan.listen, proxies.trust(plan)), Patient("localhost", "/invoices", site.key)
    assert send(door, request(patient)).status == 401
    assert send(door, request(patient, "GET", None, bearer(site.key))).status == 200
    (seen,) = echo.taken()
    assert len(seen.values("x-auth-assertion")) == 1
    assert not seen.values("x-check-secret")


def written(directory: Path, site: Site, gateway: str, *words: str) -> Path:
    """With TLS wherever it goes, and the secret where it is asked from elsewhere."""
    (directory / "secret").write_text(SECRET)
    file = directory / proxies.FILES[gateway]
    argv = ["gateway", "config", gateway, "--upstream", "https://billing.example.com:8443", "-o", str(file)]
    argv += ["--tls-cert", str(site.certificate), "--tls-key", str(site.certificate), "--ca-file", str(site.authority)]
    argv += ["--listen", f"127.0.0.1:{free_port()}", "--plaintext", "off", *words]
    assert main(argv) == 0
    return file


ELSEWHERE = ("--check", "https://auth.example.com")
VARIANTS = {
    "nginx": ELSEWHERE, "caddy": ELSEWHERE, "envoy": ELSEWHERE, "haproxy": ("--check", "http://127.0.0.1:8444"),
}  # fmt: skip
CHECKED_BY = {
    "caddy": lambda file: [proxies.program("caddy"), "validate", "--config", str(file), "--adapter", "caddyfile"],
    "haproxy": lambda file: [proxies.program("haproxy"), "-c", "-f", str(file)],
    "envoy": lambda file: [*proxies.COMMANDS["envoy"](file, file.parent), "--mode", "validate"],
    "nginx": lambda file: [*proxies.COMMANDS["nginx"](file, file.parent), "-t"],
}


@pytest.mark.parametrize("gateway", VARIANTS)
def test_with_tls_on_every_hop_and_a_secret_it_is_read(site: Site, tmp_path: Path, gateway: str) -> None:
    secret = ("--check-secret", f"@{tmp_path}/secret")
    file = written(tmp_path, site, gateway, *VARIANTS[gateway], *secret)
    for path in [one for one in tmp_path.iterdir() if one.is_file()]:
        text = path.read_text()
        # Names that nobody knows here are not looked up by a check of the syntax alone.
        text = text.replace("auth.example.com:443", "127.0.0.1:443").replace(
            "billing.example.com:8443", "127.0.0.1:8443"
        )
        path.write_text(proxies.of_this_machine(text, tmp_path))
    ran = subprocess.run(CHECKED_BY[gateway](file), capture_output=True, text=True, env=proxies.environment(tmp_path))
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert any(SECRET in path.read_text() for path in tmp_path.iterdir() if path.is_file() and path.name != "secret")
    assert file.stat().st_mode & 0o077 == 0


def test_traefiks_files_are_yaml_that_say_the_same_with_tls(site: Site, tmp_path: Path) -> None:
    secret = ("--check-secret", f"@{tmp_path}/secret")
    file = written(tmp_path, site, "traefik", *ELSEWHERE, *secret)
    static, dynamic = strictly(file.read_text())[0], strictly((tmp_path / "doorward-routes.yaml").read_text())[0]
    assert static["providers"]["file"]["filename"] == str(tmp_path / "doorward-routes.yaml")
    assert set(static["entryPoints"]) == {"api"}
    http = dynamic["http"]
    assert set(http["routers"]) == {"api", "vouched"}
    assert http["middlewares"]["ask"]["forwardAuth"]["tls"] == {"ca": str(site.authority)}
    assert http["middlewares"]["as-it-came"]["headers"]["customRequestHeaders"]["X-Check-Secret"] == SECRET
    assert http["middlewares"]["strip"]["headers"]["customRequestHeaders"]["X-Check-Secret"] == ""
    assert http["services"]["service"]["loadBalancer"]["serversTransport"] in http["serversTransports"]


def test_a_kubernetes_gateway_asks_strips_and_may_ask_elsewhere(site: Site, tmp_path: Path) -> None:
    words = ("--check", "https://doorward.auth.svc:8443", "--upstream", "http://billing.shop.svc:8000")
    file = written(tmp_path, site, "k8s", *words, "--check-secret", f"@{tmp_path}/secret")
    found = {one["kind"]: one for one in strictly(file.read_text())}
    assert set(found) == {"Gateway", "HTTPRoute", "ReferenceGrant", "BackendTLSPolicy"}
    assert {kind: one["metadata"]["namespace"] for kind, one in found.items()} == {
        "Gateway": "shop", "HTTPRoute": "shop", "ReferenceGrant": "auth", "BackendTLSPolicy": "auth",
    }  # fmt: skip
    (listener,) = found["Gateway"]["spec"]["listeners"]
    assert listener["protocol"] == "HTTPS"
    (rule,) = found["HTTPRoute"]["spec"]["rules"]
    modifies, asks = rule["filters"]
    assert set(IDENTITY) <= set(modifies["requestHeaderModifier"]["remove"])
    # The API takes no more of them.
    assert len(modifies["requestHeaderModifier"]["remove"]) <= 16
    asked = asks["externalAuth"]
    assert (asked["protocol"], asked["http"]["path"]) == ("HTTP", "/check/envoy")
    assert asked["backendRef"] == {"name": "doorward", "namespace": "auth", "port": 8443}
    assert set(asked["http"]["allowedResponseHeaders"]) == set(IDENTITY)
    (backend,) = rule["backendRefs"]
    (strips,) = backend["filters"]
    assert {*CREDENTIALS, "X-Check-Secret"} <= set(strips["requestHeaderModifier"]["remove"])
    assert found["BackendTLSPolicy"]["spec"]["validation"]["hostname"] == "doorward.auth.svc"


class _Strict(yaml.SafeLoader):
    """A key that stands twice is a mistake, not the last word."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        assert len(keys) == len(set(keys)), f"repeated: {keys}"
        return super().construct_mapping(node, deep)


def strictly(text: str) -> list[Any]:
    return list(yaml.load_all(text, _Strict))


def test_haproxy_refuses_where_its_buffer_has_no_room_for_who_it_is(site: Site, tmp_path: Path) -> None:
    """What it cannot add it leaves out without a word, so that Lua looks whether all of it is there."""

    def cramped(name: str, text: str) -> str:
        return re.sub(r"tune\.(bufsize|maxrewrite) \d+", "", text) if name == "haproxy.cfg" else text

    plan = site.plan(tmp_path / "haproxy")
    patient, body = Patient("localhost", "/invoices", site.writer), "x" * 60_000
    with proxies.standing("haproxy", plan, cramped), Echo("127.0.0.1", plan.upstream) as echo, site.relay.pausing(0.2):
        door = Door("localhost", plan.listen, proxies.trust(plan))
        assert send(door, request(patient, "POST", None, bearer(site.writer), body=body)).status == 503
        assert send(door, request(patient, "POST", None, bearer(site.writer), body="x")).status == 200
        assert [len(seen.values("x-auth-assertion")) for seen in echo.taken()] == [1]
