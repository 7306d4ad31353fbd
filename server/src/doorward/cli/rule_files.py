"""Rules for other scanners, made from the deployment's brand: the prefixes as keywords, the form as an expression.

RE2 knows no lookahead, so that the character behind a secret is matched beside it, in the second group or none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

KINDS = {
    "": ("api-key", "API key"), "a": ("admin-key", "admin key"), "s": ("client-secret", "client secret"),
    "r": ("refresh-token", "refresh token"), "o": ("opaque-token", "opaque access token"),
    "g": ("registration-token", "registration access token"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Rule:
    id: str
    noun: str
    prefix: str

    @property
    def secret(self) -> str:
        return rf"{self.prefix}_(?:live|test)_[0-9A-Za-z]{{50}}"

    @property
    def keywords(self) -> tuple[str, str]:
        return f"{self.prefix}_live_", f"{self.prefix}_test_"


def rules(brand: str) -> tuple[Rule, ...]:
    return tuple(Rule(f"doorward-{id_}", noun, brand + kind) for kind, (id_, noun) in KINDS.items())


def bounded(rule: Rule) -> str:
    return rf"\b({rule.secret})(?:[^0-9A-Za-z_]|$)"


def gitleaks(brand: str, issuer: str) -> str:
    return _toml(brand, issuer, "secretGroup = 1\nentropy = 3.5\n")


def _toml(brand: str, issuer: str, more: str) -> str:
    parts = ["[extend]\nuseDefault = true\n"]
    for rule in rules(brand):
        keywords = ", ".join(f'"{word}"' for word in rule.keywords)
        parts.append(
            f'\n[[rules]]\nid = "{rule.id}"\ndescription = "Doorward {rule.noun} of {issuer}"\n'
            f"regex = '''{bounded(rule)}'''\nkeywords = [{keywords}]\n{more}"
        )
    return "".join(parts)


def betterleaks(brand: str, issuer: str) -> str:
    """Since 2.0 it refuses a file with members of gitleaks' that it has expressions for; the first group is the secret.

    It may ask us: only 404 and 410 say that a secret is dead, a refused scanner knows nothing.
    """
    validate = f"""filter = '''entropy(finding["secret"]) < 3.5'''
validate = '''let r = http.post("{issuer}/leaks/verify", {{"Authorization": "Bearer " + \
env.get("DOORWARD_LEAK_TOKEN"), "Content-Type": "application/json"}}, toJSON({{"token": finding["secret"]}}));
r.status == 200 ? {{"result": "valid", "metadata": {{"key_id": r.json?.id ?? ""}}}} : \
r.status in [404, 410] ? {{"result": "revoked"}} : validate.unknown(r)'''
"""
    return _toml(brand, issuer, validate)


def trufflehog(brand: str, issuer: str) -> str:
    lines = ["detectors:"]
    for rule in rules(brand):
        name = "Doorward" + rule.id.removeprefix("doorward-").title().replace("-", "")
        lines += [
            f"  - name: {name}",
            f"    keywords: [{', '.join(rule.keywords)}]",
            rf"    regex: {{token: '\b({rule.secret})'}}",
            "    verify:",
            f"      - endpoint: {issuer}/leaks/verify",
            '        headers: ["Authorization: Bearer DOORWARD_LEAK_TOKEN", "Content-Type: application/json"]',
            '        successRanges: ["200"]',
            '        rotatedRanges: ["404", "410"]',
        ]
    return "\n".join(lines) + "\n"


_PLUGIN = '''"""Finds the secrets of {issuer}: detect-secrets scan -p THIS_FILE"""

import re
import zlib

from detect_secrets.plugins.base import RegexBasedDetector

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def checksum_fits(secret):
    rest, digits = zlib.crc32(secret[:-6].encode()), ""
    for _ in range(6):
        rest, digit = divmod(rest, 62)
        digits = ALPHABET[digit] + digits
    return digits == secret[-6:]


class DoorwardDetector(RegexBasedDetector):
    secret_type = "Doorward secret"
    denylist = (re.compile(r"{pattern}"),)

    def analyze_string(self, string):
        return (found for found in super().analyze_string(string) if checksum_fits(found))
'''


def detect_secrets(brand: str, issuer: str) -> str:
    """A plugin, which can check the checksum: what it finds is no guess."""
    kinds = "".join(kind for kind in KINDS if kind)
    pattern = rf"\b{brand}[{kinds}]?_(?:live|test)_[0-9A-Za-z]{{50}}(?![0-9A-Za-z_])"
    return _PLUGIN.format(issuer=issuer, pattern=pattern)


def github(brand: str, issuer: str) -> str:
    """The fields of a custom pattern, to be typed into a repository's or organisation's settings."""
    parts = [f"# Custom patterns for the secrets of {issuer}: one for each kind.\n"]
    for rule in rules(brand):
        parts.append(
            f"\nPattern name:   Doorward {rule.noun}\nSecret format:  {rule.secret}\n"
            "Before secret:  \\A|[^0-9A-Za-z]\nAfter secret:   \\z|[^0-9A-Za-z_]\n"
        )
    return "".join(parts)


def gitlab(brand: str, issuer: str) -> str:
    """A ruleset of secret detection; the ids are those that /leaks/gitlab/v1/revocable_token_types names."""
    kinds = "".join(kind for kind in KINDS if kind)
    named = (
        ("doorward_api_key", "API key", brand, ()), ("doorward_secret", "secret", f"{brand}[{kinds}]", tuple(kinds)),
    )  # fmt: skip
    parts = [f'title = "Secrets of {issuer}"\n']
    for id_, noun, prefix, letters in named:
        words = [f"{brand}{letter}_{env}_" for letter in letters or ("",) for env in ("live", "test")]
        regex = bounded(Rule(id_, noun, prefix))
        keywords = ", ".join(f'"{word}"' for word in words)
        parts.append(
            f'\n[[rules]]\nid = "{id_}"\ntitle = "Doorward {noun}"\ndescription = "A Doorward {noun}"\n'
            f"regex = '''{regex}'''\nsecretGroup = 1\nkeywords = [{keywords}]\ntags = [\"gitlab_blocking\"]\n"
        )
    return "".join(parts)


WRITERS: Mapping[str, Callable[[str, str], str]] = {
    "gitleaks": gitleaks, "betterleaks": betterleaks, "trufflehog": trufflehog, "detect-secrets": detect_secrets,
    "github": github, "gitlab": gitlab,
}  # fmt: skip
