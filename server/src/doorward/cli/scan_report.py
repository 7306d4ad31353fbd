"""How findings are told: text for people, JSON, and SARIF 2.1.0 for platforms; never with the secret part."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from doorward.cli.output import printable

SARIF_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


@dataclass(frozen=True, slots=True)
class Finding:
    """`secret` is for the report to the server alone."""

    secret: str = field(repr=False)
    kind: str
    prefix: str
    place: str
    line: int
    offset: int
    commit: str = ""
    outcome: str = ""

    @property
    def location(self) -> str:
        line = f":{self.line}" if self.line else f" (byte {self.offset})"
        return f"{self.place}{line}" + (f" of commit {self.commit[:12]}" if self.commit else "")


def text(findings: Iterable[Finding]) -> list[str]:
    return [
        printable(f"{one.location}  {one.kind.replace('_', ' ')} {one.prefix}...")
        + (f"  {one.outcome}" if one.outcome else "")
        for one in findings
    ]


def as_json(findings: Sequence[Finding], scanned: Mapping[str, int]) -> dict[str, Any]:
    return {
        "findings": [
            {
                "kind": one.kind, "prefix": one.prefix, "place": one.place, "line": one.line or None,
                "offset": one.offset, "commit": one.commit or None, "outcome": one.outcome or None,
            }
            for one in findings
        ],
        "scanned": dict(scanned),
    }  # fmt: skip


def sarif(findings: Sequence[Finding], version: str) -> dict[str, Any]:
    """SARIF 2.1.0 §3: one rule for each kind, one result for each finding."""
    kinds = sorted({one.kind for one in findings})
    driver = {"name": "doorward", "version": version, "rules": [_rule(kind) for kind in kinds]}
    return {
        "$schema": SARIF_SCHEMA,
        "version": "2.1.0",
        "runs": [{"tool": {"driver": driver}, "results": [_result(one) for one in findings]}],
    }


def _rule(kind: str) -> dict[str, Any]:
    return {
        "id": f"doorward-{kind.replace('_', '-')}",
        "shortDescription": {"text": f"A Doorward {kind.replace('_', ' ')} in plain text."},
        "defaultConfiguration": {"level": "error"},
    }


def _result(one: Finding) -> dict[str, Any]:
    region = {"startLine": one.line} if one.line else {"byteOffset": one.offset, "byteLength": len(one.secret)}
    place = {"artifactLocation": {"uri": one.place}, "region": region}
    return {
        "ruleId": f"doorward-{one.kind.replace('_', '-')}",
        "level": "error",
        "message": {"text": f"{one.kind.replace('_', ' ')} {one.prefix}... is in plain text; revoke it."},
        "locations": [{"physicalLocation": place}],
        "partialFingerprints": {"doorwardSecret/v1": one.prefix},
    }
