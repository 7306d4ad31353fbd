"""testing: what its fixtures promise, seen from a project of its own that uses them."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.verify.asking import refused

import doorward_verify
from doorward_verify import Misconfigured, Verifier, testing
from doorward_verify.door import Door
from doorward_verify.needs import Needs
from doorward_verify.testing import Issuer
from doorward_verify.testing.clock import Clock

AUDIENCE = "https://api.example.com"


@pytest.fixture(name="issuer")
def issuer_of_the_test() -> Iterator[Issuer]:
    running = Issuer()
    yield running
    running.close()


@pytest.fixture(name="verifier")
def verifier_of_the_test(issuer: Issuer) -> Verifier:
    return issuer.verifier(AUDIENCE)


MAKERS: list[Callable[[Issuer], Callable[..., str]]] = [
    lambda issuer: issuer.token, lambda issuer: issuer.opaque_token, lambda issuer: issuer.api_key,
]  # fmt: skip
KINDS = pytest.mark.parametrize("make", MAKERS, ids=["token", "opaque token", "api key"])
WAYS = pytest.mark.parametrize("revocation", ["feed", "introspect"])


class TestCredentials:
    @KINDS
    def test_one_is_what_was_asked_for(self, issuer: Issuer, verifier: Verifier, make: Any) -> None:
        found = verifier.check(make(issuer)(scope="invoices:read invoices:write", account="globex"))
        assert (found.account, found.scope) == ("globex", {"invoices:read", "invoices:write"})
        assert verifier.check(make(issuer)()).account == "acme"

    @KINDS
    def test_it_can_be_for_another_audience(self, issuer: Issuer, verifier: Verifier, make: Any) -> None:
        elsewhere = make(issuer)(audience="https://other.example.com")
        assert refused(lambda: verifier.check(elsewhere)) == "wrong_audience"

    @KINDS
    def test_it_ends_when_the_clock_says_so(self, issuer: Issuer, verifier: Verifier, make: Any) -> None:
        credential = make(issuer)(expires_in=60)
        assert verifier.check(credential).stale is False
        issuer.clock.advance(71)
        assert refused(lambda: verifier.check(credential)) in ("credential_expired", "credential_unknown")

    def test_claims_are_added_replaced_and_left_out(self, issuer: Issuer, verifier: Verifier) -> None:
        found = verifier.check(issuer.token(acr="mfa", sub="user_7", grant_id=None))
        assert (found.claims["acr"], found.subject, found.grant_id) == ("mfa", "user_7", None)
        assert verifier.check(issuer.api_key(plan="gold")).claims["plan"] == "gold"

    def test_a_test_key_is_one(self, issuer: Issuer, verifier: Verifier) -> None:
        key = issuer.api_key(environment="test")
        assert refused(lambda: verifier.check(key)) == "wrong_environment"
        assert issuer.verifier(AUDIENCE, environment="test").check(key).environment == "test"

    def test_the_audience_is_that_of_the_application_unless_it_has_several(
        self, issuer: Issuer, verifier: Verifier
    ) -> None:
        assert issuer.audience == AUDIENCE
        other = issuer.verifier("https://other.example.com")
        with pytest.raises(LookupError, match=r"pass audience="):
            issuer.token()
        assert other.check(issuer.token(audience=other.audience)).audience == other.audience

    def test_a_signing_key_that_is_rotated_signs_no_more(self, issuer: Issuer, verifier: Verifier) -> None:
        before = issuer.token()
        assert verifier.check(before)
        issuer.rotate_signing_key()
        assert verifier.check(issuer.token())
        issuer.clock.advance(60)
        assert refused(lambda: verifier.check(before)) == "signing_key_unknown"


class TestTheirEnd:
    @WAYS
    @KINDS
    def test_what_was_revoked_is_refused_by_the_next_check(self, issuer: Issuer, make: Any, revocation: Any) -> None:
        verifier = issuer.verifier(AUDIENCE, revocation=revocation)
        credential, other = make(issuer)(), make(issuer)()
        assert verifier.check(credential)
        issuer.revoke(credential)
        assert refused(lambda: verifier.check(credential)) in ("credential_revoked", "credential_unknown")
        assert verifier.check(other)

    def test_the_feed_told_it_and_not_an_answer(self, issuer: Issuer, verifier: Verifier) -> None:
        token = issuer.token()
        verifier.check(token)
        issuer.revoke(token)
        assert (verifier.state, verifier.metrics()["entries"]) == ("synced", 1)
        assert refused(lambda: verifier.known(token)) == "credential_revoked"

    @WAYS
    def test_whatever_hangs_on_an_account_ends_with_it_and_what_is_issued_later_is_good(
        self, issuer: Issuer, revocation: Any
    ) -> None:
        verifier = issuer.verifier(AUDIENCE, revocation=revocation)
        ended = [issuer.token(), issuer.opaque_token(), issuer.api_key()]
        stays = issuer.token(account="globex")
        for credential in (*ended, stays):
            assert verifier.check(credential)
        issuer.revoke(account="acme")
        for credential in ended:
            assert refused(lambda credential=credential: verifier.check(credential))
        assert verifier.check(stays)
        assert verifier.check(issuer.token())

    def test_every_verifier_that_follows_has_heard_of_it(self, issuer: Issuer) -> None:
        verifiers = [issuer.verifier(AUDIENCE) for _ in range(4)]
        key = issuer.api_key()
        for verifier in verifiers:
            verifier.check(key)
        issuer.revoke(key)
        for verifier in verifiers:
            assert refused(lambda verifier=verifier: verifier.check(key)) == "credential_unknown"

    def test_what_was_never_issued_cannot_be_revoked(self, issuer: Issuer) -> None:
        with pytest.raises(LookupError, match="did not issue"):
            issuer.revoke("dw_live_nothing")
        with pytest.raises(LookupError, match="nothing was issued"):
            issuer.revoke(account="nobody")

    def test_it_is_noticed_again_after_the_server_was_away(self, issuer: Issuer, verifier: Verifier) -> None:
        token = issuer.token()
        assert verifier.check(token)
        with issuer.away():
            issuer.clock.advance(10)
            assert verifier.check(token).stale is True
        issuer.revoke(token)
        assert refused(lambda: verifier.check(token)) == "credential_revoked"


class TestTheIssuer:
    def test_it_tells_nothing_to_strangers(self, issuer: Issuer) -> None:
        stranger = issuer.verifier(AUDIENCE, verifier_secret="guessed")
        assert refused(lambda: stranger.check(issuer.api_key(audience=AUDIENCE))) == "verifier_refused"

    def test_a_secret_that_it_did_not_issue_is_unknown(self, issuer: Issuer, verifier: Verifier) -> None:
        other = Issuer()
        try:
            assert refused(lambda: verifier.check(other.api_key(audience=AUDIENCE))) == "credential_unknown"
            assert refused(lambda: verifier.check(other.token(audience=AUDIENCE))) == "signature_invalid"
        finally:
            other.close()

    def test_time_goes_forward_alone(self) -> None:
        clock = Clock()
        before = clock.time(), clock.monotonic()
        clock.advance(3600)
        assert clock.time() >= before[0] + 3600
        assert clock.monotonic() >= before[1] + 3600
        with pytest.raises(ValueError, match="forward"):
            clock.advance(-1)


APPLICATION = """
from doorward_verify import Verifier
from doorward_verify.asgi import Guard

guard = Guard(Verifier({issuer}audience="https://api.example.com"))

async def account(scope, receive, send):
    await send({{"type": "http.response.start", "status": 200, "headers": []}})
    await send({{"type": "http.response.body", "body": scope["doorward.verified"].account.encode()}})

app = guard.middleware("invoices:read")(account)
"""

CALL = """
import asyncio, os

def call(app, credential=None):
    sent = []
    async def send(message):
        sent.append(message)
    headers = [] if credential is None else [(b"authorization", b"Bearer " + credential.encode())]
    asyncio.run(app({"type": "http", "path": "/", "headers": headers}, None, send))
    return sent[0]["status"], sent[1]["body"]
"""


def project(folder: Path, tests: str, *, issuer: str = "", ini: str = "") -> subprocess.CompletedProcess[str]:
    """What pytest says in a project that uses the fixtures as its README has it."""
    (folder / "pytest.ini").write_text(f"[pytest]\n{ini}\n")
    (folder / "conftest.py").write_text('pytest_plugins = ["doorward_verify.testing"]\n')
    (folder / "application.py").write_text(APPLICATION.format(issuer=issuer))
    (folder / "test_application.py").write_text(
        f"from application import app, guard\n{CALL}{inspect.cleandoc(tests)}\n"
    )
    return run(folder)


def run(folder: Path) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error"]
    return subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=120, check=False)


def passed(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


KEY_AND_ITS_END = """
    def test_it(api_key, revoke, token):
        key = api_key(scope="invoices:read")
        assert call(app, key) == (200, b"acme")
        assert call(app, api_key(scope="invoices:write"))[0] == 403
        revoke(key)
        assert call(app, key)[0] == 401
        assert call(app, token(scope="invoices:read", account="globex")) == (200, b"globex")

    def test_time(clock, token):
        ended = token(scope="invoices:read", expires_in=60)
        clock.advance(71)
        assert call(app, ended)[0] == 401
"""


class TestInAProject:
    def test_an_application_is_imported_and_called_without_any_setting(self, tmp_path: Path) -> None:
        assert "2 passed" in passed(project(tmp_path, KEY_AND_ITS_END))

    def test_an_issuer_in_the_code_is_replaced_by_that_of_the_tests(self, tmp_path: Path) -> None:
        named = "https://auth.example.com"
        done = project(tmp_path, KEY_AND_ITS_END, issuer=f'"{named}", ', ini=f"doorward_issuer = {named}")
        assert "2 passed" in passed(done)

    def test_a_real_issuer_in_the_environment_is_never_asked(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("DOORWARD_ISSUER", "https://auth.example.com")
        monkeypatch.setenv("DOORWARD_VERIFIER_SECRET_FILE", "/nothing/there")
        monkeypatch.setenv("DOORWARD_CA_FILE", "/nothing/there")
        assert "2 passed" in passed(project(tmp_path, KEY_AND_ITS_END))


def test_the_readme_is_right(tmp_path: Path) -> None:
    readme = (Path(__file__).parents[2] / "verify" / "README.md").read_text("utf-8")
    service = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)[0]
    section = readme.partition("## In your tests\n")[2].partition("\n## ")[0]
    conftest, tests, settings = re.findall(r"```(?:python|toml)\n(.*?)```", section, re.DOTALL)
    for name, text in (
        ("invoices.py", service), ("conftest.py", conftest), ("test_invoices.py", tests), ("pyproject.toml", settings),
    ):  # fmt: skip
        (tmp_path / name).write_text(text)
    assert "5 passed" in passed(run(tmp_path))


AUTH_OFF = """
    def test_open(auth_off):
        assert call(app)[0] == 401
        auth_off(account="globex")
        assert call(app) == (200, b"globex")
        assert call(app, "nonsense") == (200, b"globex")

    def test_closed_again():
        assert call(app)[0] == 401

    def test_a_child_is_closed(auth_off):
        auth_off()
        assert call(app)[0] == 200
        child = os.fork()
        if child == 0:
            status = 1
            try:
                status = 0 if call(app)[0] == 401 else 2
            finally:
                os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0

    def test_a_threads_request_is_let_in(auth_off):
        from concurrent.futures import ThreadPoolExecutor
        auth_off()
        with ThreadPoolExecutor(1) as threads:
            assert threads.submit(call, app).result()[0] == 200

    def test_closed_in_the_end():
        assert call(app)[0] == 401
"""

TOO_LONG = """
    import pytest

    @pytest.fixture(scope="{scope}")
    def open_doors(auth_off):
        auth_off()

    def test_it(open_doors):
        pass
"""


class TestAuthOff:
    def test_it_ends_with_its_test_and_stays_in_its_process(self, tmp_path: Path) -> None:
        assert "5 passed" in passed(project(tmp_path, AUTH_OFF))

    @pytest.mark.parametrize("scope", ["module", "session"])
    def test_nothing_that_outlives_a_test_can_use_it(self, tmp_path: Path, scope: str) -> None:
        done = project(tmp_path, TOO_LONG.format(scope=scope))
        assert done.returncode == 1
        assert "ScopeMismatch" in done.stdout

    def test_it_can_be_called_by_pytest_alone(self) -> None:
        with pytest.raises(BaseException, match="called directly"):
            testing.auth_off(pytest.MonkeyPatch())

    def test_the_caller_has_what_the_route_asks_for_and_what_was_named(self, verifier: Verifier) -> None:
        caller = testing._caller(Door(verifier), Needs.of("invoices:read", max_age=1), "extra", {"account": "globex"})
        assert (caller.scope, caller.account) == ({"invoices:read", "extra"}, "globex")
        assert caller.audience == AUDIENCE

    @pytest.mark.parametrize("module", ["doorward_verify.testing", "doorward_verify.testing.issuer"])
    def test_importing_it_opens_no_door(self, module: str) -> None:
        code = (
            "from doorward_verify.door import Door\nfrom doorward_verify import Verifier\n"
            "before = Door.check, Door.acheck, Verifier.__init__\n"
            f"import {module}, threading, os\n"
            "assert (Door.check, Door.acheck, Verifier.__init__) == before\n"
            "assert threading.active_count() == 1 and 'DOORWARD_ISSUER' not in os.environ\n"
        )
        subprocess.run([sys.executable, "-c", code], check=True, timeout=60)

    def test_nothing_that_a_service_imports_brings_it_along(self) -> None:
        shells = [path.stem for path in Path(doorward_verify.__file__).parent.glob("[!_]*.py")]
        assert "fastapi" in shells
        code = "\n".join(f"import doorward_verify.{shell}" for shell in shells)
        code += "\nimport sys\nassert not [name for name in sys.modules if name.startswith('doorward_verify.testing')]"
        subprocess.run([sys.executable, "-c", code], check=True, timeout=120)

    def test_without_pytest_there_is_none(self) -> None:
        code = "import sys\nsys.modules['pytest'] = None\nimport doorward_verify.testing"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 1
        assert "ModuleNotFoundError" in done.stderr


def test_who_names_no_issuer_where_there_is_none_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DOORWARD_ISSUER", raising=False)
    with pytest.raises(Misconfigured, match="DOORWARD_ISSUER"):
        Verifier(audience=AUDIENCE)
