"""`doorward gateway config` and `doctor` as they are typed: what is written, and what is refused before anything is."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

GATEWAYS = ("nginx", "caddy", "haproxy", "traefik", "envoy")
SECRET = "forty-letters-or-more-that-nobody-guesses"


@pytest.mark.parametrize("gateway", GATEWAYS)
def test_a_configuration_is_printed(run, gateway):
    check = ("--check", "http://127.0.0.1:8444") if gateway == "traefik" else ()
    ran = run("gateway", "config", gateway, "--service", "billing", *check)
    assert ran.code == 0
    assert "billing" in ran.out
    assert max(len(line) for line in ran.out.splitlines()) <= 200
    assert "{{" not in ran.out
    assert "{%" not in ran.out


def test_what_belongs_beside_a_file_is_written_with_it(run, tmp_path):
    ran = run("gateway", "config", "haproxy", "-o", str(tmp_path / "haproxy.cfg"))
    assert ran.code == 0
    assert f"lua-load {tmp_path}/doorward.lua" in (tmp_path / "haproxy.cfg").read_text()
    assert "doorward_check" in (tmp_path / "doorward.lua").read_text()
    assert "doorward.lua" in run("gateway", "config", "haproxy").err


def test_a_file_with_the_secret_is_its_owners_alone(run, tmp_path):
    (tmp_path / "secret").write_text(SECRET)
    file = tmp_path / "doorward.conf"
    file.touch(mode=0o644)
    words = ("--check", "https://auth.example.com", "--check-secret", f"@{tmp_path}/secret", "-o", str(file))
    assert run("gateway", "config", "nginx", *words).code == 0
    assert SECRET in file.read_text()
    assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("haproxy", "--check", "https://auth.example.com"), "cannot verify"),
        (("traefik", "--check", "unix:/run/check.sock"), "no Unix socket"),
        (("k8s", "--check", "http://127.0.0.1:8444"), "over TLS, and with the secret"),
        (("nginx", "--check", "ftp://127.0.0.1"), "--check is no"),
        (("nginx", "--check", "http://127.0.0.1:8444/path"), "--check is no"),
        (("nginx", "--check", "http://user@127.0.0.1:8444"), "--check is no"),
        (("nginx", "--check", "http://127.0.0.1:99999"), "--check is no"),
        (("nginx", "--upstream", "http://a b"), "--upstream is no"),
        (("nginx", "--upstream", "http://a;b"), "--upstream is no"),
        (("nginx", "--listen", "localhost"), "--listen is no"),
        (("nginx", "--listen", ":0"), "--listen is no"),
        (("nginx", "--listen", "0.0.0.0:443; include /etc/passwd"), "--listen is no"),
        (("nginx", "--service", 'a"b'), "--service is no"),
        (("nginx", "--service", "a\nb"), "--service is no"),
        (("nginx", "--tls-cert", "/a b"), "--tls-cert has characters"),
        (("nginx", "--check-secret", "-"), "--check-secret is no"),
        (("nginx", "--check-cert", "/a.pem"), "go together"),
        (("nginx", "--check", "http://127.0.0.1:8444", "--check-cert", "/a", "--check-key", "/b"), "over TLS alone"),
        (("k8s", "--check", "https://d.a.svc", "--check-cert", "/a", "--check-key", "/b"), "no client certificate"),
        (("haproxy", "--check", "https://d", "--check-cert", "/a", "--check-key", "/b"), "cannot verify"),
        (("nginx", "--check", "https://d", "--check-cert", "/a b", "--check-key", "/b"), "--check-cert has characters"),
        (("apache",), "apache"),
    ],
    ids=repr,
)
def test_what_cannot_work_is_refused_by_name_and_nothing_is_written(run, tmp_path, words, said):
    ran = run("gateway", "config", *words, "-o", str(tmp_path / "file"), stdin="too short")
    assert (ran.code, ran.out) == (2, "")
    assert said in ran.err
    assert not (tmp_path / "file").exists()


def test_a_hop_that_others_can_read_is_warned_of(run):
    assert "--upstream is plain HTTP beyond" in run("gateway", "config", "nginx", "--upstream", "http://billing:80").err
    assert "only with a secret" in run("gateway", "config", "nginx", "--check", "https://auth.example.com").err
    assert run("gateway", "config", "nginx").err == ""


def test_without_a_plaintext_port_nothing_is_said_of_one(run):
    for gateway in ("nginx", "caddy", "haproxy", "envoy"):
        assert "plaintext is refused" in run("gateway", "config", gateway).out
        assert "plaintext is refused" not in run("gateway", "config", gateway, "--plaintext", "off").out


@pytest.mark.parametrize(
    "words",
    [
        ("api.example.com",),
        ("https://",),
        ("https://localhost:99999",),
        ("https://localhost", "--denied", "/invoices"),
        ("https://localhost", "--ca-file", "/nowhere.pem"),
        ("https://localhost", "--key", "@/nowhere"),
        ("https://localhost", "--echo", "nowhere"),
        ("https://localhost", "--path", "/"),
        ("https://localhost", "--path", "/a b"),
        ("https://localhost", "--public", "public"),
    ],
    ids=" ".join,
)
def test_a_doctor_who_is_called_wrongly_attacks_nobody(run, words):
    ran = run("gateway", "doctor", "--path", "/invoices", *words)
    assert (ran.code, ran.out) == (2, "")


def test_where_nobody_answers_nothing_is_proved(run):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    ran = run("gateway", "doctor", f"http://127.0.0.1:{port}", "--path", "/invoices")
    assert ran.code == 1
    assert "nobody answers" in ran.err


def test_the_place_of_a_service_that_still_runs_cannot_be_taken(run, tmp_path: Path):
    with socket.create_server(("127.0.0.1", 0)) as server:
        echo = f"127.0.0.1:{server.getsockname()[1]}"
        ran = run("gateway", "doctor", "http://127.0.0.1:1", "--path", "/invoices", "--echo", echo)
    assert ran.code == 1
    assert "stop the service first" in ran.err
