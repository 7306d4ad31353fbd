"""`doorward leaks`: secrets where they do not belong: looked for, reported, listed; and rules for other scanners."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from doorward.cli import lists, output
from doorward.cli.admin_api import Object, run, segment
from doorward.cli.durations import full
from doorward.cli.failure import USAGE, Failure
from doorward.cli.options import Account, Cursor, Json, Limit, noun

if TYPE_CHECKING:
    from doorward.cli.scan import Counted
    from doorward.cli.scan_sources import Source

app = noun(
    "Leaked secrets: found, reported, revoked.",
    """
doorward leaks scan . --git --revoke
git diff --cached | doorward leaks scan -
doorward leaks rules --format gitleaks > .gitleaks.toml
doorward leaks report found.json --revoke
""",
)
Brand = Annotated[str | None, typer.Option(metavar="WORD", help="Only secrets of this brand (default: of any).")]


class ScanFormat(StrEnum):
    text = "text"
    json = "json"
    sarif = "sarif"


class RuleFormat(StrEnum):
    gitleaks = "gitleaks"
    betterleaks = "betterleaks"
    trufflehog = "trufflehog"
    detect_secrets = "detect-secrets"
    github = "github"
    gitlab = "gitlab"


@app.command()
def scan(
    context: typer.Context,
    paths: Annotated[list[str] | None, typer.Argument(metavar="PATH...", help="Files and folders; - is stdin.")] = None,
    git: Annotated[bool, typer.Option("--git", help="Also the history of the repositories that are named.")] = False,
    url: Annotated[str | None, typer.Option(metavar="URL", help="A site of your own: its pages and scripts.")] = None,
    brand: Brand = None,
    revoke: Annotated[bool, typer.Option("--revoke", help="Have everything revoked that is found.")] = False,
    no_ignore: Annotated[bool, typer.Option("--no-ignore", help="Heed no ignore files.")] = False,
    shown: Annotated[ScanFormat, typer.Option("--format", help="How findings are told.")] = ScanFormat.text,
    json: Json = False,
) -> None:
    """Look for secrets. Exit code 1 says that there are some."""
    from doorward import __version__
    from doorward.cli import scan as scanning
    from doorward.cli import scan_report
    from doorward.cli.scan_sources import ignored

    if not paths and url is None:
        raise Failure("name files or folders to look through, - for standard input, or --url", exit_code=USAGE)
    counted = scanning.Counted()
    known = set() if no_ignore else {line.rstrip(".") for path in paths or () for line in ignored(Path(path))}
    sources = _sources(paths or [], git, url, counted, not no_ignore)
    findings = scanning.look_through(sources, brand, known, counted)
    if revoke and findings:
        findings = scanning.revoke(context, findings)
    scanning.tell_skipped(counted)
    if json or shown is ScanFormat.json:
        output.show_json(scan_report.as_json(findings, counted.numbers()))
    elif shown is ScanFormat.sarif:
        output.show_json(scan_report.sarif(findings, __version__))
    else:
        for line in scan_report.text(findings):
            output.say(line)
        output.note(f"{len(findings)} found in {counted.sources:,} files and {counted.size / 1e6:,.1f} MB.")
    if findings:
        raise typer.Exit(1)


def _sources(paths: list[str], git: bool, url: str | None, counted: Counted, ignoring: bool) -> Iterator[Source]:
    from doorward.cli import scan_git, scan_site, scan_sources

    for path in paths:
        if path == "-":
            yield scan_sources.Source("<stdin>", scan_sources.read_on(sys.stdin.buffer))
            continue
        if not Path(path).exists():
            raise Failure(f"there is no {path}", exit_code=USAGE)
        yield from scan_sources.of_path(Path(path), counted.skipped, ignoring=ignoring)
        if git:
            yield from scan_git.of_repository(Path(path))
    if url is not None:
        yield from scan_site.of_site(url, counted.skipped)


@app.command()
def rules(
    shown: Annotated[RuleFormat, typer.Option("--format", help="For which scanner.")],
    brand: Annotated[str, typer.Option(metavar="WORD", help="The deployment's brand.")] = "dw",
    issuer: Annotated[str, typer.Option(metavar="URL", help="Where scanners may ask.")] = "https://auth.example.com",
) -> None:
    """Write rules that find this deployment's secrets, for another scanner."""
    from doorward.cli import rule_files

    output.say(rule_files.WRITERS[shown.value](brand, issuer.rstrip("/")).rstrip("\n"))


@app.command()
def report(
    context: typer.Context,
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="GitHub's JSON, or a secret or digest a line; - is stdin.")
    ],
    revoke: Annotated[bool, typer.Option("--revoke", help="Whatever the policy says of their kinds.")] = False,
    json: Json = False,
) -> None:
    """Report secrets that somebody found."""
    from doorward.cli.found_file import read

    reports = read(file)
    answers: list[Object] = []
    for start in range(0, len(reports), 100):
        body = {"reports": reports[start : start + 100], "revoke": revoke}
        answers += run(context, lambda api, body=body: api.create("/leaks", body))["items"]  # type: ignore[misc]
    if json:
        output.show_json({"items": answers})
        return
    rows = [(one["outcome"], one["credential"] or "", one["id"] or "", one["owner"] or "") for one in answers]
    output.table(("OUTCOME", "CREDENTIAL", "ID", "OWNER"), rows)


@app.command("list")
def list_(
    context: typer.Context,
    account: Account = None,
    outcome: Annotated[str | None, typer.Option(metavar="WORD", help="revoked, flagged or decoy.")] = None,
    json: Json = False,
    limit: Limit = lists.LIMIT,
    cursor: Cursor = None,
) -> None:
    """List leaks that were reported."""
    header = ("ID", "CREDENTIAL", "OWNER", "OUTCOME", "ORIGIN", "FOUND AT")
    query = {"account": account, "outcome": outcome}
    lists.show(context, "/leaks", header, _row, json=json, limit=limit, cursor=cursor, **query)


@app.command()
def show(
    context: typer.Context,
    id_: Annotated[str, typer.Argument(metavar="LEAK_ID", help="See `doorward leaks list`.")],
    json: Json = False,
) -> None:
    """Show a leak."""
    found = run(context, lambda api: api.get(f"/leaks/{segment(id_)}"))
    if json:
        output.show_json(found)
        return
    output.heading(f"A leaked {found['credential'].replace('_', ' ')}")
    output.fields(
        (
            ("id", found["id"]),
            ("of", found["owner"]),
            ("account", found["account"]),
            ("outcome", found["outcome"]),
            ("reported by", found["origin"]),
            ("found at", found["locations"]),
            ("first", full(found["created_at"])),
        )
    )


def _row(leak: Object) -> tuple[str, ...]:
    place = leak["locations"][0] if leak["locations"] else ""
    return leak["id"], leak["credential"], leak["owner"], leak["outcome"], leak["origin"], place
