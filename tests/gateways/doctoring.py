"""The doctor as an operator calls him, and what he found."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path
from typing import Any

from tests.gateways.conftest import Site
from tests.gateways.proxies import Plan

from doorward.cli.main import main


def examined(site: Site, plan: Plan, directory: Path, *words: str) -> tuple[int, Any]:
    """Exit code and JSON; he stands in for the service."""
    secrets = {"key": site.key, "ended": site.ended}
    for name, text in secrets.items():
        (directory / name).write_text(text)
    argv = [
        "gateway",
        "doctor",
        plan.url,
        "--path",
        "/invoices",
        "--key",
        f"@{directory}/key",
        "--ended-key",
        f"@{directory}/ended",
    ]
    argv += ["--denied", "POST /invoices", "--public", "/public", "--plaintext", plan.plaintext_url]
    argv += ["--ca-file", str(plan.authority), "--echo", f"127.0.0.1:{plan.upstream}", "--json", *words]
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        code = main(argv)
    return code, json.loads(out.getvalue())


def holes(found: Any) -> dict[str, str]:
    return {one["case"]: one["found"] for one in found["cases"] if one["verdict"] == "hole"}
