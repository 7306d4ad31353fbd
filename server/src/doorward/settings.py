"""Settings: every value, its default and the reason for it; flags win, then environment, then doorward.toml.

Environment: `DOORWARD__PORT=9443`; secrets also from a file: `DOORWARD__PEPPER_FILE=/run/secrets/pepper`.
What is unsafe in their combination is refused by `doorward.refusals`.
"""

import base64
import binascii
import ipaddress
import json
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from doorward.audit_settings import AuditSettings
from doorward.check_settings import CheckSettings, ListenAddress
from doorward.gateway_settings import GatewaySettings
from doorward.limit_settings import LimitSettings
from doorward.node_settings import NodeSettings
from doorward.protocol.leak import KINDS
from doorward.upstream_settings import UpstreamSettings

PREFIX = "DOORWARD__"
# What the last `serve` was told, kept in the data directory so that the command line names the same issuer.
SERVED_FILE = "served.json"
REMEMBERED = ("issuer", "host", "port", "no_tls", "tls_cert", "tls_key", "host_names", "brand", "database")
TABLES = ("audit", "upstream", "gateway")
UPSTREAM_NAME = r"^[a-z][a-z0-9_]{0,30}$"
_HOST_NAME = re.compile(r"(?=.{1,253}$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*")


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why the start is refused, in one sentence, and the three ways out."""

    sentence: str
    ways_out: tuple[str, str, str]


class StartRefused(Exception):  # noqa: N818
    def __init__(self, *refusals: Refusal) -> None:
        super().__init__("; ".join(refusal.sentence for refusal in refusals))
        self.refusals = refusals


def _words(value: object) -> object:
    return tuple(word.strip() for word in value.split(",") if word.strip()) if isinstance(value, str) else value


def _networks(values: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(str(ipaddress.ip_network(value)) for value in values)


def _names(values: tuple[str, ...]) -> tuple[str, ...]:
    names = tuple(value.lower().rstrip(".") for value in values)
    if not all(address_of(name) or _HOST_NAME.fullmatch(name) for name in names):
        raise ValueError("a host name or an IP address is expected")
    return names


def _leak_kinds(values: tuple[str, ...]) -> tuple[str, ...]:
    if not set(values) <= set(KINDS):
        raise ValueError(f"kinds are {', '.join(KINDS)}")
    return values


def _https_url(value: str | None) -> str | None:
    if value is not None and not value.startswith("https://") and not is_loopback(urlsplit(value).hostname or ""):
        raise ValueError("an https:// URL is expected")
    return value


def _issuer(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("https", "http") or not parts.hostname:
        raise ValueError("an https:// URL is expected")
    if parts.query or parts.fragment or parts.username is not None or "?" in value or "#" in value:
        raise ValueError("an issuer has no query, fragment or user name (RFC 8414 §2)")
    return value.rstrip("/")


def _default_issuer(values: dict[str, Any]) -> str:
    host = values.get("host", "localhost")
    address = address_of(host)
    if address is not None:
        host = "localhost" if address.is_unspecified or address.is_loopback else host
    host = f"[{host}]" if ":" in host else host
    scheme = "http" if values.get("no_tls") else "https"
    return f"{scheme}://{host}:{values.get('port', 8443)}"


def _default_database(values: dict[str, Any]) -> str:
    directory = Path(values.get("data_dir", "doorward-data"))
    return f"sqlite:///{directory.absolute() / 'doorward.db'}"


Words = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_words)]
SecretName = Literal["master_key", "pepper", "smtp_url", "webhook_secret", "check_secret", "limits_url"]


class Settings(LimitSettings, CheckSettings, NodeSettings):
    """Every name is a key of doorward.toml and `DOORWARD__NAME`; most are flags too. Each upstream is a table."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_nested_delimiter="__", env_ignore_empty=True, extra="forbid", frozen=True,
        hide_input_in_errors=True,
    )  # fmt: skip

    data_dir: Path = Field(
        Path("doorward-data"), description="Database, keys and certificates; private to one user (0700)."
    )
    host: str = Field(
        "localhost",
        description="Address to listen on; localhost is 127.0.0.1 and ::1: nothing leaks by default.",
    )
    port: int = Field(8443, ge=1, le=65535, description="Needs no privileges and is not taken by a web server.")
    no_tls: bool = Field(False, description="Plain HTTP, on loopback only: for a proxy beside it, and for measuring.")
    issuer: Annotated[str, AfterValidator(_issuer)] = Field(
        default_factory=_default_issuer,
        description="The name in every token; never taken from a request, so that no header forges it.",
    )
    database: str = Field(
        default_factory=_default_database,
        repr=False,
        description="sqlite:///FILE (embedded, the default) or postgresql://... when it grows.",
    )
    database_file: Path | None = Field(
        None, description="A file that holds the database URL, which may hold a password."
    )
    tls_cert: Path | None = Field(None, description="Certificate chain (PEM) instead of the local CA's; reloaded live.")
    tls_key: Path | None = Field(None, description="Its private key (PEM); reloaded live.")
    plaintext_listen: ListenAddress | None = Field(
        None,
        description="Such as 0.0.0.0:80: it serves nothing, sends people to https://, and revokes what arrives there.",
    )
    behind_proxy: Annotated[Words, AfterValidator(_networks)] = Field(
        (),
        description="Networks of proxies whose X-Forwarded-Proto and X-Forwarded-For are believed; nobody else's are.",
    )
    host_names: Annotated[Words, AfterValidator(_names)] = Field(
        (), description="More names for the local certificate; the local CA can sign for no others."
    )
    workers: int = Field(1, ge=1, le=64, description="Processes; one per core when one is not enough.")
    brand: str = Field(
        "dw",
        pattern=r"^[a-z][a-z0-9]{1,15}$",
        description="First letters of every key, for leak scanners to find.",
    )
    signing_key_lifetime: int = Field(
        30 * 86_400,
        ge=3600,
        description="Seconds that a key signs before its spare does; a stolen one is of use for no longer.",
    )
    display_name: str = Field("Doorward", min_length=1, max_length=50, description="What pages call this deployment.")
    logo: Path | None = Field(None, description="An image beside that name: .svg, .png, .webp or .jpg.")
    accent_color: str | None = Field(
        None, pattern=r"^#[0-9a-fA-F]{6}$", description="Of buttons and links, such as #0f766e; kept legible by itself."
    )
    session_lifetime: int = Field(
        7 * 86_400, ge=300, le=90 * 86_400, description="Seconds until somebody must sign in again, whatever he does."
    )
    session_idle_lifetime: int = Field(
        86_400, ge=300, le=90 * 86_400, description="Seconds without a visit after which he must, too."
    )
    password_change_ends_sessions: bool = Field(
        True, description="A new password ends the user's other sessions, and the tokens that began in them."
    )
    refresh_token_lifetime: int = Field(
        90 * 86_400, ge=300, le=90 * 86_400, description="Seconds until a user must allow a client again, at most."
    )
    refresh_token_idle_lifetime: int = Field(
        30 * 86_400, ge=300, le=90 * 86_400, description="Seconds after which a refresh token that nobody used is dead."
    )
    refresh_token_overlap: int = Field(
        10, ge=0, le=60, description="Seconds in which a client whose answer was lost gets the same again; 0: never."
    )
    audit: AuditSettings = Field(
        default_factory=AuditSettings, description="How long the audit log is kept, and where it goes then."
    )
    leaks_flagged: Annotated[Words, AfterValidator(_leak_kinds)] = Field(
        (), description="Kinds of secrets that a report of a leak only flags, such as test_api_key; others end at once."
    )
    leaks_ignored: Annotated[Words, AfterValidator(_leak_kinds)] = Field(
        (), description="Kinds of secrets whose reports are ignored: those that are meant to be public."
    )
    github_keys: Annotated[str | None, AfterValidator(_https_url)] = Field(
        None,
        description="https://api.github.com/meta/public_keys/secret_scanning, once GitHub knows the brand's prefix.",
    )
    github_ca_file: Path | None = Field(None, description="Whom to trust for it beside the system's authorities (PEM).")
    leaked_passwords: Path | None = Field(
        None, description="A file of passwords that others know, one a line: nobody can choose one of them."
    )
    smtp_url: SecretStr | None = Field(
        None,
        description="smtps://user:password@host, or smtp://... with STARTTLS; sends links to reset a password.",
    )
    smtp_url_file: Path | None = Field(None, description="A file that holds smtp_url.")
    smtp_from: str | None = Field(
        None,
        pattern=r"^[^\s@<>]+@[^\s@<>]+$",
        description="The sender of those letters; by default no-reply@ the issuer.",
    )
    webhook_url: Annotated[str | None, AfterValidator(_https_url)] = Field(
        None, description="Where leaks, decoys and keys that end are told of, as Standard Webhooks signs it."
    )
    webhook_secret: SecretStr | None = Field(
        None, description="whsec_ and base64 of 24 to 64 random bytes; two between spaces while they change."
    )
    webhook_secret_file: Path | None = Field(None, description="A file that holds webhook_secret.")
    smtp_ca_file: Path | None = Field(None, description="Whom to trust instead of the system's authorities (PEM).")
    outbound_networks: Annotated[Words, AfterValidator(_networks)] = Field(
        (), description="Internal networks that clients' own addresses may lie in; none else is ever called."
    )
    outbound_ca_file: Path | None = Field(
        None, description="Whom to trust, beside the system's authorities, where the server calls others (PEM)."
    )
    upstream: dict[Annotated[str, Field(pattern=UPSTREAM_NAME)], UpstreamSettings] = Field(
        default_factory=dict, repr=False, description="Where people have logins already; a table each."
    )
    gateway: GatewaySettings = Field(
        default_factory=lambda: GatewaySettings(routes=()),
        description="Which requests gateways let through; routes are a table each.",
    )
    master_key: SecretStr | None = Field(
        None,
        description='Base64url, or {"1": "...", "2": "..."} by version; the same for all nodes. Default: a file.',
    )
    master_key_file: Path | None = Field(None, description="A file that holds master_key.")
    pepper: SecretStr | None = Field(
        None, description='Base64url, or {"1": "...", "2": "..."} by version. Default: a file in data_dir.'
    )
    pepper_file: Path | None = Field(None, description="A file that holds pepper.")

    def secret(self, name: SecretName) -> str | None:
        value: SecretStr | None = getattr(self, name)
        file: Path | None = getattr(self, f"{name}_file")
        return value.get_secret_value() if value else _contents(file) if file else None

    def names(self) -> tuple[str, ...]:
        """Names of the local certificate."""
        issuer = urlsplit(self.issuer).hostname or "localhost"
        return tuple(dict.fromkeys(("localhost", "127.0.0.1", "::1", issuer, *self.host_names)))

    def local_ca(self) -> bool:
        return not self.no_tls and self.tls_cert is None


def load(
    flags: Mapping[str, object] | None = None, config: Path | None = None, *, remembered: bool = False
) -> Settings:
    """Flags left at None were not given; `remembered` adds what the last `serve` was told, below the rest."""
    given = {name: value for name, value in (flags or {}).items() if value is not None and value != ()}
    _refuse_unknown_environment()
    file = _read_toml(config)
    settings = _build(given, file, {})
    served = settings.data_dir / SERVED_FILE
    if remembered and served.is_file():
        settings = _build(given, file, json.loads(served.read_text("utf-8")))
    if settings.database_file:
        settings = settings.model_copy(update={"database": _contents(settings.database_file)})
    return settings


def _build(flags: Mapping[str, Any], file: Mapping[str, Any], served: Mapping[str, Any]) -> Settings:
    class Layered(Settings):
        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
            file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            below = (InitSettingsSource(settings_cls, dict(values)) for values in (file, served))
            return (init_settings, env_settings, *below)

    try:
        return Layered(**flags)
    except ValidationError as error:
        raise StartRefused(*(_misread(_name_of(e["loc"]), e["msg"]) for e in error.errors() if e["loc"])) from None


def _name_of(location: tuple[int | str, ...]) -> str:
    """Of a table within, down to its key; of a list, no further than its name."""
    return ".".join(map(str, location if location[0] in TABLES else location[:1]))


def _misread(name: str, message: str) -> Refusal:
    text = message.removeprefix("Value error, ")
    flag = f"correct --{name.replace('_', '-')}, if it was given"
    ways = (
        flag if "." not in name else f"leave the table {name.rpartition('.')[0]} out",
        f"correct {PREFIX}{name.upper().replace('.', '__')} in the environment",
        f"correct {name} in doorward.toml, or leave it out for the default",
    )
    return Refusal(f"the setting {name} is not usable: {text[:1].lower()}{text[1:]}", ways)


def _refuse_unknown_environment() -> None:
    known = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields}
    for name in os.environ:
        within = name.upper().startswith(tuple(f"{PREFIX}{table.upper()}__" for table in TABLES))
        if name.upper().startswith(PREFIX) and name.upper() not in known and not within:
            raise StartRefused(_misread(name.upper().removeprefix(PREFIX).lower(), "there is no such setting"))


def _read_toml(config: Path | None) -> dict[str, Any]:
    path = config or Path("doorward.toml")
    if config is None and not path.is_file():
        return {}
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not TOML"
        ways = ("correct the file", "name another with --config", "leave it out: every setting has a default")
        raise StartRefused(Refusal(f"{path} cannot be read: {reason}", ways)) from None


def _contents(file: Path) -> str:
    try:
        return file.read_text("utf-8").strip()
    except (OSError, ValueError):
        ways = ("create the file", "let this user read it", "leave the setting out for the default")
        raise StartRefused(Refusal(f"the secret file {file} cannot be read", ways)) from None


def address_of(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return None


def is_loopback(host: str) -> bool:
    address = address_of(host)
    return host.lower() == "localhost" if address is None else address.is_loopback


def pepper_texts(text: str | None) -> dict[str, str | None]:
    """Versions of a pepper or master key: a bare value is version 1."""
    if text is None or not text.startswith("{"):
        return {"1": text}
    try:
        found = json.loads(text)
    except ValueError:
        return {"1": ""}
    return {str(version): str(value) for version, value in found.items()} or {"1": ""}


def decode_secret(text: str) -> bytes | None:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
