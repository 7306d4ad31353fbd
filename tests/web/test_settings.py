"""Settings: the order of their sources, and every refusal with its three ways out."""

import base64
import re
import secrets
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from doorward.local_ca import new_authority
from doorward.refusals import check
from doorward.settings import Settings, StartRefused, load


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


BROKEN = "-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n"


@pytest.mark.parametrize("text", [None, "", "no certificate\n", BROKEN])
def test_authorities_of_others_that_cannot_be_read_are_refused(tmp_path, text):
    file = tmp_path / "others.pem"
    if text is not None:
        file.write_text(text)
    assert "certificates to trust" in sentences(outbound_ca_file=file)


def test_authorities_of_others_are_certificates(tmp_path):
    file = tmp_path / "others.pem"
    file.write_bytes(new_authority((), datetime.now(UTC))[0])
    assert sentences(outbound_ca_file=file) == ""


@pytest.mark.parametrize(
    ("networks", "refused"),
    [
        (("10.20.0.0/16",), False),
        (("127.0.0.0/8", "::1/128"), False),
        (("0.0.0.0/0",), True),
        (("10.0.0.0/8", "::/0"), True),
    ],
)
def test_inner_networks_are_named_and_not_all_of_them(networks, refused):
    assert ("names every address" in sentences(outbound_networks=networks)) is refused


def test_inner_networks_come_from_the_environment_too(monkeypatch):
    monkeypatch.setenv("DOORWARD__OUTBOUND_NETWORKS", "10.20.0.0/16, fd00:1::/32")
    assert load().outbound_networks == ("10.20.0.0/16", "fd00:1::/32")
    monkeypatch.setenv("DOORWARD__OUTBOUND_NETWORKS", "clients.example")
    with pytest.raises(StartRefused, match="outbound_networks"):
        load()


@pytest.mark.parametrize(
    ("url", "refused"),
    [
        ("smtps://user:p%40ss@mail.example.com", False),
        ("smtp://mail.example.com:587", False),
        ("smtp://localhost:25/", False),
        ("http://mail.example.com", True),
        ("mail.example.com:25", True),
        ("smtps://", True),
        ("smtps://mail.example.com/inbox", True),
        ("smtp://mail.example.com?starttls=no", True),
    ],
)
def test_a_mail_server_is_named_by_its_url(url, refused):
    assert ("not the address of a mail server" in sentences(smtp_url=url)) is refused


def test_whom_letters_trust_must_be_readable_certificates(tmp_path):
    url = "smtps://mail.example.com"
    assert "mail server" in sentences(smtp_url=url, smtp_ca_file=tmp_path / "none.pem")
    (tmp_path / "none.pem").write_text("no certificate")
    assert "mail server" in sentences(smtp_url=url, smtp_ca_file=tmp_path / "none.pem")


@pytest.mark.parametrize("sender", ["", "nobody", "a@b\r\nBcc: all@example.com", "A <a@example.com>"])
def test_a_sender_is_one_address(sender):
    with pytest.raises(StartRefused, match="smtp_from"):
        load({"smtp_from": sender})


def test_the_url_of_the_mail_server_is_never_shown():
    settings = load({"smtp_url": "smtps://user:canary@mail.example.com"})
    assert "canary" not in repr(settings)


def test_a_file_of_leaked_passwords_must_be_readable(tmp_path):
    assert "leaked passwords" in sentences(leaked_passwords=tmp_path / "none.txt")
    (tmp_path / "none.txt").write_text("password\n")
    assert sentences(leaked_passwords=tmp_path / "none.txt") == ""


@pytest.mark.parametrize(("name", "refused"), [("logo.svg", False), ("LOGO.PNG", False), ("logo.html", True)])
def test_a_logo_is_a_readable_image(tmp_path, name, refused):
    assert "logo" in sentences(logo=tmp_path / name), "it is not there"
    (tmp_path / name).write_text("x")
    assert bool(sentences(logo=tmp_path / name)) is refused


@pytest.mark.parametrize(
    "flags",
    [
        {"accent_color": "red"},
        {"display_name": ""},
        {"display_name": "x" * 51},
        {"session_lifetime": 10},
        {"session_idle_lifetime": 10**9},
    ],
)
def test_what_pages_and_sessions_cannot_have_is_refused_by_name(flags):
    with pytest.raises(StartRefused) as refused:
        load(flags)
    assert next(iter(flags)) in str(refused.value)


@pytest.mark.parametrize("page", ["pages.md", "signing-in.md"])
def test_the_pages_about_people_name_settings_that_there_are(page):
    text = (Path(__file__).parents[2] / "docs" / page).read_text("utf-8")
    blocks = "".join(re.findall(r"```toml\n(.*?)```", text, re.DOTALL))
    named = set(re.findall(r"^(\w+) = ", blocks, re.MULTILINE)) | set(re.findall(r"`(\w+_lifetime|\w+_file)`", text))
    assert named
    assert named <= Settings.model_fields.keys()


SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()


def test_a_webhook_is_an_address_and_a_secret_of_enough_bytes(tmp_path):
    (tmp_path / "hook").write_text(f"{SECRET} {SECRET}\n")
    assert sentences(webhook_url="https://ops.example/hook", webhook_secret=SECRET) == ""
    assert sentences(webhook_url="http://localhost:9/hook", webhook_secret_file=tmp_path / "hook") == ""
    for given in (
        {"webhook_url": "https://ops.example/hook"}, {"webhook_secret": SECRET},
        {"webhook_url": "https://ops.example/hook", "webhook_secret": "whsec_AAAA"},
    ):  # fmt: skip
        assert "webhook" in sentences(**given)


def test_a_webhook_beyond_loopback_is_called_by_https_alone():
    with pytest.raises(StartRefused, match="https"):
        load({"webhook_url": "http://ops.example/hook", "webhook_secret": SECRET})


@pytest.mark.parametrize(
    ("url", "refused"),
    [
        ("rediss://doorward:secret@valkey.example.com:6379", False),
        ("rediss://valkey.example.com/2", False),
        ("redis://127.0.0.1:6379", False),
        ("redis://[::1]:6379/0", False),
        ("unix:///run/valkey/valkey.sock", False),
        ("redis://valkey.example.com:6379", True),
        ("redis://:secret@10.0.0.7", True),
        ("rediss://valkey.example.com?ssl_cert_reqs=none", True),
        ("rediss://valkey.example.com:port", True),
        ("rediss://[::1", True),
        ("rediss://", True),
        ("redis://localhost/all", True),
        ("unix://valkey.sock", True),
        ("valkey.example.com:6379", True),
    ],
)
def test_counts_go_over_tls_or_stay_on_this_machine(url, refused):
    assert ("limits_url" in sentences(limits_url=url)) is refused


def test_whom_the_counts_trust_must_be_readable_certificates(tmp_path):
    (tmp_path / "none.pem").write_text("no certificate")
    for url in ("rediss://valkey.example.com", "redis://localhost", None):
        assert "rates are counted" in sentences(limits_url=url, limits_ca_file=tmp_path / "none.pem")


def test_the_url_of_the_counts_is_never_shown_and_may_stand_in_a_file(tmp_path):
    (tmp_path / "url").write_text("rediss://doorward:canary@valkey.example.com\n")
    settings = load({"limits_url_file": tmp_path / "url"})
    assert settings.secret("limits_url") == "rediss://doorward:canary@valkey.example.com"
    assert "canary" not in repr(load({"limits_url": settings.secret("limits_url")}))


@pytest.mark.parametrize("precision", [-0.01, 0.2, "much"])
def test_a_precision_is_a_tenth_at_most(precision):
    with pytest.raises(StartRefused, match="limit_precision"):
        load({"limit_precision": precision})
