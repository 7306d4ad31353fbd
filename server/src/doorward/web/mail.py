"""Letters out: links to reset a password, by SMTP under TLS (RFC 8314, RFC 3207; decision 19c).

smtps://user:password@mail.example.com         or smtp://mail.example.com:587, which must then offer STARTTLS
"""

from __future__ import annotations

import asyncio
import smtplib
import ssl
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.utils import formataddr, formatdate, make_msgid
from pathlib import Path
from urllib.parse import unquote, urlsplit

from doorward.settings import Settings, is_loopback

TIMEOUT = 20.0


@dataclass(frozen=True, slots=True)
class Mail:
    """Where letters are handed over, and in whose name."""

    url: str = field(repr=False)
    sender: str
    name: str
    ca_file: Path | None = None

    async def send(self, to: str, subject: str, text: str) -> None:
        """In a thread; raises OSError or SMTPException when it was not taken."""
        await asyncio.to_thread(self._send, self._letter(to, subject, text))

    def _letter(self, to: str, subject: str, text: str) -> EmailMessage:
        letter = EmailMessage()
        letter["From"] = formataddr((self.name, self.sender))
        letter["To"] = to
        letter["Subject"] = subject
        letter["Date"] = formatdate()
        letter["Message-ID"] = make_msgid(domain=self.sender.rpartition("@")[2])
        letter["Auto-Submitted"] = "auto-generated"
        letter.set_content(text)
        return letter

    def _send(self, letter: EmailMessage) -> None:
        parts = urlsplit(self.url)
        host, context = parts.hostname or "", ssl.create_default_context(cafile=self.ca_file)
        if parts.scheme == "smtps":
            connection: smtplib.SMTP = smtplib.SMTP_SSL(host, parts.port or 465, timeout=TIMEOUT, context=context)
        else:
            connection = smtplib.SMTP(host, parts.port or 587, timeout=TIMEOUT)
        with connection as smtp:
            # Nothing beyond this machine goes out in the clear, whatever the server offers.
            if parts.scheme == "smtp" and (not is_loopback(host) or _offers_tls(smtp)):
                smtp.starttls(context=context)
            if parts.username:
                smtp.login(unquote(parts.username), unquote(parts.password or ""))
            smtp.send_message(letter)


def _offers_tls(smtp: smtplib.SMTP) -> bool:
    smtp.ehlo()
    return smtp.has_extn("starttls")


def configured(settings: Settings) -> Mail | None:
    url = settings.secret("smtp_url")
    if url is None:
        return None
    sender = settings.smtp_from or f"no-reply@{urlsplit(settings.issuer).hostname}"
    return Mail(url, sender, settings.display_name, settings.smtp_ca_file)
