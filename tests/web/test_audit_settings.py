"""`[audit]` in doorward.toml: what the store is told of it, and what no server starts with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from doorward import refusals
from doorward.protocol.policy import DAY
from doorward.settings import Settings, StartRefused, load
from doorward.store.retention import Retention
from doorward.web.opening import kept


def settings(tmp_path: Path, **given: Any) -> Settings:
    return load({"data_dir": tmp_path / "data", "audit": given} if given else {"data_dir": tmp_path / "data"})


def test_the_audit_log_is_kept_for_400_days_and_its_records_of_tokens_for_one(tmp_path: Path) -> None:
    assert kept(settings(tmp_path)) == Retention(400 * DAY, DAY, None) == Retention()


def test_days_and_hours_are_read_from_the_file_and_nought_is_for_ever(tmp_path: Path) -> None:
    file = tmp_path / "doorward.toml"
    file.write_text('[audit]\nretention = 0\ntoken_records = 2\narchive = "a"\n')
    assert kept(load({"data_dir": tmp_path / "data"}, file)) == Retention(None, 2 * 3600, Path("a"))


def test_they_may_stand_in_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOORWARD__AUDIT__RETENTION", "30")
    assert kept(settings(tmp_path)).audit == 30 * DAY


@pytest.mark.parametrize("given", [{"retention": -1}, {"token_records": 0}, {"retention": "long"}, {"other": 1}])
def test_what_makes_no_sense_is_refused(tmp_path: Path, given: dict[str, Any]) -> None:
    with pytest.raises(StartRefused, match="audit"):
        settings(tmp_path, **given)


def test_an_archive_is_a_directory_that_is_there_or_can_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path, refused in ((tmp_path, False), (tmp_path / "a" / "b", False), (tmp_path / "file", True)):
        found = [one.sentence for one in refusals.check(settings(tmp_path, archive=path)) if "archived" in one.sentence]
        assert bool(found) is refused
    (found,) = (one for one in refusals.check(settings(tmp_path, archive=tmp_path / "file" / "in")) if one.ways_out)
    assert "archived" in found.sentence
