"""The package as others see it: its names, its weight, and its README."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import doorward_verify

README = Path(__file__).resolve().parents[2] / "verify" / "README.md"
PURE = ["reasons", "errors", "scope", "api_key", "strict_json", "jwt", "access_token", "verified", "request_id",
        "credential", "challenge", "introspected", "verdict", "memory", "token_cache",
        "needs", "protected_resource"]  # fmt: skip
NETWORK = {"socket", "ssl", "http.client", "urllib.request", "asyncio", "fastapi", "starlette"}


def test_every_public_name_is_there_and_no_other_is() -> None:
    for name in doorward_verify.__all__:
        assert getattr(doorward_verify, name)
    assert len(doorward_verify.__all__) == 12
    with pytest.raises(AttributeError, match="nothing_like_it"):
        doorward_verify.nothing_like_it  # noqa: B018


@pytest.mark.parametrize("module", PURE)
def test_a_pure_module_brings_no_network_with_it(module: str) -> None:
    code = f"import doorward_verify.{module}, sys; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert NETWORK & set(loaded) == set()


def test_the_python_of_the_readme_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOORWARD_VERIFIER_ID", "verifier_1")
    monkeypatch.setenv("DOORWARD_VERIFIER_SECRET", "s3cret")
    guard, plain, *_ = re.findall(r"```python\n(.*?)```", README.read_text("utf-8"), re.DOTALL)
    guarded, bare = {"__name__": "guard"}, {"__name__": "plain"}
    exec(compile(guard, "README", "exec"), guarded)
    exec(compile(plain, "README", "exec"), bare)
    assert "/invoices" in guarded["app"].openapi()["paths"]  # type: ignore[attr-defined]
    answer = bare["caller_of"]("Bearer nonsense")  # type: ignore[operator]
    assert (answer.status, answer.body["reason"]) == (401, "credential_unknown")
