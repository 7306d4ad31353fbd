"""F1-F3: server processes are killed while they redeem, rotate, count and create. Nothing is redeemed twice, nothing
that was acknowledged is lost, nothing is done by half, and a client whose answer was lost goes on.

What was answered before a process died was acknowledged; what was not is unknown, and may have been done or not. Each
rule is broken on purpose too: then the same judgement must find it.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import pytest
from sqlalchemy import Connection, create_engine, func, select
from tests.browsing import CALLBACK, PROOF, Browser, a_code, a_user, an_app, refresh, signed_in, tokens
from tests.deployment import Doorward, Json, served
from tests.faults.racers import Answer, Call, Racers, racing

from doorward.store import tables

SEED = int(os.environ.get("DOORWARD_SEED", "0")) or int.from_bytes(os.urandom(4), "big")
RACERS = 4
# What a racer asks at once, how often each, and how many racers die meanwhile.
AT_ONCE, TIMES, KILLS = 40, 2, 2
ROUNDS = 2
LONG_ROUNDS = 260
QUOTA = 400
# "Not now": whoever was told so knows no more than who was told nothing.
UNKNOWN = 503
# The longest that is allowed: a round of a busy machine must end within it, or a retry is a replay.
VARIABLES = {"DOORWARD__REFRESH_TOKEN_OVERLAP": "60"}


@dataclass
class Ledger:
    """What was acknowledged, by the name of what was asked for."""

    answers: dict[str, list[Answer]] = field(default_factory=lambda: defaultdict(list))

    def note(self, calls: Sequence[Call], answers: Sequence[Answer]) -> None:
        for call in calls:
            self.answers[call.name] += ()
        for answer in answers:
            self.answers[answer.name].append(answer)

    def granted(self, name: str) -> list[Json]:
        return [answer.told for answer in self.answers[name] if answer.status in (200, 201)]

    def each(self, member: str) -> dict[str, set[str]]:
        """The different values that were acknowledged."""
        return {name: {told[member] for told in self.granted(name)} for name in self.answers}

    @property
    def statuses(self) -> Counter[int]:
        return Counter(answer.status for answers in self.answers.values() for answer in answers)


@dataclass
class World:
    """A deployment, whose own server prepares and judges and is not killed; and one user's browser."""

    doorward: Doorward
    browser: Browser
    client: Json
    database: str

    def a_code(self) -> str:
        return a_code(self.browser, self.client)

    def redemption(self, code: str) -> Call:
        form = {"code": code, "code_verifier": PROOF.verifier, "redirect_uri": CALLBACK}
        return self._token_call(code, grant_type="authorization_code", **form)

    def rotation(self, name: str, token: str) -> Call:
        return self._token_call(name, grant_type="refresh_token", refresh_token=token)

    def _token_call(self, name: str, **form: str) -> Call:
        pair = f"{self.client['client_id']}:{self.client['client_secret']}"
        basic = base64.b64encode(pair.encode()).decode()
        headers = {"authorization": f"Basic {basic}", "content-type": "application/x-www-form-urlencoded"}
        return Call(name, "/oauth/token", headers, urlencode(form))

    def v1_call(self, name: str, path: str, body: Json, **headers: str) -> Call:
        fields = {"authorization": f"Bearer {self.doorward.admin_key}", "content-type": "application/json", **headers}
        return Call(name, f"/v1{path}", fields, json.dumps(body))

    def check(self, text: str) -> Json:
        return dict(self.doorward.v1("POST", "/keys/verify", {"key": text}).json())

    @contextlib.contextmanager
    def rows(self) -> Iterator[Connection]:
        engine = create_engine(self.database.replace("postgresql://", "postgresql+psycopg://"))
        try:
            with engine.connect() as connection:
                yield connection
        finally:
            engine.dispose()

    @contextlib.contextmanager
    def raced(self, naive: str = "") -> Iterator[Racers]:
        print(f"DOORWARD_SEED={SEED}")
        directory = self.doorward.directory
        with racing(directory, self.database, RACERS, SEED, naive, VARIABLES) as racers:
            yield racers


@dataclass
class Judge:
    """`killed` is how many had died before the test."""

    racers: Racers
    killed: int
    figure: Callable[..., None]

    def __call__(self, what: str, wrong: Sequence[object], number: int) -> None:
        """With nothing wrong in so many, by the rule of three, what a longer run would find."""
        killed = self.racers.killed - self.killed
        assert killed > 0
        assert list(wrong) == []
        self.figure(f"{what} (of {number}, {killed} kills, below {3 / number:.2g} at 95 %)", "", [0.0], most=0)


ENGINES = ("sqlite", "postgresql")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A server that breaks a rule is found on one engine as on the other: the short form shows it on one."""
    if "deployment" in metafunc.fixturenames:
        is_short = "rule" in metafunc.fixturenames and not metafunc.config.getoption("--long", default=False)
        metafunc.parametrize("deployment", ENGINES[:1] if is_short else ENGINES, indirect=True, scope="module")


@pytest.fixture(scope="module")
def deployment(request, tmp_path_factory):
    directory, flags = tmp_path_factory.mktemp("raced"), []
    database = f"sqlite:///{directory / 'data' / 'doorward.db'}"
    if request.param == "postgresql":
        database = request.getfixturevalue("postgresql").create()
        flags = ["--database", database]
    with served(directory, *flags, variables=VARIABLES) as doorward:
        user = a_user(doorward)
        yield World(doorward, signed_in(doorward, user), an_app(doorward), database)


@pytest.fixture
def world(deployment):
    return deployment


@pytest.fixture(scope="module")
def racers(deployment):
    with deployment.raced() as racers:
        yield racers


@pytest.fixture
def judged(racers, figure):
    return Judge(racers, racers.killed, figure)


@pytest.fixture
def rounds(is_long):
    return range(LONG_ROUNDS if is_long else ROUNDS)


def raced(racers: Racers, ledger: Ledger, calls: Sequence[Call], times: int = TIMES) -> Ledger:
    ledger.note(calls, racers.round(calls, times, KILLS))
    return ledger


# Codes (F1, F2)


def redeemed_twice(ledger: Ledger) -> list[str]:
    return [name for name in ledger.answers if len(ledger.granted(name)) > 1]


def halves(world: World) -> list[Any]:
    """Codes without their tokens, tokens without their code, and either without its line in the journal."""
    codes, issued, journal = tables.codes.c, tables.refresh_tokens.c, tables.journal.c
    lines = select(journal.entity_id, func.count()).where(journal.type == "CodeRedeemed").group_by(journal.entity_id)
    with world.rows() as connection:
        used = set(connection.scalars(select(codes.grant_id).where(codes.redeemed_at.is_not(None))))
        given = set(connection.scalars(select(issued.grant_id).distinct()))
        told = {row[0]: row[1] for row in connection.execute(lines)}
    return [*(used ^ given), *(used ^ told.keys()), *(grant for grant, number in told.items() if number != 1)]


@pytest.mark.slow
def test_no_code_is_redeemed_twice_or_by_half(world, racers, judged, rounds):
    ledger = Ledger()
    for _ in rounds:
        raced(racers, ledger, [world.redemption(world.a_code()) for _ in range(AT_ONCE)])
    assert ledger.statuses.keys() <= {200, 400, UNKNOWN}, ledger.statuses
    assert ledger.statuses[200] > 0
    judged("codes redeemed twice or by half", redeemed_twice(ledger) + halves(world), len(ledger.answers))


@pytest.mark.slow
def test_whose_code_was_redeemed_for_him_alone_has_tokens_that_count(world, racers, judged, rounds):
    """Each code is shown once: whoever was answered has all that he was told."""
    ledger, lost = Ledger(), []
    for _ in rounds:
        calls = [world.redemption(world.a_code()) for _ in range(AT_ONCE)]
        ledger.note(calls, racers.round_once(calls, KILLS))
    for name in ledger.answers:
        for told in ledger.granted(name):
            if refresh(world.doorward, world.client, told["refresh_token"]).status_code != 200:
                lost.append(name)
    assert ledger.statuses.keys() <= {200, UNKNOWN}, ledger.statuses
    judged("acknowledged tokens lost", lost + halves(world), len(ledger.answers))


# Refresh tokens (F1, F3)


def two_successors(ledger: Ledger) -> list[str]:
    return [name for name, successors in ledger.each("refresh_token").items() if len(successors) > 1]


def heads(world: World, grants: Sequence[str]) -> Counter[str]:
    """How many tokens of each grant nobody has rotated yet."""
    issued = tables.refresh_tokens.c
    live = select(issued.grant_id).where(issued.rotated_at.is_(None), issued.grant_id.in_(grants))
    with world.rows() as connection:
        return Counter(connection.scalars(live))


@pytest.mark.slow
def test_every_racer_gets_the_same_successor_and_no_client_is_locked_out(world, racers, judged, rounds):
    """A client whose answer was lost asks with the same token again."""
    ledger, families = Ledger(), [tokens(world.browser, world.client)["refresh_token"] for _ in range(AT_ONCE)]
    locked_out: list[str] = []
    for number in rounds:
        calls = [world.rotation(f"{index}/{number}", token) for index, token in enumerate(families)]
        raced(racers, ledger, calls)
        for index, call in enumerate(calls):
            families[index] = next((told["refresh_token"] for told in ledger.granted(call.name)), families[index])
    ends = [refresh(world.doorward, world.client, token) for token in families]
    locked_out += [reply.text for reply in ends if reply.status_code != 200]
    assert ledger.statuses.keys() <= {200, UNKNOWN}, ledger.statuses
    forked = [grant for grant, number in heads(world, grants_of(world, ends)).items() if number != 1]
    wrong = two_successors(ledger) + locked_out + forked
    judged("refresh tokens with two successors, or none", wrong, len(ledger.answers))


def grants_of(world: World, replies: Sequence[Any]) -> list[str]:
    ids = [reply.json()["refresh_token"].split("_")[2][:12] for reply in replies if reply.status_code == 200]
    issued = tables.refresh_tokens.c
    with world.rows() as connection:
        found = list(connection.scalars(select(issued.grant_id).where(issued.id.in_(ids))))
    assert len(found) == len(ids)
    return found


# Quotas (F1)


def overspent(ledger: Ledger) -> list[str]:
    return [name for name in ledger.answers if sum(told["active"] for told in ledger.granted(name)) > QUOTA]


def used_up(world: World, racers: Racers, ledger: Ledger, keys: Sequence[Json]) -> None:
    """Until nobody gets any more of it."""
    calls = [world.v1_call(key["id"], "/keys/verify", {"key": key["key"]}) for key in keys] * (AT_ONCE // len(keys))
    while True:
        answers = racers.round(calls, TIMES, KILLS)
        ledger.note(calls, answers)
        if not any(answer.status == UNKNOWN or answer.told["active"] for answer in answers):
            return


def keys_with_a_quota(world: World, number: int) -> list[Json]:
    quota = {"name": "monthly", "amount": QUOTA, "per": "month", "type": "quota"}
    api, account = world.doorward.an_api()["identifier"], world.doorward.an_account()["id"]
    return [world.doorward.a_key(api=api, account=account, limits=[quota]) for _ in range(number)]


def uncounted(world: World, ledger: Ledger, keys: Sequence[Json]) -> list[str]:
    """Nothing is left of any quota, and nobody was let through beyond it."""
    return overspent(ledger) + [key["id"] for key in keys if world.check(key["key"])["active"]]


@pytest.mark.slow
def test_a_quota_is_never_overspent_by_one(world, racers, judged, is_long):
    ledger = Ledger()
    for _ in range(25 if is_long else 1):
        keys = keys_with_a_quota(world, 4)
        used_up(world, racers, ledger, keys)
        assert uncounted(world, ledger, keys) == []
    assert ledger.statuses.keys() <= {200, UNKNOWN}, ledger.statuses
    uses = sum(told["active"] for name in ledger.answers for told in ledger.granted(name))
    judged("uses beyond a quota", [], uses)


# Keys (F2)


def creation(world: World, name: str, body: Json) -> Call:
    return world.v1_call(name, "/keys", body, **{"idempotency-key": name})


@pytest.mark.slow
def test_an_acknowledged_key_exists_once_and_an_acknowledged_end_is_for_good(world, racers, judged, rounds):
    """All who create under one idempotency key create one key, whoever dies meanwhile."""
    made, ended = Ledger(), Ledger()
    api, account = world.doorward.an_api()["identifier"], world.doorward.an_account()["id"]
    body = {"api": api, "account": account, "scope": "invoices:read"}
    for number in rounds[: max(len(rounds) // 4, 1)]:
        raced(racers, made, [creation(world, f"{account}-{number}-{index}", body) for index in range(AT_ONCE)])
    keys = [told for name in made.answers for told in made.granted(name)[:1]]
    doomed = keys[: len(keys) // 2]
    for start in range(0, len(doomed), AT_ONCE):
        some = doomed[start : start + AT_ONCE]
        raced(racers, ended, [world.v1_call(key["id"], f"/keys/{key['id']}/revoke", {}) for key in some])
    twice = [name for name, ids in made.each("id").items() if len(ids) > 1]
    lost = [key["id"] for key in keys[len(doomed) :] if not world.check(key["key"])["active"]]
    revived = [key["id"] for key in doomed if ended.granted(key["id"]) and world.check(key["key"])["active"]]
    with world.rows() as connection:
        number = connection.scalar(select(func.count()).where(tables.api_keys.c.account_id == account))
    assert made.statuses.keys() <= {201, UNKNOWN}, made.statuses
    assert ended.statuses.keys() <= {200, UNKNOWN}, ended.statuses
    assert number is not None
    assert number <= len(made.answers)
    judged("acknowledged keys lost, doubled or revived", twice + lost + revived, len(made.answers))


# The same judgement, of servers that break a rule


def naive_codes(world: World, racers: Racers) -> list[Any]:
    ledger = raced(racers, Ledger(), [world.redemption(world.a_code()) for _ in range(AT_ONCE)], 8)
    return redeemed_twice(ledger) + halves(world)


def naive_rotations(world: World, racers: Racers) -> list[Any]:
    families = [tokens(world.browser, world.client)["refresh_token"] for _ in range(AT_ONCE // 4)]
    calls = [world.rotation(str(index), token) for index, token in enumerate(families)]
    return two_successors(raced(racers, Ledger(), calls, 8))


def naive_counts(world: World, racers: Racers) -> list[Any]:
    ledger, keys = Ledger(), keys_with_a_quota(world, 1)
    used_up(world, racers, ledger, keys)
    return overspent(ledger)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rule", "find"),
    [
        ("check_then_act", naive_codes),
        ("check_then_act", naive_rotations),
        ("two_transactions", naive_codes),
        ("counted_from_memory", naive_counts),
    ],
)
def test_a_server_that_breaks_the_rule_is_found(world, rule, find):
    with world.raced(naive=rule) as racers:
        for _ in range(20):
            if find(world, racers):
                return
    raise AssertionError(f"{rule} went unnoticed")
