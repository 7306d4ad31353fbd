"""The page of the benchmarks beside peers, from figures of which the answer is known."""

from __future__ import annotations

from pathlib import Path

import pytest

BENCH = str(Path(__file__).parents[1] / "bench")


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch) -> str:
    """Doorward twice as fast as oidc-provider, and five times as fast as Authlib on SQLite."""
    monkeypatch.syspath_prepend(BENCH)
    from figures import Figure
    from peers import page
    from peers.measuring import Row

    def row(who: str, rate: float) -> Row:
        one = Figure(who, "", [1.0])
        return Row("issue a JWT, ES256", who, Figure(who, "/s", [rate] * 3), one, one, one, one, one, one, 50.0)

    rows = [row("Doorward", 5000.0), row("oidc-provider, in memory", 2500.0), row("Authlib on SQLite", 1000.0)]
    left_out = [("glewlwyd", "it is not installed")]
    return page.page(page.Results({"CPU": "of a test"}, {"oidc-provider": "9"}, rows, left_out=left_out))


def test_each_ratio_that_is_asked_says_whether_it_holds_or_by_how_much_it_falls_short(page: str) -> None:
    begins = "| issue a JWT, ES256: Doorward over"
    assert f"{begins} oidc-provider, in memory | 2 x, aim 3.5 x | 2.00 (2.00-2.00) x | 1.00 x | holds |" in page
    assert f"{begins} Authlib on SQLite | 10 x | 5.00 (5.00-5.00) x | 1.00 x | falls short by 50.0 % |" in page


def test_what_was_not_measured_is_not_judged_but_named(page: str) -> None:
    assert "HAProxy" not in page
    assert "| glewlwyd | it is not installed |" in page
