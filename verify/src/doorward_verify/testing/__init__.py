"""pytest fixtures: an issuer in the process, credentials of every kind, their end, and doors that stand open.

pytest_plugins = ["doorward_verify.testing"]        in conftest.py

def test_a_revoked_key_is_refused(api_key, revoke): ...

PYTEST_DONT_REWRITE: nothing is asserted here, and it may be imported before it is a plugin.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from doorward_verify import Verified, Verifier, configuration
from doorward_verify.challenge import Answer
from doorward_verify.door import Door
from doorward_verify.needs import Needs
from doorward_verify.testing.clock import Clock
from doorward_verify.testing.issuer import Issuer, scopes_of
from doorward_verify.verifier import Headers

__all__ = ["Clock", "Issuer"]

RUNNING = pytest.StashKey[Issuer]()
PATCHES = pytest.StashKey[pytest.MonkeyPatch]()
HELP = "the issuer that the application names in its code; its Verifiers ask the one of the tests instead"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addini("doorward_issuer", HELP, default="")


def pytest_configure(config: pytest.Config) -> None:
    """Before any application is imported, which then finds its issuer in the environment."""
    issuer, patches = Issuer(), pytest.MonkeyPatch()
    config.stash[RUNNING], config.stash[PATCHES] = issuer, patches
    for name, value in issuer.environment.items():
        patches.setenv(name, value)
    patches.delenv("DOORWARD_CA_FILE", raising=False)
    patches.setattr(Verifier, "__init__", _redirected(issuer, config.getini("doorward_issuer")))


def pytest_unconfigure(config: pytest.Config) -> None:
    config.stash[PATCHES].undo()
    config.stash[RUNNING].close()


def _redirected(issuer: Issuer, named: str) -> Callable[..., None]:
    """How a Verifier is made: those of the issuer of the tests go by its clock."""
    make = Verifier.__init__

    def made(self: Verifier, asked: str | None = None, **options: Any) -> None:
        found = configuration.issuer(asked)
        if named and found == named:
            found = issuer.url
        if found == issuer.url:
            options = {"clock": issuer.clock.time, "monotonic": issuer.clock.monotonic, **options}
        make(self, found, **options)

    return made


@pytest.fixture
def issuer(pytestconfig: pytest.Config) -> Issuer:
    """One for the whole run; its clock goes on from test to test."""
    return pytestconfig.stash[RUNNING]


@pytest.fixture
def clock(issuer: Issuer) -> Clock:
    """Of the issuer and of the application's Verifiers: `clock.advance(301)`."""
    return issuer.clock


@pytest.fixture
def token(issuer: Issuer) -> Callable[..., str]:
    """Makes a JWT access token: `token(scope="invoices:read", account="acme", expires_in=300, ...)`."""
    return issuer.token


@pytest.fixture
def opaque_token(issuer: Issuer) -> Callable[..., str]:
    return issuer.opaque_token


@pytest.fixture
def api_key(issuer: Issuer) -> Callable[..., str]:
    """Makes an API key: `api_key(scope="invoices:read", account="acme", ...)`."""
    return issuer.api_key


@pytest.fixture
def assertion(issuer: Issuer) -> Callable[..., str]:
    """Makes an X-Auth-Assertion: `assertion("billing", "POST", "/invoices?draft=1", scope="invoices:write")`."""
    return issuer.assertion


@pytest.fixture
def revoke(issuer: Issuer) -> Callable[..., None]:
    """Ends a credential, `revoke(text)`, or what hangs on something: `revoke(account="acme")`, `grant=`, `client=`."""
    return issuer.revoke


@pytest.fixture
def auth_off(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Until the end of the test every Guard of this process lets everybody in: `auth_off(account="acme")`.

    The caller has the scope that a route asks for, beside what is named. No setting and no variable does this: it lives
    in this fixture alone, ends with its test, and stays behind in a process that the test forks.
    """
    process, check, acheck = os.getpid(), Door.check, Door.acheck

    def turn_off(scope: str = "", **members: Any) -> None:
        def let_in(door: Door, headers: Headers, needs: Needs, *sent: Any) -> Verified | Answer | None:
            if os.getpid() == process:
                return _caller(door, needs, scope, members)
            return check(door, headers, needs, *sent)

        async def alet_in(door: Door, headers: Headers, needs: Needs, *sent: Any) -> Verified | Answer | None:
            if os.getpid() == process:
                return _caller(door, needs, scope, members)
            return await acheck(door, headers, needs, *sent)

        monkeypatch.setattr(Door, "check", let_in)
        monkeypatch.setattr(Door, "acheck", alet_in)

    return turn_off


def _caller(door: Door, needs: Needs, scope: str, members: Mapping[str, Any]) -> Verified:
    known = {
        "credential": "jwt", "subject": "user_1", "account": "acme", "client_id": "client_1", "key_id": None,
        "audience": door.verifier.audience, "environment": "live", "expires_at": None, **members,
    }  # fmt: skip
    return Verified(scope=needs.scope | scopes_of(scope), **known)
