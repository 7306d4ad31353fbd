"""Deployments that black-box tests share: each test makes what it needs in one, and trusts nothing it did not make."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.browsing import Browser, a_user, signed_in
from tests.deployment import Doorward, Json, deployed, served
from tests.openid import somebody
from tests.receiver import Receiver, a_receiver


@pytest.fixture(scope="session")
def on_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Doorward]:
    with deployed(tmp_path_factory.mktemp("sqlite")) as doorward:
        yield doorward


@pytest.fixture(scope="session")
def on_postgresql(postgresql: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Doorward]:
    with deployed(tmp_path_factory.mktemp("postgresql"), database=postgresql.create()) as doorward:
        yield doorward


@pytest.fixture(params=["sqlite", "postgresql"])
def doorward(request: pytest.FixtureRequest) -> Doorward:
    """In this process, over each of the two databases."""
    found: Doorward = request.getfixturevalue(f"on_{request.param}")
    return found


@pytest.fixture(scope="session")
def receiver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Receiver]:
    """A client's own server, over TLS."""
    with a_receiver(tmp_path_factory.mktemp("receiver")) as receiver:
        yield receiver


@pytest.fixture(scope="session")
def calling(receiver: Receiver, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Doorward]:
    """It may call that server, which is on this machine."""
    outbound = {"outbound_networks": ("127.0.0.0/8", "::1/128"), "outbound_ca_file": receiver.ca_file}
    with deployed(tmp_path_factory.mktemp("calling"), **outbound) as doorward:
        yield doorward


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Doorward]:
    """The real server, over TLS."""
    with served(tmp_path_factory.mktemp("served")) as doorward:
        yield doorward


@pytest.fixture(scope="session")
def people() -> dict[str, Json]:
    """Who is shared, by deployment and by who makes him, since to choose a password takes its time."""
    return {}


@pytest.fixture(scope="session")
def sessions() -> dict[str, dict[str, str]]:
    """The cookies of a session of each of them."""
    return {}


def shared(doorward: Doorward, people: dict[str, Json], make: Callable[[Doorward], Json]) -> Json:
    where = f"{make.__name__} {doorward.directory}"
    if where not in people:
        people[where] = make(doorward)
    return people[where]


@pytest.fixture
def ada(doorward: Doorward, people: dict[str, Json]) -> Json:
    """Of whom all is known that can be; a file whose `user` she is has `browser` as hers."""
    return shared(doorward, people, somebody)


@pytest.fixture
def user(doorward: Doorward, people: dict[str, Json]) -> Json:
    """Whoever ends more than his grants, his session say, makes a user of his own."""
    return shared(doorward, people, a_user)


@pytest.fixture
def browser(doorward: Doorward, user: Json, sessions: dict[str, dict[str, str]]) -> Browser:
    """He is signed in, anew where another test ended that; what else it keeps is for one test."""
    who = f"{user['id']} {doorward.directory}"
    kept = Browser(doorward, dict(sessions.get(who, {})))
    if kept.get("/account").status_code != 200:
        sessions[who] = signed_in(doorward, user).cookies
    return Browser(doorward, dict(sessions[who]))
