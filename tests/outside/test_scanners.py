"""Scanners and hooks of others, unmodified: betterleaks with the rules that we write, and our hook run by pre-commit.

gitleaks and trufflehog come in no package that tests could install: `tests/cli/test_leak_rules.py` tries their rules
with the engine that they have.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.cli.test_leak_rules import KINDS, PLACES
from tests.deployment import Doorward, command, served
from tests.protocol.given import a_secret

SCANNER, PRE_COMMIT = (Path(sys.executable).with_name(name) for name in ("betterleaks", "pre-commit"))
HOOKS = Path(__file__).parents[2] / ".pre-commit-hooks.yaml"


@pytest.fixture(scope="module")
def doorward(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Doorward]:
    with served(tmp_path_factory.mktemp("scanned")) as running:
        yield running


def rules(directory: Path, issuer: str) -> Path:
    file = directory / "rules.toml"
    argv = command("leaks", "rules", "--format", "betterleaks", "--issuer", issuer)
    file.write_bytes(subprocess.run(argv, capture_output=True, check=True).stdout)
    return file


def scanned(directory: Path, config: Path, *flags: str, **variables: str) -> list[dict[str, Any]]:
    out = directory / "found.json"
    argv = [SCANNER, directory / "tree", "-c", config, "-o", out, "--no-banner", "--silent", *flags]
    done = subprocess.run(
        argv, env={**os.environ, **variables}, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 1, done.stderr
    return list(json.loads(out.read_text())["findings"])


def planted(directory: Path, lines: list[str]) -> None:
    (directory / "tree").mkdir()
    (directory / "tree" / "planted.txt").write_text("\n".join(lines) + "\n", newline="\n")


def test_it_finds_every_kind_in_every_place(tmp_path: Path) -> None:
    secrets = {(kind, place): a_secret(kind, seed=place) for kind in KINDS for place in PLACES}
    planted(tmp_path, [place.format(secret) for (_, place), secret in secrets.items()])
    found = scanned(tmp_path, rules(tmp_path, "https://auth.example.com"))
    assert sorted(one["match"]["value"] for one in found) == sorted(secrets.values())
    assert {one["rule_id"].partition("-")[0] for one in found} == {"doorward"}


@pytest.mark.slow
def test_it_learns_from_us_which_are_alive_and_what_it_asked_about_has_been_reported(
    doorward: Doorward, tmp_path: Path
) -> None:
    live, dead = doorward.a_key(), doorward.a_key()
    doorward.v1("POST", f"/keys/{dead['id']}/revoke")
    planted(tmp_path, [f"one: {live['key']}", f"two: {dead['key']}"])
    found = scanned(
        tmp_path, rules(tmp_path, doorward.issuer), "--validate",
        "--provider-env-vars", "DOORWARD_LEAK_TOKEN",
        DOORWARD_LEAK_TOKEN=doorward.an_admin_key("leaks:verify"), SSL_CERT_FILE=str(doorward.directory / "ca.pem"),
    )  # fmt: skip
    told = {one["match"]["value"]: one["analysis"]["status"] for one in found}
    assert told == {live["key"]: "valid", dead["key"]: "revoked"}, [one["analysis"] for one in found]
    assert doorward.v1("POST", "/keys/verify", {"key": live["key"]}).json()["reason"] == "credential_revoked"


def git(folder: Path, *words: str) -> str:
    argv = ["git", "-C", str(folder), "-c", "user.name=A", "-c", "user.email=a@example.com", *words]
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.strip()


def committing(folder: Path, home: Path) -> tuple[int, str]:
    """As pre-commit runs before a commit; the command itself is found on the path."""
    git(folder, "add", "-A")
    path = f"{PRE_COMMIT.parent}{os.pathsep}{os.environ['PATH']}"
    variables = {**os.environ, "PATH": path, "PRE_COMMIT_HOME": str(home)}
    done = subprocess.run([PRE_COMMIT, "run"], cwd=folder, env=variables, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def test_pre_commit_lets_no_secret_be_committed_but_those_that_are_meant_to_be_there(tmp_path: Path) -> None:
    hooks, user, home = (tmp_path / name for name in ("hooks", "user", "home"))
    for folder in (hooks, user):
        folder.mkdir()
        git(folder, "init", "-q")
    (hooks / HOOKS.name).write_bytes(HOOKS.read_bytes())
    git(hooks, "add", "-A")
    git(hooks, "commit", "-qm", "Offer a hook")
    chosen = (
        f"repos:\n  - repo: {hooks}\n    rev: {git(hooks, 'rev-parse', 'HEAD')}\n    hooks: [{{id: doorward-leaks}}]\n"
    )
    (user / ".pre-commit-config.yaml").write_text(chosen)
    secret = a_secret()
    (user / "a b.env").write_text(f"KEY={secret}\n")
    code, said = committing(user, home)
    assert (code, f"a b.env:1  api key {secret[:20]}..." in said) == (1, True), said
    assert secret not in said
    (user / ".doorwardignore").write_text(f"{secret[:20]}\n")
    assert committing(user, home)[0] == 0
    (user / ".doorwardignore").write_text("*.env\n")
    assert committing(user, home)[0] == 0
