"""TLS by handshake, not by configuration: versions, ciphers, and certificates replaced live."""

import asyncio
import contextlib
import shutil
import ssl

import pytest

from doorward.data_directory import DataDirectory
from doorward.settings import load
from doorward.web import tls


@pytest.fixture
def made(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = load({"data_dir": tmp_path / "data"})
    data = DataDirectory.open(settings)
    return data, data.certificate(settings)


def client_context(data):
    return ssl.create_default_context(cafile=data.ca_file)


def handshake(server_context, context, name="localhost"):
    """Both ends in memory."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(to_client, to_server, server_hostname=name)
    server = server_context.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(4):
        for end in (client, server):
            with contextlib.suppress(ssl.SSLWantReadError):
                end.do_handshake()
    return client


def test_the_local_certificate_is_trusted_by_strict_clients(made):
    data, path = made
    context = client_context(data)
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    for name in ("localhost", "127.0.0.1", "::1"):
        assert handshake(tls.server_context(path), context, name).version() == "TLSv1.3"


def test_every_cipher_is_aead(made):
    _, path = made
    assert all(cipher["aead"] for cipher in tls.server_context(path).get_ciphers())


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_old_versions_and_other_ciphers_are_refused(made):
    data, path = made
    server = tls.server_context(path)
    for version, ciphers, agreed in (
        (ssl.TLSVersion.TLSv1_1, "ALL:@SECLEVEL=0", False),
        (ssl.TLSVersion.TLSv1_2, "ECDHE+AES:!AESGCM:!AESCCM", False),
        (ssl.TLSVersion.TLSv1_2, "ECDHE+AESGCM", True),
    ):
        context = client_context(data)
        context.set_ciphers(ciphers)
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = version
        if agreed:
            assert handshake(server, context).version() == "TLSv1.2"
        else:
            with pytest.raises(ssl.SSLError):
                handshake(server, context)


def test_a_bad_pair_leaves_the_old_one_in_place(made, tmp_path):
    data, path = made
    live = tmp_path / "live.pem"
    shutil.copy(path, live)
    context = tls.server_context(live)
    before = handshake(context, client_context(data)).getpeercert(True)
    live.write_text("not a certificate")
    assert tls.reload(context, live) is False
    assert handshake(context, client_context(data)).getpeercert(True) == before


def test_a_changed_certificate_is_taken_up(made, tmp_path, monkeypatch):
    data, path = made
    live = tmp_path / "live.pem"
    shutil.copy(path, live)
    context = tls.server_context(live)
    before = handshake(context, client_context(data)).getpeercert(True)
    path.unlink()
    renewed = data.certificate(load({"data_dir": data.path}))
    monkeypatch.setattr(tls, "POLL_INTERVAL", 0.01)

    async def until_changed():
        task = asyncio.create_task(tls.watch(context, live))
        await asyncio.sleep(0.05)
        shutil.copy(renewed, live)
        async with asyncio.timeout(5):
            while handshake(context, client_context(data)).getpeercert(True) == before:
                await asyncio.sleep(0.02)
        task.cancel()

    asyncio.run(until_changed())
