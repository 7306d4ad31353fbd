"""Settings: the order of their sources, and every refusal with its three ways out."""

import base64
import secrets
import shutil
import subprocess

import pytest

from doorward.refusals import check
from doorward.settings import StartRefused, load


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("PGHOST", "PGHOSTADDR"):
        monkeypatch.delenv(name, raising=False)


def sentences(**flags):
    refusals = check(load(flags))
    assert all(len(refusal.ways_out) == 3 and all(refusal.ways_out) for refusal in refusals)
    return " ".join(refusal.sentence for refusal in refusals)


def test_the_defaults_are_safe_and_name_themselves(tmp_path):
    settings = load()
    assert check(settings) == []
    assert (settings.host, settings.port, settings.issuer) == ("localhost", 8443, "https://localhost:8443")
    assert settings.database == f"sqlite:///{tmp_path}/doorward-data/doorward.db"
    assert settings.names() == ("localhost", "127.0.0.1", "::1")


def test_flags_win_over_the_environment_and_that_over_the_file(tmp_path, monkeypatch):
    (tmp_path / "doorward.toml").write_text('port = 1001\nbrand = "filed"\nworkers = 3\n')
    monkeypatch.setenv("DOORWARD__PORT", "1002")
    monkeypatch.setenv("DOORWARD__BRAND", "environ")
    settings = load({"port": 1003, "host": None, "host_names": ()})
    assert (settings.port, settings.brand, settings.workers) == (1003, "environ", 3)


def test_lists_in_the_environment_are_comma_separated(monkeypatch):
    monkeypatch.setenv("DOORWARD__BEHIND_PROXY", "10.0.0.0/8, ::1/128")
    assert load().behind_proxy == ("10.0.0.0/8", "::1/128")


def test_a_secret_may_come_from_a_file(tmp_path, monkeypatch):
    (tmp_path / "url").write_text("postgresql:///doorward?host=/run/postgresql\n")
    (tmp_path / "key").write_text("abc\n")
    monkeypatch.setenv("DOORWARD__DATABASE_FILE", str(tmp_path / "url"))
    monkeypatch.setenv("DOORWARD__MASTER_KEY_FILE", str(tmp_path / "key"))
    settings = load()
    assert settings.database == "postgresql:///doorward?host=/run/postgresql"
    assert settings.secret("master_key") == "abc"


@pytest.mark.parametrize(
    "flags",
    [
        {"port": 0},
        {"brand": "Live"},
        {"issuer": "localhost"},
        {"issuer": "https://a?x=1"},
        {"behind_proxy": ("proxy",)},
        {"behind_proxy": ("10.1.2.3/8",)},
        {"host_names": ("a b",)},
        {"nonsense": 1},
    ],
)
def test_an_unusable_value_is_refused_by_name(flags):
    with pytest.raises(StartRefused) as refused:
        load(flags)
    assert next(iter(flags)) in str(refused.value)


def test_an_unknown_variable_is_refused(monkeypatch):
    monkeypatch.setenv("DOORWARD__PROT", "1")
    with pytest.raises(StartRefused, match="prot"):
        load()


def test_a_malformed_file_is_refused(tmp_path):
    (tmp_path / "doorward.toml").write_text("port 1")
    with pytest.raises(StartRefused, match="not TOML"):
        load()
    with pytest.raises(StartRefused, match="cannot be read"):
        load({}, tmp_path / "other.toml")


def test_plaintext_beyond_loopback_is_refused():
    assert "in the clear" in sentences(no_tls=True, host="0.0.0.0")
    assert "in the clear" in sentences(no_tls=True, host="::")
    assert sentences(no_tls=True, host="127.0.0.2") == sentences(no_tls=True) == ""
    assert load({"no_tls": True}).issuer == "http://localhost:8443"


def test_behind_a_proxy_an_issuer_is_wanted():
    assert "behind a proxy" in sentences(behind_proxy=("10.0.0.0/8",))
    assert sentences(behind_proxy=("10.0.0.0/8",), issuer="https://auth.example.com/") == ""


def test_an_http_issuer_beyond_loopback_is_refused():
    assert "http issuer" in sentences(issuer="http://auth.example.com")


def test_half_a_certificate_is_refused(tmp_path):
    (tmp_path / "c.pem").write_text("x")
    assert "--tls-key" in sentences(tls_cert=tmp_path / "c.pem")
    assert "--tls-key" in sentences(tls_cert=tmp_path / "c.pem", tls_key=tmp_path / "none.pem")


def test_an_exposed_data_directory_is_refused(tmp_path):
    directory = tmp_path / "data"
    directory.mkdir()
    for mode, refused in ((0o755, True), (0o740, True), (0o701, True), (0o700, False)):
        directory.chmod(mode)
        assert bool(sentences(data_dir=directory)) is refused


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_a_tracked_data_directory_is_refused(tmp_path):
    directory = tmp_path / "data"
    directory.mkdir(mode=0o700)
    (directory / "pepper").write_text("x")
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    assert sentences(data_dir=directory) == ""
    subprocess.run(["git", "-C", tmp_path, "add", "-f", "data"], check=True)
    assert "tracked by git" in sentences(data_dir=directory)


@pytest.mark.parametrize(
    ("url", "refused"),
    [
        ("postgresql://db.example.com/d", True),
        ("postgresql://db.example.com/d?sslmode=require", True),
        ("postgresql://db.example.com/d?sslmode=verify-full", False),
        ("postgresql+psycopg://u:p@localhost:5432/d", False),
        ("postgresql://[::1]/d", False),
        ("postgresql:///d?host=/run/postgresql", False),
        ("postgresql:///d", False),
        ("postgresql:///d?host=127.0.0.1,db.example.com", True),
        ("postgresql://localhost/d?hostaddr=192.0.2.1", True),
        ("postgresql:///d?service=far", True),
        ("mysql://localhost/d", True),
    ],
)
def test_a_remote_database_must_prove_its_identity(url, refused):
    assert bool(sentences(database=url)) is refused


def test_the_environment_of_libpq_counts(monkeypatch):
    monkeypatch.setenv("PGHOST", "db.example.com")
    assert "identity is verified" in sentences(database="postgresql:///d")


@pytest.mark.parametrize("value", ["changeme", "A" * 43, "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LTEyMzQ", "ä", "="])
def test_example_secrets_are_refused(value):
    assert "example" in sentences(master_key=value)
    assert "example" in sentences(pepper=value)


def test_random_secrets_are_accepted_and_never_shown():
    value = base64.urlsafe_b64encode(secrets.token_bytes(30) + b"\xff\x00").decode().rstrip("=")
    settings = load({"master_key": value, "pepper": f'{{"2": "{value}"}}'})
    assert check(settings) == []
    assert value not in repr(settings)
