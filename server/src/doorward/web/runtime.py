"""What one process needs to answer: the store, the signer, and the keys for its own small seals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from doorward import gateway_settings
from doorward.fetch import Fetch
from doorward.passwords import Passwords, SlowKeys
from doorward.protocol import password
from doorward.protocol.policy import Policy
from doorward.protocol.secret import Pepper
from doorward.settings import Settings
from doorward.sign import Keyring, Signer
from doorward.store.limits import Cells, InDatabase
from doorward.store.store import Store
from doorward.upstream_settings import upstreams
from doorward.web import mail, published_keys, webhook
from doorward.web.brand import LOGO_TYPES, Brand, sheet
from doorward.web.fan_out import FanOut
from doorward.web.limiter import Limiter
from doorward.web.logos import Logos
from doorward.web.mail import Mail
from doorward.web.metrics import Metrics
from doorward.web.presence import Presence
from doorward.web.published_keys import PublishedKeys
from doorward.web.webhook import Webhook

if TYPE_CHECKING:
    from doorward.web.providers import Provider

REQUEST_IDS, CURSORS, REPLIES = "request ids", "cursors", "idempotent replies"


@dataclass(frozen=True, slots=True)
class Runtime:
    """Made once a process; `node` is this process's number in request ids, from 1."""

    store: Store
    signer: Signer
    metrics: Metrics
    fan_out: FanOut
    node: int
    limiter: Limiter
    presence: Presence
    keyring: Keyring = field(repr=False)
    passwords: Passwords = field(default_factory=Passwords)
    slow_keys: SlowKeys = field(default_factory=SlowKeys)
    brand: Brand = field(default_factory=Brand)
    mail: Mail | None = None
    leaked: frozenset[str] = field(default=frozenset(), repr=False)
    fetch: Fetch = field(default_factory=Fetch)
    logos: Logos = field(default_factory=lambda: Logos(Fetch()))
    providers: Mapping[str, Provider] = field(default_factory=dict)
    github_keys: PublishedKeys | None = None
    webhook: Webhook | None = None

    @property
    def policy(self) -> Policy:
        return self.store.policy

    @property
    def request_id_key(self) -> bytes:
        return self.keyring.key(REQUEST_IDS)


def policy(settings: Settings, peppers: Mapping[int, bytes], pepper_version: int) -> Policy:
    return Policy(
        issuer=settings.issuer,
        pepper=Pepper(peppers, pepper_version),
        brand=settings.brand,
        signing_key_lifetime=settings.signing_key_lifetime,
        session_lifetime=settings.session_lifetime,
        session_idle_lifetime=settings.session_idle_lifetime,
        password_change_ends_sessions=settings.password_change_ends_sessions,
        refresh_token_lifetime=settings.refresh_token_lifetime,
        refresh_token_idle_lifetime=settings.refresh_token_idle_lifetime,
        refresh_token_overlap=settings.refresh_token_overlap,
        upstreams=upstreams(settings.upstream),
        leaks_flagged=frozenset(settings.leaks_flagged),
        leaks_ignored=frozenset(settings.leaks_ignored),
        routes=gateway_settings.table(settings.gateway.routes),
    )


def runtime(
    store: Store, keyring: Keyring, metrics: Metrics, node: int, settings: Settings, presence: Presence
) -> Runtime:
    signer = Signer(keyring)
    fetch = Fetch(settings.outbound_networks, settings.outbound_ca_file)
    return Runtime(
        store, signer, metrics, FanOut(store, signer, metrics), node, _limiter(store, metrics, settings),
        presence, keyring,
        brand=_brand(settings), mail=mail.configured(settings), leaked=_leaked(settings),
        fetch=fetch, logos=Logos(fetch), providers=_providers(settings),
        github_keys=published_keys.configured(settings), webhook=webhook.configured(settings),
    )  # fmt: skip


def _limiter(store: Store, metrics: Metrics, settings: Settings) -> Limiter:
    failed = metrics.uncounted if settings.on_limiter_failure == "allow" else None
    return Limiter(_cells(store, settings), settings.limit_precision, failed)


def _cells(store: Store, settings: Settings) -> Cells:
    """The client is imported where somebody has a server for it."""
    url = settings.secret("limits_url")
    if url is None:
        return InDatabase(store)
    from doorward.store.limits_in_valkey import InValkey

    return InValkey(url, settings.limits_ca_file, settings.issuer, InDatabase(store))


def _providers(settings: Settings) -> Mapping[str, Provider]:
    """Authlib is imported where somebody needs it."""
    if not settings.upstream:
        return {}
    from doorward.web import providers

    return providers.configured(settings)


def _leaked(settings: Settings) -> frozenset[str]:
    """Compared as people vary them: whatever the case."""
    file = settings.leaked_passwords
    lines = () if file is None else file.read_text("utf-8", "replace").splitlines()
    return frozenset(password.normal(line).casefold() for line in lines)


def _brand(settings: Settings) -> Brand:
    logo = settings.logo
    kind = "" if logo is None else LOGO_TYPES[logo.suffix.lower()]
    image = None if logo is None else logo.read_bytes()
    return Brand(settings.display_name, image, kind, sheet(settings.accent_color))
