"""The data directory: made once, private, and never refilled beside a database."""

import json
import os
import stat
import threading
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509

from doorward import local_ca
from doorward.data_directory import DataDirectory, database_path, write_private
from doorward.settings import StartRefused, load


@pytest.fixture
def data_dir(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path / "deep" / "data"


def test_everything_in_it_is_private_whatever_the_umask(data_dir):
    former = os.umask(0)
    try:
        settings = load({"data_dir": data_dir})
        data = DataDirectory.open(settings)
        data.certificate(settings)
        data.write_setup_link("link")
    finally:
        os.umask(former)
    assert stat.S_IMODE(data_dir.stat().st_mode) == 0o700
    files = {file.name: stat.S_IMODE(file.stat().st_mode) for file in data_dir.iterdir()}
    assert set(files) == {
        ".gitignore",
        "master.key",
        "pepper",
        "ca.pem",
        "ca.key",
        "doorward.db",
        "server.pem",
        "setup-link",
    }
    assert set(files.values()) == {0o600}
    assert (data_dir / ".gitignore").read_text() == "*\n"


def test_it_opens_again_with_the_same_secrets(data_dir):
    settings = load({"data_dir": data_dir})
    first, second = DataDirectory.open(settings), DataDirectory.open(settings)
    assert (first.created, second.created) == (True, False)
    held = first.secrets(settings)
    assert held == second.secrets(settings)
    assert first.ca_file == data_dir / "ca.pem"
    assert (held.newest, len(held.master_keys[1]), len(held.peppers[1])) == ((1, 1, 1), 32, 32)
    assert repr(held.master_keys[1]) not in repr(held)


def test_starts_at_once_agree(data_dir):
    settings, found = load({"data_dir": data_dir}), []
    threads = [threading.Thread(target=lambda: found.append(DataDirectory.open(settings))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len({fingerprint for data in found for fingerprint in data.secrets(settings).fingerprints()}) == 1


@pytest.mark.parametrize("lost", ["master.key", "pepper"])
def test_a_database_without_its_secrets_is_refused(data_dir, lost):
    settings = load({"data_dir": data_dir})
    DataDirectory.open(settings)
    (data_dir / "doorward.db").write_bytes(b"rows")
    DataDirectory.open(settings)
    (data_dir / lost).unlink()
    with pytest.raises(StartRefused, match="it could read nothing"):
        DataDirectory.open(settings)
    assert not (data_dir / lost).exists()


def test_a_damaged_secret_is_refused(data_dir):
    settings = load({"data_dir": data_dir})
    DataDirectory.open(settings)
    write_private(data_dir / "pepper", b'{"1": "short"}')
    with pytest.raises(StartRefused):
        DataDirectory.open(settings)


def test_peppers_have_versions(data_dir):
    settings = load({"data_dir": data_dir})
    first = DataDirectory.open(settings)
    text = json.loads((data_dir / "pepper").read_text())["1"]
    write_private(data_dir / "pepper", json.dumps({"1": text, "3": text}).encode())
    second = DataDirectory.open(settings).secrets(settings)
    assert second.newest.pepper == 3
    assert second.peppers[1] == first.secrets(settings).peppers[1]


def test_the_authority_is_bound_to_its_names(data_dir):
    data = DataDirectory.open(load({"data_dir": data_dir, "host_names": ("auth.internal", "192.0.2.7")}))
    authority = x509.load_pem_x509_certificate(data.ca_file.read_bytes())
    constraints = authority.extensions.get_extension_for_class(x509.NameConstraints)
    assert constraints.critical
    permitted = {str(name.value) for name in constraints.value.permitted_subtrees}
    assert permitted == {"localhost", "127.0.0.0/8", "::1/128", "auth.internal", "192.0.2.7/32"}
    assert authority.extensions.get_extension_for_class(x509.BasicConstraints).value.path_length == 0
    assert b"PRIVATE" not in (data_dir / "ca.key").read_bytes()
    with pytest.raises(StartRefused, match="may not sign"):
        DataDirectory.open(load({"data_dir": data_dir, "host_names": ("other.example",)}))


def test_the_certificate_is_renewed_in_time_only(data_dir):
    settings = load({"data_dir": data_dir})
    data = DataDirectory.open(settings)
    path = data.certificate(settings)
    first = path.read_bytes()
    data.certificate(settings)
    assert path.read_bytes() == first
    authority, names, now = data.ca_file.read_bytes(), settings.names(), datetime.now(UTC)
    assert local_ca.still_good(first, authority, names, now + timedelta(days=59))
    assert not local_ca.still_good(first, authority, names, now + timedelta(days=61))
    assert not local_ca.still_good(b"damaged", authority, names, now)
    write_private(path, b"damaged")
    data.certificate(settings)
    assert local_ca.still_good(path.read_bytes(), authority, names, now)


def test_another_master_key_does_not_open_the_authority(data_dir):
    settings = load({"data_dir": data_dir})
    DataDirectory.open(settings)
    (data_dir / "master.key").write_text("3q2-7wABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhs\n")
    with pytest.raises(StartRefused, match="does not open"):
        DataDirectory.open(settings).certificate(settings)


def test_the_command_line_finds_what_serve_was_told(data_dir, monkeypatch):
    settings = load({"data_dir": data_dir, "port": 9443, "host_names": ("auth.internal",)})
    DataDirectory.open(settings).remember(settings)
    assert load({"data_dir": data_dir}).issuer == "https://localhost:8443"
    found = load({"data_dir": data_dir}, remembered=True)
    assert (found.issuer, found.host_names) == ("https://localhost:9443", ("auth.internal",))
    assert load({"data_dir": data_dir, "issuer": "https://a.example"}, remembered=True).issuer == "https://a.example"


def test_own_certificates_and_plaintext_need_no_authority(data_dir):
    assert DataDirectory.open(load({"data_dir": data_dir, "no_tls": True})).ca_file is None
    assert not (data_dir / "ca.pem").exists()


def test_database_paths():
    assert str(database_path("sqlite:////var/d/a%20b.db")) == "/var/d/a b.db"
    assert database_path("sqlite:///x.db").is_absolute()
    assert database_path("sqlite://") is None
    assert database_path("postgresql:///d") is None
