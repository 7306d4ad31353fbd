"""`doorward gateway doctor` at every gateway (T177): no hole that was generated, and every one that was planted."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.gateways import proxies
from tests.gateways.conftest import Site, Standing
from tests.gateways.doctoring import examined, holes

BROKEN = sorted((Path(__file__).parent / "broken").glob("*.toml"))


def test_a_generated_configuration_has_no_hole(gateway: Standing, tmp_path: Path) -> None:
    code, found = examined(gateway.site, gateway.plan, tmp_path)
    assert holes(found) == {}
    assert (code, found["holes"]) == (0, 0)
    assert {one["verdict"] for one in found["cases"]} == {"ok"}
    assert len(found["cases"]) > 200


def test_there_are_ten_broken_configurations_or_more() -> None:
    assert len(BROKEN) >= 10


@pytest.mark.parametrize("file", BROKEN, ids=lambda file: file.stem)
def test_a_planted_hole_is_found(site: Site, tmp_path: Path, file: Path) -> None:
    planted = tomllib.loads(file.read_text())
    plan = site.plan(tmp_path / "gateway")
    edits = [_edit(edit, planted["gateway"], plan) for edit in planted["edits"]]
    with proxies.standing(planted["gateway"], plan, *edits):
        code, found = examined(site, plan, tmp_path)
    assert planted["hole"] in holes(found)
    assert code == 1
    assert all(one["fix"] for one in found["cases"] if one["verdict"] == "hole")


def _edit(edit: dict[str, str], gateway: str, plan: proxies.Plan) -> Callable[[str, str], str]:
    """What is not there any more cannot be broken: then the broken configuration is mended, not skipped."""
    name = edit.get("file", proxies.FILES[gateway])
    values = {"directory": plan.directory, "upstream": plan.upstream, "check": plan.check}

    def edited(file: str, text: str) -> str:
        if file != name:
            return text
        assert text.count(edit["find"]) == 1, edit["find"]
        replacement = edit["replace"]
        for key, value in values.items():
            replacement = replacement.replace(f"{{{key}}}", str(value))
        return text.replace(edit["find"], replacement)

    return edited
