"""The first use of a key that was imported by its bcrypt hash: from then on it is known by a MAC, as all others are.

Comparing is slow work outside, and arrives here as a fact (decision 28).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from doorward.protocol import legacy
from doorward.protocol.credential import ApiKeyFacts
from doorward.protocol.decision import Decision
from doorward.protocol.key_events import ApiKeyRehashed
from doorward.protocol.moment import Moment
from doorward.protocol.policy import Policy
from doorward_verify import api_key


@dataclass(frozen=True, slots=True)
class Shown:
    """A text that may be such a key."""

    text: str = field(repr=False)

    @property
    def digest(self) -> bytes:
        return api_key.digest(self.text)

    @property
    def prefixes(self) -> list[str]:
        """What it may be found by; nothing finds what is longer than bcrypt reads."""
        return legacy.prefixes(self.text) if len(self.text) <= legacy.BCRYPT_READS else []


@dataclass(frozen=True, slots=True)
class Rehash:
    """`bcrypt` is the hash that the text matched."""

    secret_id: str
    bcrypt: str = field(repr=False)
    digest: bytes = field(repr=False)


def decide(request: Rehash, facts: ApiKeyFacts | None, policy: Policy, moment: Moment) -> Decision[None]:
    """Whether the key is good is decided afterwards, as of any other."""
    if facts is None or facts.secret.bcrypt != request.bcrypt:
        return Decision(None)
    mac = policy.pepper.mac(request.digest)
    known = replace(facts.secret, mac=mac, pepper_version=policy.pepper.current, bcrypt=None)
    return Decision(None, (ApiKeyRehashed(facts.api_key, known),))
