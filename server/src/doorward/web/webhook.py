"""The one webhook of a deployment: each message is handed over under the guard of every call out, and signed anew.

Whoever is named in the settings on this machine may be called there; else special-use addresses are refused.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import urlsplit

from doorward.fetch import Fetch, FetchFailed
from doorward.protocol import webhook
from doorward.protocol.webhook import Message
from doorward.settings import Settings, is_loopback

# The specification's: an endpoint that is gone for good.
GONE = 410


@dataclass(frozen=True, slots=True)
class Webhook:
    url: str
    secrets: tuple[bytes, ...] = field(repr=False)
    fetch: Fetch = field(repr=False)

    async def send(self, message: Message, now: int) -> None:
        """Raises FetchFailed unless it was taken, or never will be."""
        content = message.body(datetime.fromtimestamp(message.at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))
        headers = webhook.headers(message.id, content, self.secrets, now)
        answer = await self.fetch.hand_over(self.url, content, {"content-type": "application/json", **headers})
        if answer.status != GONE and not 200 <= answer.status < 300:
            raise FetchFailed(f"status_{answer.status}")


def configured(settings: Settings) -> Webhook | None:
    text = settings.secret("webhook_secret")
    if settings.webhook_url is None or text is None:
        return None
    on_loopback = is_loopback(urlsplit(settings.webhook_url).hostname or "")
    fetch = Fetch(settings.outbound_networks, settings.outbound_ca_file, on_loopback=on_loopback)
    return Webhook(settings.webhook_url, webhook.secrets(text), fetch)
