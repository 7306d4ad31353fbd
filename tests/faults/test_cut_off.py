"""F5, T218: a verifier that is cut off does what its owner chose, is never silently open, and catches up afterwards."""

from __future__ import annotations

import contextlib
import itertools
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest
from tests.deployment import Doorward, Json, free_port, served
from tests.faults.checking import DEAD, GOOD, STALE, UNAVAILABLE, Checker, a_verifier, checking
from tests.faults.fault_proxy import Connections, Fault, FaultProxy, proxied

MAX_STALENESS = 2.0
HELD = 20.0
REVOKED = 10
POLICIES = {
    f"{on_stale}, {on_outage}": {"on_stale": on_stale, "on_outage": on_outage}
    for on_stale, on_outage in itertools.product(("introspect", "refuse", "accept"), ("accept", "refuse"))
}
# What each answers of what it knows to be good: without the feed, and without the server.
WITHOUT_THE_FEED = {"introspect": GOOD, "refuse": UNAVAILABLE, "accept": STALE}
WITHOUT_THE_SERVER = {"accept": STALE, "refuse": UNAVAILABLE}

SHORT: list[tuple[Fault, Connections]] = [("black_hole", "feed"), ("black_hole", "all"), ("reset", "all")]
LONG: list[tuple[Fault, Connections]] = [
    ("cut", "feed"), ("cut", "all"), ("reset", "feed"), ("limit", "feed"), ("limit", "all"), ("delay", "feed"),
]  # fmt: skip


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Doorward, FaultProxy]]:
    """A server that everybody reaches through a proxy, but for the administrator, who goes straight to it."""
    port = free_port()
    with served(tmp_path_factory.mktemp("cut-off"), "--issuer", f"https://localhost:{port}") as doorward:
        direct = int(doorward.issuer.rpartition(":")[2])
        with proxied(doorward.directory / "server.pem", direct, port) as proxy:
            yield replace(doorward, issuer=proxy.url), proxy


def answer(policy: str, only: Connections) -> str:
    """What a verifier must say of what is good, once it knows that it is cut off."""
    on_stale, on_outage = POLICIES[policy]["on_stale"], POLICIES[policy]["on_outage"]
    if only == "feed" or on_stale != "introspect":
        return WITHOUT_THE_FEED[on_stale]
    return WITHOUT_THE_SERVER[on_outage]


@dataclass
class Credentials:
    """Some live on, some are revoked while nobody can hear of it."""

    doorward: Doorward
    client: Json
    live: dict[str, str]
    doomed: dict[str, str]

    def revoke(self) -> None:
        for text in self.doomed.values():
            assert self.doorward.post("revoke", self.client, token=text).status_code == 200


def credentials(doorward: Doorward, api: str) -> Credentials:
    client = doorward.a_client(api=api)
    live = {"token": doorward.token(client), "key": doorward.a_key(api=api)["key"]}
    return Credentials(doorward, client, live, {f"doomed {n}": doorward.token(client) for n in range(REVOKED)})


@contextlib.contextmanager
def checked_by(doorward: Doorward, held: Credentials, api: str) -> Iterator[Checker]:
    """A process with a verifier of each policy, which knows all the credentials to be good."""
    given = a_verifier(doorward, api, max_staleness=MAX_STALENESS)
    with checking(doorward, {policy: {**given, **options} for policy, options in POLICIES.items()}) as checker:
        for name, text in {**held.live, **held.doomed}.items():
            checker.watch(name, text)
        for policy, name in itertools.product(POLICIES, {**held.live, **held.doomed}):
            checker.until(policy, name, GOOD)
        yield checker


def applied(checker: Checker, held: Credentials, only: Connections, cut_at: float) -> list[float]:
    """After how many seconds each verifier did with each credential what its policy says."""
    took = []
    for policy in POLICIES:
        expected = answer(policy, only)
        for name in [*held.live, *held.doomed]:
            is_revealed = name in held.doomed and expected == GOOD
            if expected == GOOD and not is_revealed:
                # The server confirms it: nothing is to be seen of the cut.
                assert checker.now(policy, name) == GOOD
                continue
            found = checker.until(policy, name, DEAD if is_revealed else expected, cut_at)
            took.append(found.at - cut_at)
    return took


def silently_open(checker: Checker, held: Credentials, since: float, until: float) -> list[str]:
    """Where a revoked token was accepted as if nothing was amiss, or anything was while nobody could be asked."""
    return [
        f"{policy}: {name} {found.outcome} at {found.at - since:.1f} s"
        for policy, name in itertools.product(POLICIES, held.doomed)
        for found in checker.history(policy, name)
        if found.outcome == GOOD and since < found.at < until
    ]


def caught_up(checker: Checker, held: Credentials, healed_at: float) -> list[float]:
    found = [checker.until(policy, name, DEAD) for policy, name in itertools.product(POLICIES, held.doomed)]
    found += [checker.until(policy, name, GOOD) for policy, name in itertools.product(POLICIES, held.live)]
    return [max(0.0, one.at - healed_at) for one in found]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "fault" in metafunc.fixturenames:
        more = LONG if metafunc.config.getoption("--long", default=False) else []
        metafunc.parametrize(("fault", "only"), [*SHORT, *more])


@pytest.mark.slow
def test_a_verifier_that_is_cut_off_keeps_to_its_policy_and_catches_up(line, fault, only, is_long, figure):
    doorward, proxy = line
    api = doorward.an_api(token_lifetime=3600)["identifier"]
    held = credentials(doorward, api)
    with checked_by(doorward, held, api) as checker:
        proxy.spoil(fault, only=only, seconds=5.0, limit=1)
        cut_at = time.monotonic()
        try:
            held.revoke()
            took = applied(checker, held, only, cut_at)
            applied_at = time.monotonic()
            if is_long:
                threading.Event().wait(HELD - (applied_at - cut_at))
        finally:
            proxy.heal()
        healed_at = time.monotonic()
        caught = caught_up(checker, held, healed_at)
        assert silently_open(checker, held, applied_at, time.monotonic()) == []
        for policy in POLICIES:
            checker.until(policy, "feed", "synced")
    where = f"{fault} of {'the feed' if only == 'feed' else 'everything'}"
    figure(f"{where}: until the policy applies", "s", took, most=MAX_STALENESS + 1)
    figure(f"{where}: until all is known after it ended", "s", caught, most=1)
