"""Where platforms report what they found: GitHub's partner programme, and GitLab's token revocation API.

POST /leaks/github                                    signed; the answer says of each whether it was a secret of ours
GET  /leaks/gitlab/v1/revocable_token_types           with an admin key (leaks:write) as the shared token
POST /leaks/gitlab/v1/revoke_tokens                   204
"""

from __future__ import annotations

from dataclasses import dataclass

from starlette.types import ASGIApp

from doorward.protocol import leak_partners as partners
from doorward.protocol.leak_partners import GITHUB, GITLAB
from doorward.protocol.refusal import InvalidRequest, NotFound, TemporarilyUnavailable
from doorward.web.admission import admit
from doorward.web.incoming import Incoming
from doorward.web.leaks import answering, take
from doorward.web.published_keys import PublishedKeys
from doorward.web.replies import JSON, NO_STORE, Reply, compact
from doorward.web.runtime import Runtime

# A few thousand reports; a call with more of them is sent in parts.
BODY_LIMIT = 4 * 1024 * 1024
# Of strangers, as GitHub is one until its signature was looked at, so many may send at a time.
SENDING_LIMIT = 16
KEY_ID, SIGNATURE = b"github-public-key-identifier", b"github-public-key-signature"
TYPES_SCOPE = "leaks:write"
TOKEN_TYPES = ("gitleaks_rule_id_doorward_api_key", "gitleaks_rule_id_doorward_secret")


def applications(runtime: Runtime) -> dict[str, ASGIApp]:
    github = GitHub(runtime.github_keys)
    base = "/leaks/gitlab/v1"
    return {
        "/leaks/github": answering(runtime, "/leaks/github", github.answer),
        f"{base}/revocable_token_types": answering(runtime, f"{base}/revocable_token_types", _types, "GET"),
        f"{base}/revoke_tokens": answering(runtime, f"{base}/revoke_tokens", _revoke),
    }


@dataclass(slots=True)
class GitHub:
    """Without keys nothing is taken in GitHub's name. `sending` counts this worker's: whoever sends slowly has a place
    among those who end a credential, and shall not have all of them."""

    keys: PublishedKeys | None
    sending: int = 0

    async def answer(self, incoming: Incoming) -> Reply:
        key_id, signature = incoming.one(KEY_ID), incoming.one(SIGNATURE)
        if self.keys is None or key_id is None or signature is None:
            raise NotFound("nothing answers at this path", reason="path_unknown")
        body = await self._sent(incoming)
        key = await self.keys.named(key_id.decode("latin-1"))
        if key is None or not partners.is_signed(body, signature, key):
            raise InvalidRequest("the report is not signed by a key of its reporter", reason="report_unsigned")
        incoming.actor = GITHUB
        found = partners.parse(body, GITHUB)
        outcomes = await take(incoming, partners.reports(found, GITHUB, incoming.runtime.policy.brand))
        return Reply(200, compact(partners.feedback(found, outcomes)), [JSON, NO_STORE])

    async def _sent(self, incoming: Incoming) -> bytes:
        if self.sending >= SENDING_LIMIT:
            raise TemporarilyUnavailable("too many reports are being sent", reason="overloaded")
        self.sending += 1
        try:
            return await incoming.body(BODY_LIMIT)
        finally:
            self.sending -= 1


async def _types(incoming: Incoming) -> Reply:
    await _admit_gitlab(incoming)
    return Reply(200, compact({"types": TOKEN_TYPES}), [JSON, NO_STORE])


async def _revoke(incoming: Incoming) -> Reply:
    await _admit_gitlab(incoming)
    found = partners.parse(await incoming.body(BODY_LIMIT), GITLAB)
    await take(incoming, partners.reports(found, GITLAB, incoming.runtime.policy.brand))
    return Reply(204, b"", [NO_STORE])


async def _admit_gitlab(incoming: Incoming) -> None:
    """GitLab sends its shared token as it is, without a scheme."""
    given = incoming.all(b"authorization")
    bare = [value for value in given if b" " not in value]
    if len(given) == 1 and bare:
        others = [(name, value) for name, value in incoming.headers if name != b"authorization"]
        incoming.headers = [*others, (b"authorization", b"Bearer " + bare[0])]
    await admit(incoming, None, TYPES_SCOPE)
