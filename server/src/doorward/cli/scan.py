"""`doorward leaks scan`: looks through what it is given, and has what it finds revoked where that is asked."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from typing import IO, TYPE_CHECKING

from doorward.cli.admin_api import AdminApi, Object, run
from doorward.cli.failure import Failure
from doorward.cli.output import note
from doorward.cli.patience import patiently
from doorward.cli.scan_report import Finding
from doorward.cli.scan_sources import UNREADABLE, Skipped, Source
from doorward.cli.scan_text import CHUNK, Hit, scan
from doorward.cli.target import ADMIN_KEY, address

if TYPE_CHECKING:
    import typer

PROGRESS_INTERVAL = 0.2
REPORTS_AT_ONCE = 100
SLOW_DOWN, LONGEST_WAIT = 429, 60


@dataclass(slots=True)
class Counted:
    """Bytes as they pass; on a terminal they are shown while they do, and nowhere else."""

    size: int = 0
    sources: int = 0
    found: int = 0
    skipped: Skipped = field(default_factory=Skipped)
    _shown_at: float = 0.0

    def count(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            self.size += len(chunk)
            if sys.stderr.isatty() and time.monotonic() - self._shown_at > PROGRESS_INTERVAL:
                self._shown_at = time.monotonic()
                sys.stderr.write(f"\r{self.sources:,} files, {self.size / 1e6:,.0f} MB, {self.found} found \x1b[K")
            yield chunk

    def end(self) -> None:
        if self._shown_at:
            sys.stderr.write("\r\x1b[K")

    def numbers(self) -> dict[str, int]:
        return {"files": self.sources, "bytes": self.size, "skipped": len(self.skipped.told)}


def look_through(sources: Iterable[Source], brand: str | None, known: set[str], counted: Counted) -> list[Finding]:
    """Each secret once in each place; `known` are public beginnings that somebody wants to hear no more of."""
    findings: list[Finding] = []
    for source in sources:
        counted.sources += 1
        try:
            for hit in scan(counted.count(source.chunks), brand, count_lines=source.again is None):
                prefix = hit.secret[:-38]
                if prefix not in known:
                    findings.append(_finding(source, hit, prefix))
                    counted.found += 1
        except UNREADABLE as fault:
            counted.skipped.add(source.name, fault)
    counted.end()
    return findings


def _finding(source: Source, hit: Hit, prefix: str) -> Finding:
    line = hit.line
    if source.again is not None:
        with source.again() as opened:
            line = _line_at(opened, hit.offset)
    commit = source.detail().get("commit", "")
    return Finding(hit.secret, hit.kind, prefix, source.name, line, hit.offset, commit)


def _line_at(opened: IO[bytes], offset: int) -> int:
    line = 1
    while offset > 0 and (chunk := opened.read(min(CHUNK, offset))):
        line += chunk.count(b"\n")
        offset -= len(chunk)
    return line


def revoke(context: typer.Context, findings: list[Finding]) -> list[Finding]:
    """With an admin key or the data directory as reports; else each is burnt by whoever holds it, which is us."""
    url = burning_at(context)
    outcomes = _burn(url, findings) if url else run(context, lambda api: _report(api, findings))
    return [replace(one, outcome=outcome) for one, outcome in zip(findings, outcomes, strict=True)]


def burning_at(context: typer.Context) -> str | None:
    """The server, where one is named and no admin key is there to speak to it with."""
    import os

    flags = context.find_root().params
    url = flags.get("url") or os.environ.get("DOORWARD_URL")
    has_key = os.environ.get(ADMIN_KEY) or os.environ.get(f"{ADMIN_KEY}_FILE")
    return None if has_key or not url or flags.get("data_dir") else str(url)


async def _report(api: AdminApi, findings: list[Finding]) -> list[str]:
    outcomes: list[str] = []
    for start in range(0, len(findings), REPORTS_AT_ONCE):
        part = findings[start : start + REPORTS_AT_ONCE]
        reports: list[Object] = [{"token": one.secret, "location": one.location} for one in part]
        answer = await api.create("/leaks", {"reports": reports, "revoke": True})
        outcomes += [item["outcome"] for item in answer["items"]]
    return outcomes


def _burn(url: str, findings: list[Finding]) -> list[str]:
    """What became of them nobody tells: the answer is the same for all."""
    import os
    import ssl

    import httpx2

    trust = ssl.create_default_context(cafile=os.environ.get("DOORWARD_CA_FILE"))
    try:
        with httpx2.Client(base_url=address(url), verify=trust, timeout=30) as http:
            for one in findings:
                # Whoever is burnt twice is as dead as once.
                report = partial(http.post, "/leaks/burn", json={"token": one.secret, "location": one.location})
                while (reply := patiently(report)).status_code == SLOW_DOWN:
                    told = reply.headers.get("retry-after", "")
                    time.sleep(min(int(told) if told.isdigit() else 1, LONGEST_WAIT))
                if reply.status_code != 202:
                    raise Failure(f"{url} answered {reply.status_code} instead of taking the report")
    except httpx2.TransportError as error:
        raise Failure(f"{url} cannot be reached: {type(error).__name__}") from None
    return ["reported"] * len(findings)


def tell_skipped(counted: Counted) -> None:
    for name, why in counted.skipped.told:
        note(f"not read: {name} ({why})")
