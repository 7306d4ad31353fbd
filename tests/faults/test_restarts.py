"""Servers that end and begin, workers that are killed, databases from yesterday: nothing that was dead lives again."""

from __future__ import annotations

import contextlib
import shutil
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tests.deployment import Doorward, Json, free_port, served
from tests.faults import workers
from tests.faults.checking import DEAD, GOOD, STALE, Checker, a_verifier, checking
from tests.faults.ends import KINDS, Doomed, Place

WORKERS = 2
ONE, TWO = "one", "two"
NAMES = (ONE, TWO)


@dataclass
class Watched:
    """Credentials that two services know; of `jwts` the verifier judges itself, of the rest the server."""

    checkers: dict[str, Checker]
    labels: dict[str, str]
    jwts: set[str] = field(default_factory=set)

    def add(self, name: str, doomed: Doomed) -> None:
        for index, (label, text) in enumerate(doomed.texts):
            self.labels[f"{name} {index}"] = label
            if text.count(".") == 2:
                self.jwts.add(f"{name} {index}")
            for checker in self.checkers.values():
                checker.watch(f"{name} {index}", text, label)
                checker.until(label, f"{name} {index}", GOOD)

    def until(self, names: list[str], outcomes: str | frozenset[str], since: float = 0.0) -> None:
        for checker in self.checkers.values():
            for name in names:
                checker.until(self.labels[name], name, outcomes, since)

    def revived(self) -> list[str]:
        """What was refused as dead, and accepted after that."""
        found = []
        for where, checker in self.checkers.items():
            for name, label in self.labels.items():
                outcomes = [one.outcome for one in checker.history(label, name)]
                dead_at = next((at for at, outcome in enumerate(outcomes) if outcome in DEAD), len(outcomes))
                if {GOOD, STALE} & {*outcomes[dead_at:]}:
                    found.append(f"{name} at {where}: {outcomes}")
        return found


@contextlib.contextmanager
def watching(place: Place) -> Iterator[Watched]:
    with contextlib.ExitStack() as stack:
        checkers = {}
        for name in NAMES:
            given = {label: a_verifier(place.doorward, api) for label, api in place.apis.items()}
            checkers[name] = stack.enter_context(checking(place.doorward, given))
        yield Watched(checkers, {})


def again(doorward: Doorward, before: Doorward) -> Doorward:
    """A server on the data of another has its administrator."""
    doorward.admin_key = before.admin_key
    return doorward


def in_all(place: Place, watched: Watched, name: str) -> dict[str, Doomed]:
    """One thing of each kind that can be ended, known everywhere."""
    made = {kind: KINDS[kind](place) for kind in KINDS}
    for kind, doomed in made.items():
        watched.add(f"{name}: {kind}", doomed)
    return made


def names_of(watched: Watched, name: str) -> list[str]:
    return [one for one in watched.labels if one.startswith(f"{name}: ")]


def ended(made: dict[str, Doomed]) -> None:
    for doomed in made.values():
        reply = doomed.end()
        assert reply.status_code == 200, reply.text


def through(place: Place, doorward: Doorward) -> None:
    """What is ended from now on is ended at that server."""
    place.doorward.http, place.doorward.program = doorward.http, doorward.program


@pytest.mark.slow
def test_a_server_that_is_started_again_forgets_no_end_and_is_heard_again(tmp_path):
    port = free_port()
    with served(tmp_path, "--workers", WORKERS, port=port) as doorward:
        place = Place(doorward)
        context = watching(place)
        watched = context.__enter__()
        before, after = in_all(place, watched, "before"), in_all(place, watched, "after")
        ended(before)
        watched.until(names_of(watched, "before"), DEAD)
    try:
        # While nobody answers, what was good is taken, and said to be.
        watched.until(names_of(watched, "after"), STALE)
        with served(tmp_path, "--workers", WORKERS, port=port) as restarted:
            through(place, again(restarted, doorward))
            watched.until(names_of(watched, "after"), GOOD)
            ended(after)
            watched.until(names_of(watched, "after"), DEAD)
            watched.until(names_of(watched, "before"), DEAD)
        assert watched.revived() == []
    finally:
        context.__exit__(None, None, None)


@pytest.mark.slow
def test_no_end_is_missed_though_workers_are_killed_one_after_the_other(tmp_path, is_long, figure):
    """What the server acknowledged is true; what it did not is asked for again, as a client would."""
    took = []
    with served(tmp_path, "--workers", WORKERS) as doorward:
        place = Place(doorward)
        with watching(place) as watched:
            for number in range(20 if is_long else 4):
                made = in_all(place, watched, str(number))
                pids = sorted(workers.pids(doorward))
                victim = pids[number % len(pids)]
                workers.end(victim, signal.SIGKILL)
                killed_at = time.monotonic()
                for doomed in made.values():
                    assert _acknowledged(doomed).status_code == 200
                watched.until(names_of(watched, str(number)), DEAD)
                took.append(time.monotonic() - killed_at)
                _until_complete(doorward, victim)
            assert watched.revived() == []
    figure("a killed worker, until all that was ended since is refused", "s", took)


def _acknowledged(doomed: Doomed) -> Any:
    """A connection that died with its worker says nothing about what was done."""
    import httpx2

    deadline = time.monotonic() + workers.DEADLINE
    while True:
        try:
            reply = doomed.end()
        except httpx2.TransportError:
            assert time.monotonic() < deadline, "nobody ever answered"
        else:
            return reply


def _until_complete(doorward: Doorward, victim: int) -> None:
    deadline = time.monotonic() + workers.DEADLINE
    while victim in (found := workers.pids(doorward)) or len(found) < WORKERS:
        assert time.monotonic() < deadline, "the worker was not started again"


def copied(data: Path, to: Path) -> None:
    """Of a server that is not running, all of its database."""
    for name in ("doorward.db", "doorward.db-wal", "doorward.db-shm"):
        (to / name).unlink(missing_ok=True)
        if (data / name).exists():
            shutil.copy(data / name, to / name)


@pytest.mark.slow
def test_what_a_verifier_knew_to_be_dead_stays_dead_when_the_server_is_set_back(tmp_path, is_long):
    """Somebody copies an old database over the new one, and the server knows nothing of what came after it."""
    port, backup = free_port(), tmp_path / "backup"
    backup.mkdir()
    with served(tmp_path, port=port) as doorward:
        place = Place(doorward)
        client = doorward.a_client(api=place.apis["jwt"])
        tokens = {f"later: {n}": doorward.token(client) for n in range(100)}
        context = watching(place)
        watched = context.__enter__()
        made = in_all(place, watched, "later")
    try:
        copied(doorward.directory, backup)
        with served(tmp_path, port=port) as continued:
            through(place, again(continued, doorward))
            _watch_tokens(watched, tokens)
            ended(made)
            _revoke_tokens(place.doorward, client, tokens)
            watched.until(names_of(watched, "later"), DEAD)
        copied(backup, doorward.directory)
        # Whoever does that with the whole directory takes the mark along, too.
        (doorward.directory / "high-water.json").unlink()
        with served(tmp_path, port=port) as restored:
            through(place, again(restored, doorward))
            asker = place.doorward.a_verifier(api=place.apis["jwt"])
            assert place.doorward.introspect(asker, next(iter(tokens.values())))["active"], "it was not set back"
            # A revocation of now is heard as ever.
            new = in_all(place, watched, "new")
            ended(new)
            watched.until(names_of(watched, "new"), DEAD)
        # Of keys and opaque tokens the server is asked, and this one forgot.
        assert watched.jwts > set(tokens)
        assert [one for one in watched.revived() if one.partition(" at ")[0] in watched.jwts] == []
    finally:
        context.__exit__(None, None, None)


def _watch_tokens(watched: Watched, tokens: dict[str, str]) -> None:
    for name, text in tokens.items():
        watched.labels[name] = "jwt"
        watched.jwts.add(name)
        for checker in watched.checkers.values():
            checker.watch(name, text, "jwt")
    watched.until(list(tokens), GOOD)


def _revoke_tokens(doorward: Doorward, client: Json, tokens: dict[str, str]) -> None:
    for text in tokens.values():
        assert doorward.post("revoke", client, token=text).status_code == 200
