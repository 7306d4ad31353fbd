"""What `doorward serve` refuses to start with, each with the three ways out (RFC 9700 §4, RFC 9325)."""

import os
import shutil
import stat
import subprocess
from collections.abc import Callable, Iterable, Mapping
from ipaddress import ip_network
from urllib.parse import parse_qs, urlsplit

from doorward import gateway_refusals, limit_refusals
from doorward.limit_refusals import is_certificates
from doorward.protocol import webhook
from doorward.protocol.upstream import BY_EMAIL
from doorward.settings import PREFIX, Refusal, Settings, decode_secret, is_loopback, pepper_texts

LOGO_SUFFIXES = (".svg", ".png", ".webp", ".jpg")


def check(settings: Settings) -> list[Refusal]:
    """Every unsafe combination at once, so that one round of corrections is enough."""
    return [refusal for look in CHECKS if (refusal := look(settings)) is not None]


def _plaintext(settings: Settings) -> Refusal | None:
    if not settings.no_tls or is_loopback(settings.host):
        return None
    return Refusal(
        f"--no-tls on {settings.host} would send keys and tokens in the clear",
        (
            "leave --no-tls out: the local CA makes a certificate",
            "bring a certificate: --tls-cert FILE --tls-key FILE",
            "listen on 127.0.0.1 and let a proxy on this machine do TLS (--behind-proxy 127.0.0.1/32)",
        ),
    )


def _certificate(settings: Settings) -> Refusal | None:
    pair = (settings.tls_cert, settings.tls_key)
    if pair == (None, None):
        return None
    if None not in pair and not settings.no_tls and all(os.access(str(path), os.R_OK) for path in pair):
        return None
    return Refusal(
        "--tls-cert and --tls-key are wanted together, as readable files, and without --no-tls",
        (
            "give both files, in PEM",
            "let this user read them",
            "leave both out: the local CA makes a certificate",
        ),
    )


def _issuer_behind_proxy(settings: Settings) -> Refusal | None:
    if not settings.behind_proxy or "issuer" in settings.model_fields_set:
        return None
    return Refusal(
        "behind a proxy the public address cannot be known, and tokens carry it as their issuer",
        (
            "name it: --issuer https://auth.example.com",
            f"or {PREFIX}ISSUER, or issuer in doorward.toml",
            "leave --behind-proxy out and let clients connect directly",
        ),
    )


def _issuer_plaintext(settings: Settings) -> Refusal | None:
    parts = urlsplit(settings.issuer)
    if parts.scheme == "https" or is_loopback(parts.hostname or ""):
        return None
    return Refusal(
        "an http issuer beyond loopback sends every client to plaintext",
        (
            f"use https: --issuer https://{parts.netloc}",
            "let a proxy do TLS and name its https address as the issuer",
            "for trials on this machine, leave --issuer out: it is https://localhost then",
        ),
    )


def exposed_directory(settings: Settings) -> Refusal | None:
    path = settings.data_dir
    if not path.exists() or (path.is_dir() and not stat.S_IMODE(path.stat().st_mode) & 0o077):
        return None
    return Refusal(
        f"the data directory {path} holds keys and is open to other users of this machine",
        (f"chmod 700 {path}", "name another with --data-dir", "remove it if it is not Doorward's"),
    )


def tracked_directory(settings: Settings) -> Refusal | None:
    path = settings.data_dir.absolute()
    git = shutil.which("git")
    if git is None or not path.is_dir() or not any((parent / ".git").exists() for parent in (path, *path.parents)):
        return None
    # No hook or monitor that a repository may name is run by looking at it.
    command = [git, "-C", str(path), "-c", "core.fsmonitor=false", "ls-files", "--", "."]
    found = subprocess.run(command, capture_output=True, check=False, timeout=10)  # noqa: S603
    if found.returncode or not found.stdout.strip():
        return None
    return Refusal(
        f"the data directory {path} is tracked by git: its keys would be published with the repository",
        (
            f"git rm -r --cached {path}, commit, and rotate what was published",
            "name a directory outside the repository with --data-dir",
            "remove it, if these are not your keys",
        ),
    )


def unverified_database(settings: Settings) -> Refusal | None:
    parts = urlsplit(settings.database)
    if parts.scheme.partition("+")[0] == "sqlite":
        return None
    query = parse_qs(parts.query)
    scheme_known = parts.scheme.partition("+")[0] == "postgresql"
    # Of several libpq takes the last one, others the first.
    if scheme_known and (query.get("sslmode") == ["verify-full"] or not _remote(parts.hostname, query)):
        return None
    return Refusal(
        "the database is neither sqlite:///FILE nor a PostgreSQL server whose identity is verified",
        (
            "append ?sslmode=verify-full (and sslrootcert=FILE) to the postgresql:// URL",
            "reach PostgreSQL over loopback or a Unix socket (?host=/run/postgresql)",
            "leave --database out: SQLite in the data directory",
        ),
    )


def _remote(host: str | None, query: Mapping[str, Iterable[str]]) -> bool:
    # libpq takes the address from hostaddr, then host, then the environment; any of them may be a list.
    named = [host or "", *query.get("host", ()), *query.get("hostaddr", ())]
    if not any(named):
        named = [os.environ.get("PGHOST", ""), os.environ.get("PGHOSTADDR", "")]
    hosts = [one for names in named for one in names.split(",") if one]
    return "service" in query or not all(one.startswith(("/", "@")) or is_loopback(one) for one in hosts)


def _example_secrets(settings: Settings) -> Refusal | None:
    texts = (settings.secret("master_key"), settings.secret("pepper"))
    values = [value for text in texts for value in pepper_texts(text).values()]
    if all(value is None or _random(value) for value in values):
        return None
    return Refusal(
        "the master key or the pepper is malformed, or an example that others know",
        (
            "make one: head -c 32 /dev/urandom | basenc --base64url",
            "give the files of the first node: DOORWARD__MASTER_KEY_FILE, DOORWARD__PEPPER_FILE",
            "leave both out: they are made for a new data directory",
        ),
    )


def _mail(settings: Settings) -> Refusal | None:
    text = settings.secret("smtp_url")
    if text is None:
        return None
    parts = urlsplit(text)
    if parts.scheme in ("smtp", "smtps") and parts.hostname and parts.path in ("", "/") and not parts.query:
        return None
    return Refusal(
        "smtp_url is not the address of a mail server",
        (
            "write smtps://user:password@host, or smtp://host:587 for STARTTLS",
            "escape what is special in the password: %40 for @, %2F for /",
            "leave it out: `doorward users reset-password` prints the link",
        ),
    )


def _mail_trust(settings: Settings) -> Refusal | None:
    file = settings.smtp_ca_file
    if file is None or is_certificates(file):
        return None
    return Refusal(
        "the certificates to trust of the mail server cannot be read",
        ("name a file of certificates in PEM", "let this user read it", "leave smtp_ca_file out"),
    )


def _webhook(settings: Settings) -> Refusal | None:
    text = settings.secret("webhook_secret")
    try:
        if (settings.webhook_url is None) == (text is None) and (text is None or webhook.secrets(text)):
            return None
    except ValueError:
        pass
    return Refusal(
        "a webhook needs both its address and a secret that signs what it is sent",
        (
            "make a secret: echo whsec_$(head -c 32 /dev/urandom | base64)",
            "name its file: webhook_secret_file",
            "leave webhook_url and webhook_secret out: letters and `doorward leaks list` tell the same",
        ),
    )


def _leaked_passwords(settings: Settings) -> Refusal | None:
    if settings.leaked_passwords is None or os.access(settings.leaked_passwords, os.R_OK):
        return None
    return Refusal(
        "the file of leaked passwords cannot be read",
        ("create the file", "let this user read it", "leave leaked_passwords out"),
    )


def _outbound_ca(settings: Settings) -> Refusal | None:
    file = settings.outbound_ca_file
    if file is None or is_certificates(file):
        return None
    return Refusal(
        "the certificates to trust where the server calls others cannot be read",
        ("name a file of certificates in PEM", "let this user read it", "leave outbound_ca_file out"),
    )


def _outbound_networks(settings: Settings) -> Refusal | None:
    if all(ip_network(network).prefixlen for network in settings.outbound_networks):
        return None
    return Refusal(
        "outbound_networks names every address: whoever registers a client could have any machine called",
        (
            "name the networks that clients' servers are in, such as 10.20.0.0/16",
            "reach those clients by public addresses",
            "leave outbound_networks out: public addresses are called without it",
        ),
    )


def _upstream_kinds(settings: Settings) -> Refusal | None:
    for name, one in settings.upstream.items():
        is_provider, is_page = bool(one.client_id), one.page is not None
        if is_provider == is_page or (is_provider and "openid" not in one.scopes):
            return Refusal(
                f"the upstream {name} is neither an OpenID provider nor a sign-in page of one's own",
                (
                    f"of a provider, give client_id in [upstream.{name}], and openid among its scopes",
                    "of a page of one's own, give page and keys_file instead",
                    f"leave the table [upstream.{name}] out",
                ),
            )
    return None


def _upstream_plaintext(settings: Settings) -> Refusal | None:
    for name, one in settings.upstream.items():
        for url in filter(None, (one.issuer, one.page)):
            parts = urlsplit(url)
            if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(parts.hostname or "")):
                return Refusal(
                    f"the upstream {name} would be reached in the clear, or is no URL",
                    (
                        f"name it by its https address in [upstream.{name}]",
                        "for trials on this machine, use http://localhost",
                        f"leave the table [upstream.{name}] out",
                    ),
                )
    return None


def _upstream_secrets(settings: Settings) -> Refusal | None:
    for name, one in settings.upstream.items():
        if (one.client_secret_file and one.secret is None) or (one.page is not None and not one.public_keys()):
            return Refusal(
                f"the secret or the keys of the upstream {name} cannot be read or used",
                (
                    "name files that this user may read",
                    "give a page's public keys as a JWKS or in PEM, for ES256 or RS256, without their private halves",
                    f"leave the table [upstream.{name}] out",
                ),
            )
    return None


def _upstream_addresses(settings: Settings) -> Refusal | None:
    for name, one in settings.upstream.items():
        if one.first_sign_in in BY_EMAIL and not one.email_domains:
            return Refusal(
                f"the upstream {name} lets people in by e-mail addresses that nothing says it may vouch for",
                (
                    f'name its own domains: email_domains = ["example.com"] in [upstream.{name}]',
                    'of a provider that verifies every address and gives none twice: email_domains = ["*"]',
                    'link each user yourself: first_sign_in = "existing", and `doorward users link`',
                ),
            )
    return None


def _upstream_issuers(settings: Settings) -> Refusal | None:
    issuers = [one.issuer.rstrip("/") for one in settings.upstream.values()]
    if len(set(issuers)) == len(issuers) and settings.issuer not in issuers:
        return None
    return Refusal(
        "two upstreams have one issuer, or one has our own: whose login it is could not be told",
        ("give each its own issuer", "leave one of the tables out", "name another issuer of ours: --issuer"),
    )


def _logo(settings: Settings) -> Refusal | None:
    logo = settings.logo
    if logo is None or (logo.suffix.lower() in LOGO_SUFFIXES and os.access(logo, os.R_OK)):
        return None
    return Refusal(
        "the logo is no readable image",
        ("name a .svg, .png, .webp or .jpg file", "let this user read it", "leave logo out: pages show the name"),
    )


def _random(text: str) -> bool:
    # 32 random bytes hold about 30 different values and are never all ASCII; an example is neither.
    value = decode_secret(text)
    return value is not None and len(value) == 32 and len(set(value)) >= 16 and not value.isascii()


def _archive(settings: Settings) -> Refusal | None:
    path = settings.audit.archive
    there = None if path is None else next(one for one in (path.absolute(), *path.absolute().parents) if one.exists())
    if path is None or there is None or (there.is_dir() and os.access(there, os.W_OK)):
        return None
    return Refusal(
        f"the audit log cannot be archived to {path}: it is no directory that this user can write to",
        (
            f"make it, for this user alone: install -d -m 700 {path}",
            "name another: archive in [audit] of doorward.toml",
            "leave it out: what is kept no longer is removed then",
        ),
    )


CHECKS: tuple[Callable[[Settings], Refusal | None], ...] = (
    *gateway_refusals.CHECKS,
    *limit_refusals.CHECKS,
    _plaintext,
    _certificate,
    _issuer_behind_proxy,
    _issuer_plaintext,
    exposed_directory,
    tracked_directory,
    unverified_database,
    _example_secrets,
    _mail,
    _mail_trust,
    _webhook,
    _leaked_passwords,
    _archive,
    _logo,
    _outbound_ca,
    _outbound_networks,
    _upstream_kinds,
    _upstream_plaintext,
    _upstream_secrets,
    _upstream_addresses,
    _upstream_issuers,
)
