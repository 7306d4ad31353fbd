"""PostgreSQL's own programs: found, new enough, and told the password where nobody else sees it."""

from __future__ import annotations

import json
import stat
import sys
from pathlib import Path

import pytest

from doorward.store import postgresql_tools
from doorward.store.postgresql_tools import ToolFailed

URL = "postgresql+psycopg://doorward:canary@db.example/doorward?sslmode=verify-full"


@pytest.fixture
def programs(tmp_path, monkeypatch) -> Path:
    """The only directory of the PATH."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    return tmp_path / "bin"


def a_program(directory: Path, version: str, code: int = 0, complains: str = "") -> None:
    """It writes down what it is given."""
    file = directory / "pg_dump"
    file.write_text(
        f"#!{sys.executable}\nimport json, os, pathlib, sys\n"
        f"if '--version' in sys.argv:\n    print('pg_dump (PostgreSQL) {version}')\n    sys.exit()\n"
        f"given = {{'argv': sys.argv, 'env': dict(os.environ)}}\n"
        f"pathlib.Path({str(directory)!r}, 'given').write_text(json.dumps(given))\n"
        f"print({complains!r}, file=sys.stderr)\nsys.exit({code})\n"
    )
    file.chmod(file.stat().st_mode | stat.S_IXUSR)


def test_a_program_that_is_not_there_is_named(programs):
    with pytest.raises(ToolFailed, match="pg_dump is not on the PATH"):
        postgresql_tools.found("pg_dump", URL, 150014)


@pytest.mark.parametrize(("version", "good"), [("14.9", False), ("15.2", True), ("17.0 (Debian)", True), ("?", False)])
def test_a_program_older_than_the_server_is_refused(programs, version, good):
    a_program(programs, version)
    if good:
        postgresql_tools.found("pg_dump", URL, 150014)
    else:
        with pytest.raises(ToolFailed, match="older than the server, which is 15"):
            postgresql_tools.found("pg_dump", URL, 150014)


def test_the_password_is_in_the_environment_alone(programs, tmp_path):
    a_program(programs, "15.2")
    tool = postgresql_tools.found("pg_dump", URL, 150014)
    postgresql_tools.dump(tool, "0001-1", tmp_path / "to", lambda done, total: None)
    given = json.loads((programs / "given").read_text())
    assert not [word for word in given["argv"] if "canary" in word]
    assert given["env"]["PGPASSWORD"] == "canary"
    assert "--snapshot=0001-1" in given["argv"]
    (dbname,) = (word for word in given["argv"] if word.startswith("--dbname="))
    assert {"host=db.example", "user=doorward", "sslmode=verify-full"} <= set(dbname.removeprefix("--dbname=").split())


def test_what_only_its_arguments_could_tell_it_is_not_told(programs):
    a_program(programs, "15.2")
    with pytest.raises(ToolFailed, match="sslpassword"):
        postgresql_tools.found("pg_dump", f"{URL}&sslpassword=canary", 150014)


def test_a_program_that_fails_is_quoted_by_its_first_line(programs, tmp_path):
    a_program(programs, "15.2", code=1, complains="pg_dump: error: no space\nmore")
    tool = postgresql_tools.found("pg_dump", URL, 150014)
    with pytest.raises(ToolFailed, match=r"^pg_dump failed: pg_dump: error: no space$"):
        postgresql_tools.dump(tool, "0001-1", tmp_path / "to", lambda done, total: None)
