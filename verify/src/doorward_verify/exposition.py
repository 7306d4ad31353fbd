"""What a verifier counted, as Prometheus and OpenMetrics scrapers read it (text format 0.0.4).

doorward_verifier_feed_age_seconds{audience="https://api.example.com"} 0.412
doorward_verifier_verifications_total{audience="https://api.example.com",credential="jwt",result="good"} 1042
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
STATES = ("connecting", "synced", "stale", "none")
PREFIX = "doorward_verifier_"


def text(audience: str, metrics: Mapping[str, Any]) -> str:
    """`metrics` is what `Verifier.metrics` answers; a feed that was never heard has an infinite age."""
    return "".join(f"{line}\n" for line in _lines(audience, metrics))


def _lines(audience: str, metrics: Mapping[str, Any]) -> Iterator[str]:
    of = {"audience": audience}
    yield from _family("feed_state", "gauge", "What the revocation feed is like.")
    for state in STATES:
        yield _sample("feed_state", {**of, "state": state}, int(metrics["feed_state"] == state))
    yield from _family("feed_age_seconds", "gauge", "Since the feed was last heard.")
    age = metrics["feed_age_seconds"]
    yield _sample("feed_age_seconds", of, math.inf if age is None else age)
    yield from _family("revocation_entries", "gauge", "Entries of the revocation log that are held.")
    yield _sample("revocation_entries", of, metrics["entries"])
    yield from _family("verifications_total", "counter", "Checked credentials.")
    for (credential, result), number in sorted(metrics["verifications_total"].items()):
        yield _sample("verifications_total", {**of, "credential": credential, "result": result}, number)


def _family(name: str, kind: str, says: str) -> Iterator[str]:
    yield f"# HELP {PREFIX}{name} {says}"
    yield f"# TYPE {PREFIX}{name} {kind}"


def _sample(name: str, labels: Mapping[str, str], value: float) -> str:
    told = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels.items())
    return f"{PREFIX}{name}{{{told}}} {'+Inf' if value == math.inf else value}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
