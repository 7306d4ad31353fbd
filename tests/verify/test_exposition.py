"""What a scraper reads of a verifier, by the reference parser of its format."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from prometheus_client.parser import text_string_to_metric_families as parsed

from doorward_verify import exposition
from doorward_verify.verifier import Verifier

METRICS: Mapping[str, Any] = {
    "feed_state": "synced",
    "feed_age_seconds": 0.5,
    "entries": 7,
    "verifications_total": {("jwt", "good"): 1042, ("api_key", "credential_revoked"): 2},
}
API = 'https://api.example.com/"quoted"\\n'


def samples(text: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    found = [sample for family in parsed(text) for sample in family.samples]
    assert all(sample.labels.pop("audience") == API for sample in found)
    return {(one.name, frozenset(one.labels.items())): one.value for one in found}


def test_every_figure_is_there_under_its_name_and_labels() -> None:
    def counted(credential: str, result: str) -> tuple[str, frozenset[tuple[str, str]]]:
        return "doorward_verifier_verifications_total", frozenset({("credential", credential), ("result", result)})

    found = samples(exposition.text(API, METRICS))
    assert found["doorward_verifier_feed_age_seconds", frozenset()] == 0.5
    assert found["doorward_verifier_revocation_entries", frozenset()] == 7
    assert found[counted("jwt", "good")] == 1042
    assert found[counted("api_key", "credential_revoked")] == 2


def test_the_feed_is_in_one_state() -> None:
    for state in exposition.STATES:
        found = samples(exposition.text(API, {**METRICS, "feed_state": state}))
        states = {labels: value for (name, labels), value in found.items() if name == "doorward_verifier_feed_state"}
        assert {dict(labels)["state"] for labels in states} == set(exposition.STATES)
        assert [dict(labels)["state"] for labels, value in states.items() if value] == [state]


def test_a_feed_that_was_never_heard_is_infinitely_old() -> None:
    found = samples(exposition.text(API, {**METRICS, "feed_age_seconds": None}))
    assert found["doorward_verifier_feed_age_seconds", frozenset()] == math.inf


def test_a_verifier_tells_its_own() -> None:
    verifier = Verifier("https://auth.example.com", audience="https://api.example.com", revocation="off")
    names = {sample.name for family in parsed(verifier.exposition()) for sample in family.samples}
    assert names == {f"doorward_verifier_{name}" for name in ("feed_state", "feed_age_seconds", "revocation_entries")}
