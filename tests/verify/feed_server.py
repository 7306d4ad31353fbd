"""An issuer that tells of revocations as Doorward does, and that forgets, repeats, lies and falls silent as told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.verify.issuer_server import METADATA, Issuer, Reply
from tests.verify.issuing import AUDIENCE, SigningKey, dumps, ec_key, header, jwks, signed

from doorward_verify.testing.feed import JWKS as FEED_JWKS
from doorward_verify.testing.feed import LOG, STREAM, Listener, RevocationFeed, event
from doorward_verify.testing.server import Conversation

__all__ = ["FEED_JWKS", "FEED_KEY", "LOG", "STREAM", "FeedIssuer", "event"]

FEED_KEY = "feed-1"


class FeedIssuer(RevocationFeed, Issuer):
    """`epoch` and `seq` are the head of its journal. It has a heartbeat for each new stream, else as the test says."""

    def __init__(self, now: Callable[[], float], *arguments: Any) -> None:
        RevocationFeed.__init__(self, now, lambda claims: self.heartbeat(**claims))
        Issuer.__init__(self, *arguments)
        self.resumed: list[str] = []
        self.greets = True
        self.refuses = 0
        self.replies[METADATA] = Reply(self.metadata())
        self.replies[FEED_JWKS] = Reply(jwks(ec_key(FEED_KEY)))
        self.conversations = {LOG: self.answer, STREAM: self._pour}

    def metadata(self, **changes: Any) -> dict[str, Any]:
        feed = {"revocations_endpoint": LOG, "revocations_stream_endpoint": STREAM, "revocations_jwks_uri": FEED_JWKS}
        return super().metadata(**{name: self.origin + path for name, path in feed.items()}, **changes)

    @property
    def streams(self) -> list[Listener]:
        return self.listeners

    def move(self) -> None:
        """Something happened that concerns nobody here."""
        self.seq += 1

    def say(self, chunk: bytes) -> None:
        """Exactly these bytes, to everybody."""
        for listener in self.listeners:
            listener.waiting.put(chunk)

    def restore(self) -> None:
        """From a backup: another epoch, whatever came after it is lost."""
        self.epoch, self.log = self.epoch + 1, []
        self.cut()

    def heartbeat(self, last: str, key: SigningKey | None = None, typ: str = "feed+jwt", **changes: Any) -> str:
        key = key or ec_key(FEED_KEY)
        claims = {"iss": self.url, **self.claims(AUDIENCE, last), **changes}
        return signed(key, dumps(header(key, typ=typ)), dumps(claims))

    def _pour(self, conversation: Conversation) -> None:
        self.resumed.append(conversation.headers["last-event-id"])
        if self.refuses:
            conversation.reply(self.refuses, b"{}")
        else:
            self.pour(conversation, AUDIENCE, greets=self.greets)
