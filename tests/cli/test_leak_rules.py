"""`doorward leaks rules`: by the engines of other scanners they find every kind of secret, wherever it stands."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import re2
from detect_secrets import SecretsCollection
from detect_secrets.settings import transient_settings
from tests.protocol.given import a_secret

from doorward.cli import rule_files
from doorward.cli.main import main
from doorward_verify import api_key

ISSUER = "https://auth.example.com"
KINDS = ("", "a", "s", "r", "o", "g")
PLACES = (
    'KEY="{}"', "KEY='{}';", "https://api.example.com/v1?k={}&a=1", "https://{}@api.example.com", "key: {}",
    "  - {}", "X-API-Key: {}", "Authorization: Bearer {}\r", "{}", '{{"key": "{}"}}', "key={},next",
)  # fmt: skip
WRONG = ("{}x", "{}_", "dw{}")


def written(name: str, capsys: pytest.CaptureFixture[str], *more: str) -> str:
    assert main(["leaks", "rules", "--format", name, "--issuer", ISSUER, *more]) == 0
    return capsys.readouterr().out


def forged(kind: str) -> str:
    """A checksum that does not fit."""
    secret = a_secret(kind)
    return secret[:-1] + ("0" if secret[-1] != "0" else "1")


def gitleaks_finds(rules: list[dict[str, Any]], line: str) -> set[str]:
    """As gitleaks does it: a keyword first, in lower case, then RE2, then the secret's group."""
    found = set()
    for rule in rules:
        if any(word.lower() in line.lower() for word in rule["keywords"]):
            found |= {match.group(rule.get("secretGroup", 1)) for match in re2.finditer(rule["regex"], line)}
    return found


@pytest.mark.parametrize("name", ["gitleaks", "betterleaks", "gitlab"])
def test_rules_for_engines_of_re2_find_every_kind_in_every_place(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    rules = tomllib.loads(written(name, capsys))["rules"]
    for kind in KINDS:
        secret = a_secret(kind)
        for place in PLACES:
            assert gitleaks_finds(rules, place.format(secret)) == {secret}, place
        for place in WRONG:
            assert gitleaks_finds(rules, place.format(secret)) == set(), place


def test_betterleaks_asks_us_and_a_refused_scanner_takes_nothing_for_dead(capsys: pytest.CaptureFixture[str]) -> None:
    rules = tomllib.loads(written("betterleaks", capsys))["rules"]
    assert len(rules) == len(KINDS)
    for rule in rules:
        assert f'http.post("{ISSUER}/leaks/verify"' in rule["validate"]
        assert "secretGroup" not in rule
        assert "[404, 410]" in rule["validate"]
        assert "401" not in rule["validate"]


def test_trufflehog_finds_every_kind(capsys: pytest.CaptureFixture[str]) -> None:
    text = written("trufflehog", capsys)
    expressions = re.findall(r"regex: \{token: '(.*)'\}", text)
    keywords = [words.split(", ") for words in re.findall(r"keywords: \[(.*)\]", text)]
    assert len(expressions) == len(keywords) == text.count(f"{ISSUER}/leaks/verify") == len(KINDS)
    for kind in KINDS:
        for place in PLACES:
            line = place.format(a_secret(kind))
            told = [
                match.group(1)
                for expression, words in zip(expressions, keywords, strict=True)
                if any(word in line for word in words)
                for match in re2.finditer(expression, line)
            ]
            assert told == [a_secret(kind)], place


def test_github_is_given_the_form_and_what_may_stand_around_it(capsys: pytest.CaptureFixture[str]) -> None:
    text = written("github", capsys)
    forms = re.findall(r"Secret format:  (.*)", text)
    (before,), (after,) = set(re.findall(r"Before secret:  (.*)", text)), set(re.findall(r"After secret:   (.*)", text))
    for kind in KINDS:
        for place in PLACES:
            line = place.format(a_secret(kind))
            found = {m.group(1) for f in forms for m in re2.finditer(f"(?:{before})({f})(?:{after})", line)}
            assert found == {a_secret(kind)}, place


def detect(plugin: Path, file: Path, lines: list[str]) -> set[str]:
    file.write_text("\n".join(lines) + "\n")
    with transient_settings({"plugins_used": [{"name": "DoorwardDetector", "path": plugin.as_uri()}]}):
        collection = SecretsCollection()
        collection.scan_file(str(file))
        return {secret.secret_value for _, secret in collection}


def test_detect_secrets_finds_every_kind_in_every_place_and_checks_the_checksum(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plugin = tmp_path / "doorward_plugin.py"
    plugin.write_text(written("detect-secrets", capsys))
    file = tmp_path / "planted.txt"
    for place in PLACES:
        secrets = [a_secret(kind, seed=place) for kind in KINDS]
        assert detect(plugin, file, [place.format(secret) for secret in secrets]) == set(secrets), place
    assert detect(plugin, file, [forged(kind) for kind in KINDS]) == set()
    assert detect(plugin, file, [place.format(a_secret()) for place in WRONG]) == set()


def test_rules_follow_the_brand(capsys: pytest.CaptureFixture[str]) -> None:
    rules = tomllib.loads(written("gitleaks", capsys, "--brand", "acme"))["rules"]
    secret = api_key.assemble("acme", "a", "test", "a" * 12, "b" * 32)
    assert gitleaks_finds(rules, secret) == {secret}
    assert gitleaks_finds(rules, a_secret()) == set()


def test_every_kind_has_a_keyword_of_its_own() -> None:
    for rule in rule_files.rules("dw"):
        others = [other for other in rule_files.rules("dw") if other != rule]
        assert not any(word in keyword for word in rule.keywords for other in others for keyword in other.keywords)
