"""Links to reset a password: once, by letter where there is a mail server, under TLS (decisions 17 and 19c)."""

from __future__ import annotations

import email
import email.policy
import re
import ssl
import threading
import time
from contextlib import contextmanager

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword
from tests.deployment import deployed, free_port
from tests.people import PASSWORD, a_browser, signed_in

from doorward import settings
from doorward.data_directory import DataDirectory

NEW = "another horse entirely"


class Postman:
    """A mail server's part: takes what it is given."""

    def __init__(self):
        self.letters, self.logins, self._arrived = [], [], threading.Condition()

    async def handle_DATA(self, server, session, envelope):  # noqa: N802  aiosmtpd's own name
        with self._arrived:
            self.letters.append((server.transport.get_extra_info("ssl_object") is not None, envelope))
            self._arrived.notify_all()
        return "250 taken"

    def __call__(self, server, session, envelope, mechanism, data):
        assert isinstance(data, LoginPassword)
        self.logins.append((data.login.decode(), data.password.decode()))
        return AuthResult(success=True)

    def wait(self, number):
        with self._arrived:
            assert self._arrived.wait_for(lambda: len(self.letters) >= number, 30), "no letter came"


@contextmanager
def a_mail_server(certificate=None, scheme="smtp"):
    postman, context = Postman(), None
    if certificate is not None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate)
    tls = {"ssl_context": context} if scheme == "smtps" else {"tls_context": context, "require_starttls": bool(context)}
    # It would count STARTTLS as TLS alone.
    login = {"authenticator": postman, "auth_require_tls": False} if certificate else {}
    server = Controller(postman, hostname="127.0.0.1", port=free_port(), **tls, **login)
    server.start()
    try:
        yield postman, server.port
    finally:
        server.stop()


def a_certificate(directory):
    """For localhost, and who signed it."""
    given = settings.load({"data_dir": directory / "other"})
    data = DataDirectory.open(given)
    return data.certificate(given), data.ca_file


@contextmanager
def with_mail(directory, scheme="smtps"):
    """A deployment whose letters go to a server of its own, under a certificate that it trusts."""
    certificate, authority = a_certificate(directory)
    with a_mail_server(certificate, scheme) as (postman, port):
        url = f"{scheme}://door%40ward:p%2Fw@localhost:{port}"
        with deployed(directory, smtp_url=url, smtp_ca_file=authority) as doorward:
            yield doorward, postman


def text_of(envelope):
    letter = email.message_from_bytes(envelope.content, policy=email.policy.default)
    return letter, letter.get_content()


@pytest.mark.parametrize("scheme", ["smtps", "smtp"])
def test_a_letter_brings_a_link_that_works_once(tmp_path, scheme):
    with with_mail(tmp_path, scheme) as (doorward, postman):
        user, before = signed_in(doorward, email="ada@example.com", email_verified=True)
        browser = a_browser(doorward)
        reply = browser.submit("/reset", "/reset/link", username=user["username"].upper())
        assert (reply.status_code, "a link is on its way" in reply.text) == (200, True)
        postman.wait(1)
        ((secure, envelope),) = postman.letters
        assert secure
        assert set(postman.logins) == {("door@ward", "p/w")}
        assert envelope.rcpt_tos == ["ada@example.com"]
        letter, text = text_of(envelope)
        assert (letter["to"], letter["from"]) == ("ada@example.com", "Doorward <no-reply@localhost>")
        (link,) = re.findall(r"https://\S+", text)
        address, _, token = link.partition("#token=")
        assert address == f"{doorward.issuer}/reset"
        assert browser.submit("/reset", "/reset", token=token, password=NEW).status_code == 200
        assert not before.is_signed_in
        assert browser.sign_in(user["username"], NEW).status_code == 303
        assert a_browser(doorward).submit("/reset", "/reset", token=token, password=PASSWORD).status_code == 410
        assert token not in doorward.v1("GET", "/audit?limit=200&order=desc").text


def test_one_answer_whether_a_letter_goes_out_or_not(tmp_path):
    with with_mail(tmp_path) as (doorward, postman):
        user, _ = signed_in(doorward, email="ada@example.com", email_verified=True)
        doorward.create("/users", username="unverified", email="x@example.com")
        doorward.create("/users", username="addressless")
        found = set()
        for name in ("nobody-at-all", "unverified", "addressless", user["username"]):
            browser = a_browser(doorward)
            reply = browser.submit("/reset", "/reset/link", username=name)
            found.add((reply.status_code, reply.text, tuple(sorted(browser.cookies))))
        assert len(found) == 1
        postman.wait(1)
        assert [envelope.rcpt_tos for _, envelope in postman.letters] == [["ada@example.com"]]


def test_nobody_fills_a_mailbox(tmp_path):
    with with_mail(tmp_path) as (doorward, _):
        user, _ = signed_in(doorward, email="ada@example.com", email_verified=True)
        browser = a_browser(doorward)
        csrf = browser.page("/reset").csrf
        fields = {"csrf": csrf, "username": user["username"]}
        statuses = [browser.post("/reset/link", fields).status_code for _ in range(14)]
        assert statuses == [*[200] * 10, *[429] * 4]
        assert browser.sign_in(user["username"]).status_code == 303, "asking for letters keeps nobody out"


def test_a_mail_server_that_is_not_who_it_should_be_gets_nothing(tmp_path):
    """Whoever can stand in between would have the link."""
    certificate, _ = a_certificate(tmp_path)
    with a_mail_server(certificate, "smtps") as (postman, port):
        url = f"smtps://localhost:{port}"
        with deployed(tmp_path, smtp_url=url) as doorward:
            user, _ = signed_in(doorward, email="ada@example.com", email_verified=True)
            a_browser(doorward).submit("/reset", "/reset/link", username=user["username"])
            deadline = time.monotonic() + 30
            # The link was made, so that the letter was tried.
            while not doorward.v1("GET", "/audit?type=ResetLinkCreated&limit=200").json()["items"][1:]:
                assert time.monotonic() < deadline
                time.sleep(0.05)
        assert postman.letters == []


def test_nothing_is_sent_in_the_clear_beyond_this_machine(monkeypatch):
    from doorward.web.mail import Mail

    with a_mail_server() as (postman, port):
        mail = Mail(f"smtp://localhost:{port}", "no-reply@example.com", "Doorward")
        mail._send(mail._letter("ada@example.com", "A", "B"))
        assert [secure for secure, _ in postman.letters] == [False], "on this machine there is nobody between"
        monkeypatch.setattr("doorward.web.mail.is_loopback", lambda host: False)
        with pytest.raises(Exception, match="STARTTLS"):
            mail._send(mail._letter("ada@example.com", "A", "B"))
        assert len(postman.letters) == 1


def test_without_a_mail_server_nobody_asks_for_letters(on_sqlite):
    browser = a_browser(on_sqlite)
    assert "Send the link" not in browser.page("/reset").said
    assert browser.submit("/reset", "/reset/link", username="ada").status_code == 404


def test_a_new_link_voids_the_one_before(doorward):
    user = doorward.create("/users", username="twice")
    tokens = [
        doorward.v1("POST", f"/users/{user['id']}/reset-password").json()["link"].partition("#token=")[2]
        for _ in range(2)
    ]
    statuses = [
        a_browser(doorward).submit("/reset", "/reset", token=token, password=NEW).status_code for token in tokens
    ]
    assert statuses == [410, 200]


def test_of_16_who_have_a_link_one_chooses_the_password(doorward):
    user = doorward.create("/users", username="raced")
    token = doorward.v1("POST", f"/users/{user['id']}/reset-password").json()["link"].partition("#token=")[2]
    browsers = [a_browser(doorward) for _ in range(16)]
    csrf = [browser.page("/reset").csrf for browser in browsers]

    def choose(number):
        fields = {"csrf": csrf[number], "token": token, "password": f"horse number {number} of all"}
        return browsers[number].post("/reset", fields).status_code

    statuses = doorward.at_once(16, choose)
    assert sorted(statuses) == [200, *[410] * 15]
    winner = f"horse number {statuses.index(200)} of all"
    assert a_browser(doorward).sign_in("raced", winner).status_code == 303


def test_a_password_that_cannot_be_used_leaves_the_link_as_it_was(doorward):
    user = doorward.create("/users", username="hasty")
    token = doorward.v1("POST", f"/users/{user['id']}/reset-password").json()["link"].partition("#token=")[2]
    browser = a_browser(doorward)
    for password in ("short", "hasty-hasty-hasty", "a" * 300):
        refused = browser.submit("/reset", "/reset", token=token, password=password)
        assert refused.status_code == 422
        assert password not in refused.text
    assert browser.submit("/reset", "/reset", token=token, password=NEW).status_code == 200
