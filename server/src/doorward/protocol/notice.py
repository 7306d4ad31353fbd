"""What people are told of a leak, of a decoy that was tried, or of a key that ends soon: never the secret."""

from __future__ import annotations

from dataclasses import dataclass

from doorward.protocol.entities import ApiKey, Leak

NOUNS = {
    "api_key": "api key", "test_api_key": "test api key", "client_secret": "client secret",
    "verifier_secret": "verifier secret", "admin_key": "admin key", "refresh_token": "refresh token",
    "opaque_token": "access token", "jwt": "access token",
}  # fmt: skip
OUTCOMES = {
    "revoked": "It was revoked at once: nothing accepts it any more. Make a new one where it is needed.",
    "flagged": "It was not revoked, but flagged. Decide what is to become of it.",
    "decoy": "It is a decoy, so that nothing opens with it: where it was found is where somebody reads along.",
}


@dataclass(frozen=True, slots=True)
class Letter:
    subject: str
    text: str


def of_leak(leak: Leak, owner: str, deployment: str, issuer: str) -> Letter:
    noun = NOUNS[leak.credential]
    lines = [
        f"The {noun} {leak.credential_id} of {owner} was found where it does not belong.",
        "",
        OUTCOMES[leak.outcome],
        "",
        f"  {noun}: {leak.owner_id} (the public part of its text is {leak.credential_id})",
        f"  reported by: {leak.origin}",
        *(f"  found at: {place}" for place in leak.locations),
        "",
        "Where it was found is what the reporter says; nobody checked it, and you need not open it.",
        "",
        f"doorward leaks show {leak.id}",
        issuer,
        "",
    ]
    verb = "was revoked" if leak.outcome == "revoked" else "was found"
    return Letter(f"{deployment}: a leaked {noun} {verb}", "\n".join(lines))


def of_decoy(key: ApiKey, tried_by: str, deployment: str, issuer: str) -> Letter:
    lines = [
        f"Somebody tried the decoy {key.id} ({key.name}), which was laid out to be found.",
        "",
        "It opened nothing. Whoever tried it has read the place where it lay: look what else lies there.",
        "",
        f"  seen by: {tried_by}",
        "",
        f"doorward audit list --entity {key.id}",
        issuer,
        "",
    ]
    return Letter(f"{deployment}: a decoy was tried", "\n".join(lines))


def of_expiry(
    key: ApiKey, owner: str, days: int, ends: str, used: str | None, deployment: str, issuer: str
) -> Letter:  # fmt: skip
    """Nothing prolongs a key: another one takes its place. `ends` and `used` are times as people write them."""
    within = "a day" if days == 1 else f"{days} days"
    lines = [
        f"The api key {key.id} ({key.name}) of {owner} ends within {within}: at {ends}.",
        "",
        "Whatever uses it then is refused. Make another key, and put it in the place of this one."
        if used
        else "It has not been used yet, so that nobody may miss it.",
        "",
        f"  last used: {used or 'never'}",
        f"  scope: {' '.join(sorted(key.scope))}",
        "",
        f"doorward keys show {key.id}",
        issuer,
        "",
    ]
    return Letter(f"{deployment}: an api key ends within {within}", "\n".join(lines))
