"""Deployments that black-box tests share: each test makes what it needs in one, and trusts nothing it did not make."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from tests.deployment import Doorward, deployed, served


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
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Doorward]:
    """The real server, over TLS."""
    with served(tmp_path_factory.mktemp("served")) as doorward:
        yield doorward
