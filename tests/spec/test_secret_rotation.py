"""The master key and the pepper rotate beside running servers: nothing is refused, nothing that was good ends."""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.deployment import Doorward, command, deployed, free_port, served

from doorward import settings as all_settings
from doorward.data_directory import DataDirectory
from doorward.held_secrets import HeldSecrets
from doorward.settings import StartRefused
from doorward.web import rotation
from doorward.web.opening import open_store

DEADLINE = 30.0


def until(true: Callable[[], bool]) -> None:
    deadline, pause = time.monotonic() + DEADLINE, threading.Event()
    while not true():
        assert time.monotonic() < deadline, "it did not happen in time"
        pause.wait(0.02)


def typed(directory: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("DOORWARD")}
    argv = command("--data-dir", directory / "data", *words)
    return subprocess.run(
        argv, capture_output=True, text=True, check=False, timeout=60, env={**kept, **environment}, cwd=directory
    )


def held(directory: Path) -> HeldSecrets:
    settings = all_settings.load({"data_dir": directory / "data"})
    return DataDirectory(directory / "data", None, False).secrets(settings)


def pepper_of(doorward: Doorward, key: str) -> int:
    ((found,),) = doorward.sql("SELECT pepper_version FROM secrets WHERE id = :id", id=key[8:20])
    return int(found)


def works(doorward: Doorward, client: dict[str, Any], key: str, token: str) -> bool:
    new = doorward.token(client)
    found = [doorward.introspect(client, text)["active"] for text in (token, new)]
    return all(found) and doorward.v1("POST", "/keys/verify", {"key": key}).json()["active"]


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
def test_no_request_is_refused_while_they_rotate(tmp_path: Path, request: Any, engine: str) -> None:
    flags: list[str] = []
    if engine == "postgresql":
        flags = ["--database", request.getfixturevalue("postgresql").create()]
    with served(tmp_path, "--workers", 2, *flags) as doorward:
        client, key = doorward.a_client(), doorward.a_key()["key"]
        verifier = doorward.a_verifier(api=client["apis"][0]["api"])
        token, done, counted = doorward.token(client), threading.Event(), []
        api, account = client["apis"][0]["api"], doorward.an_account()["id"]

        def load(number: int) -> None:
            after = 0
            while after < 20:
                after += done.is_set()
                assert works(doorward, client, key, token)
                # What is made under the new pepper is looked for at whichever worker comes.
                made = doorward.a_key(api=api, account=account)["key"]
                assert doorward.introspect(verifier, made)["active"] is True
                page = doorward.v1("GET", "/keys?limit=1").json()["next_cursor"]
                assert doorward.v1("GET", f"/keys?limit=1&cursor={page}").status_code == 200
                counted.append(number)

        def rotate() -> None:
            until(lambda: len(counted) > 10)
            for version in (2, 3):
                ran = typed(tmp_path, "config", "rotate-master-key", "--json")
                assert ran.returncode == 0, ran.stderr
                assert json.loads(ran.stdout)["master_key_version"] == version
                seen = len(counted)
                until(lambda seen=seen: len(counted) > seen + 10)  # type: ignore[misc]
            done.set()

        doorward.at_once(4, lambda number: load(number) if number else rotate())


def test_what_was_made_before_is_good_after_and_after_a_restart(tmp_path: Path) -> None:
    port = free_port()
    with served(tmp_path, port=port) as doorward:
        admin_key = doorward.admin_key
        client, key, token = doorward.a_client(), doorward.a_key()["key"], ""
        token = doorward.token(client)
        headers = {"idempotency_key": "once"}
        account = {"id": "kept", "name": "Kept"}
        first = doorward.v1("POST", "/accounts", account, **headers)
        refused = doorward.post("token", client, grant_type="unknown").json()["request_id"]
        certificate = (tmp_path / "data" / "server.pem").read_bytes()
        assert typed(tmp_path, "config", "rotate-master-key").returncode == 0
        until(lambda: pepper_of(doorward, doorward.a_key()["key"]) == 2)
        assert pepper_of(doorward, key) == 1
        assert works(doorward, client, key, token)
        assert doorward.v1("POST", "/accounts", account, **headers).content == first.content
        assert doorward.v1("GET", f"/requests/{refused}").json()["reason"] == "grant_type_unknown"
    with served(tmp_path, port=port) as doorward:
        doorward.admin_key = admin_key
        assert works(doorward, client, key, token)
        assert doorward.v1("POST", "/accounts", account, **headers).content == first.content
        assert doorward.v1("GET", f"/requests/{refused}").json()["origin"] == "server"
        assert (tmp_path / "data" / "server.pem").read_bytes() == certificate
    (tmp_path / "data" / "server.pem").unlink()
    with served(tmp_path, port=port) as doorward:
        assert doorward.http.get("/healthz").status_code == 200
    events = typed(tmp_path, "audit", "list", "--json").stdout
    assert "SecretsRotated" in events
    assert "SigningKeyResealed" in events


class Cut(Exception):  # noqa: N818  no error of ours
    """The power went."""


def cut(*_: object) -> None:
    raise Cut


STEPS: dict[str, tuple[str, str]] = {
    "before anything": ("keep", "before"),
    "when the master key was written and the pepper was not": ("write_private", "second"),
    "before the local CA's key": ("reseal", "before"),
    "before the commit": ("_commit", "before"),
    "after the commit": ("_commit", "after"),
}


@pytest.mark.parametrize("step", STEPS)
def test_a_rotation_that_is_cut_off_leaves_a_directory_that_opens_and_the_next_one_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    with deployed(tmp_path) as doorward:
        admin_key, client, key = doorward.admin_key, doorward.a_client(), doorward.a_key()["key"]
        token = doorward.token(client)
    settings = all_settings.load({"data_dir": tmp_path / "data"})
    name, when = STEPS[step]
    where: Any = rotation if name == "_commit" else DataDirectory
    with monkeypatch.context() as patch:
        if when == "after":
            patch.setattr(rotation, "_older_peppers", cut)
        elif when == "second":
            _cut_at_the_second_file(patch)
        else:
            patch.setattr(where, name, cut)
        with pytest.raises(Cut):
            rotation.rotate(settings, DataDirectory.open(settings))
    for _ in range(2):
        with deployed(tmp_path, set_up=False) as doorward:
            doorward.admin_key = admin_key
            assert works(doorward, client, key, token)
        before = open_store(settings, DataDirectory.open(settings)).current
        rotation.rotate(settings, DataDirectory.open(settings))
        after = open_store(settings, DataDirectory.open(settings)).current
        assert (after.master_key, after.pepper) == (before.master_key + 1, before.pepper + 1)


def _cut_at_the_second_file(patch: pytest.MonkeyPatch) -> None:
    from doorward import data_directory

    write, written = data_directory.write_private, []

    def once(path: Path, content: bytes) -> None:
        if written:
            raise Cut
        written.append(path)
        write(path, content)

    patch.setattr(data_directory, "write_private", once)


@pytest.mark.sqlite
def test_the_old_ones_are_forgotten_when_nothing_needs_them(tmp_path: Path) -> None:
    with deployed(tmp_path) as doorward:
        admin_key, client, key = doorward.admin_key, doorward.a_client(), doorward.a_key()["key"]
        token = doorward.token(client)
        doorward.v1("POST", "/accounts", {"id": "kept", "name": "Kept"}, idempotency_key="once")
    assert typed(tmp_path, "config", "rotate-master-key").returncode == 0
    ran = typed(tmp_path, "config", "rotate-master-key", "--drop-old")
    assert ran.returncode == 1
    assert "a kept reply still needs the old master key" in ran.stderr
    doorward.sql("UPDATE idempotency SET expires_at = 1")
    ran = typed(tmp_path, "config", "rotate-master-key", "--drop-old")
    assert ran.returncode == 0, ran.stderr
    assert "Pepper 1 still checks" in ran.stdout
    assert (set(held(tmp_path).master_keys), set(held(tmp_path).peppers)) == ({2}, {1, 2})
    with deployed(tmp_path, set_up=False) as doorward:
        doorward.admin_key = admin_key
        assert works(doorward, client, key, token)
    doorward.sql("DELETE FROM secrets WHERE pepper_version = 1")
    assert typed(tmp_path, "config", "rotate-master-key", "--drop-old").returncode == 0
    assert (set(held(tmp_path).master_keys), set(held(tmp_path).peppers)) == ({2}, {2})
    assert typed(tmp_path, "accounts", "list").returncode == 0
    assert typed(tmp_path, "config", "rotate-master-key").returncode == 0
    assert typed(tmp_path, "accounts", "list").returncode == 0


def test_secrets_that_are_kept_elsewhere_are_rotated_by_whoever_keeps_them(tmp_path: Path) -> None:
    assert typed(tmp_path, "accounts", "create", "acme", "--name", "Acme").returncode == 0
    elsewhere, following = tmp_path / "elsewhere", tmp_path / "next"
    elsewhere.mkdir()
    environment = {}
    for variable, name in (("MASTER_KEY", "master.key"), ("PEPPER", "pepper")):
        (tmp_path / "data" / name).rename(elsewhere / name)
        environment[f"DOORWARD__{variable}_FILE"] = str(elsewhere / name)
    ran = typed(tmp_path, "config", "rotate-master-key", **environment)
    assert ran.returncode == 1
    assert "--write-to DIR" in ran.stderr
    ran = typed(tmp_path, "config", "rotate-master-key", "--write-to", str(following), **environment)
    assert ran.returncode == 0, ran.stderr
    for name in ("master.key", "pepper"):
        assert (following / name).stat().st_mode & 0o777 == 0o600
        assert set(json.loads((following / name).read_text())) == {"1", "2"}
        assert (following / name).read_text() not in ran.stdout + ran.stderr
        (following / name).replace(elsewhere / name)
    assert typed(tmp_path, "accounts", "list", **environment).returncode == 0
    ran = typed(tmp_path, "config", "rotate-master-key", "--json", **environment)
    assert json.loads(ran.stdout)["master_key_version"] == 2
    assert typed(tmp_path, "accounts", "list", **environment).returncode == 0


def test_a_node_without_the_new_ones_does_not_start(tmp_path: Path) -> None:
    assert typed(tmp_path, "accounts", "create", "acme", "--name", "Acme").returncode == 0
    old = {name: (tmp_path / "data" / name).read_bytes() for name in ("master.key", "pepper")}
    assert typed(tmp_path, "config", "rotate-master-key").returncode == 0
    for name, content in old.items():
        (tmp_path / "data" / name).write_bytes(content)
    settings = all_settings.load({"data_dir": tmp_path / "data"})
    with pytest.raises(StartRefused, match="another master key or pepper"):
        open_store(settings, DataDirectory.open(settings))
