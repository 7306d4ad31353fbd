"""What deployments and readers choose: name, logo, accent colour, language; and that none of it costs legibility."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from importlib.resources import files

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.deployment import deployed
from tests.people import a_browser

from doorward.protocol import consent
from doorward.protocol.reasons import REASONS
from doorward.settings import StartRefused, load
from doorward.web import account, brand, browsers, language
from doorward.web.brand import CONTRAST, DARK, LIGHT, colour, contrast, legible, sheet

COLOURS = st.tuples(*[st.integers(0, 255)] * 3)
PAGES = ("/login", "/logout", "/reset", "/account", "/setup")
# Whose refusals people see.
PEOPLE = (
    "protocol/authorization.py", "protocol/interaction.py", "protocol/logout.py", "protocol/password.py",
    "protocol/sign_in.py", "protocol/identity.py", "protocol/upstream_sign_in.py", "protocol/member_keys.py",
    "web/forms.py", "web/hashed.py", "web/reset.py", "web/sign_in.py", "web/account.py", "web/account_keys.py",
    "web/consent.py", "web/logout.py", "web/providers.py", "web/upstream_sign_in.py",
)  # fmt: skip


@given(COLOURS)
def test_every_accent_can_be_read_in_the_light_and_in_the_dark(accent):
    for ground in (LIGHT, DARK):
        assert contrast(legible(accent, ground), ground) >= CONTRAST


@given(COLOURS)
def test_what_stands_on_an_accent_can_be_read(chosen):
    text = "#" + "".join(f"{channel:02x}" for channel in chosen)
    found = re.findall(r"--accent: (#\w+); --accent-hover: (#\w+); --on-accent: (#\w+)", sheet(text))
    assert len(found) == 2
    for accent, hover, on_accent in found:
        for ground in (accent, hover):
            assert contrast(colour(ground), colour(on_accent)) >= CONTRAST


def test_a_legible_accent_is_taken_as_it_is():
    assert legible(colour("#0f766e"), LIGHT) == colour("#0f766e")
    assert (contrast(LIGHT, (0, 0, 0)), contrast(LIGHT, LIGHT)) == (21, 1)


@pytest.mark.parametrize("text", ["", "red", "#fff", "#12345g", "4338ca#", "#4338ca;}"])
def test_what_is_no_colour_is_refused(text):
    with pytest.raises(ValueError):
        colour(text)
    if text:
        with pytest.raises(StartRefused):
            load({"accent_color": text})


def test_the_colours_of_the_style_sheet_can_be_read():
    """WCAG 2.2 §1.4.3 for text, §1.4.11 for the edges of fields."""
    css = (files("doorward.web") / "static" / "doorward.css").read_text()
    light, dark = (dict(re.findall(r"--([\w-]+): (#\w{6});", part)) for part in css.split("@media")[:2])
    for names in (light, dark):
        for ground in ("surface", "canvas", "sunken"):
            for text in ("text", "quiet", "accent", "danger"):
                assert contrast(colour(names[text]), colour(names[ground])) >= 4.5, (text, ground)
        for accent in ("accent", "accent-hover"):
            assert contrast(colour(names["on-accent"]), colour(names[accent])) >= 4.5
        assert contrast(colour(names["edge"]), colour(names["surface"])) >= 3
    assert (colour(light["surface"]), colour(dark["surface"])) == (brand.LIGHT, brand.DARK)


@pytest.fixture(scope="module")
def branded(tmp_path_factory):
    directory = tmp_path_factory.mktemp("branded")
    logo = directory / "logo.svg"
    logo.write_text('<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>')
    given = {"display_name": "Mill & <Sons>", "logo": logo, "accent_color": "#ff0000"}
    with deployed(directory, **given) as doorward:
        yield doorward


@pytest.mark.parametrize("path", PAGES)
def test_every_page_has_the_deployments_name_and_colour(branded, path):
    reply = a_browser(branded).http.get(path, follow_redirects=True)
    assert "Mill &amp; &lt;Sons&gt;" in reply.text
    assert "<Sons>" not in reply.text
    for address in ("/static/brand.css", "/static/logo"):
        assert address in reply.text
        assert branded.http.get(address).status_code == 200


def test_a_logo_that_is_opened_by_itself_runs_nothing(branded):
    reply = branded.http.get("/static/logo")
    assert reply.headers["content-type"] == "image/svg+xml"
    assert "default-src 'none'" in reply.headers["content-security-policy"]
    assert "sandbox" in reply.headers["content-security-policy"]
    assert reply.headers["x-content-type-options"] == "nosniff"


OTHERS = sorted(language.NAMES.keys() - {"en"})


def catalog(code):
    return json.loads((files("doorward.web") / "catalogs" / f"{code}.json").read_text("utf-8"))


def said():
    """Every text that a page or a letter may say in the reader's language."""
    folder = files("doorward.web") / "templates"
    texts = {
        text
        for template in folder.iterdir()
        for text in re.findall(r'_\("((?:[^"\\]|\\.)*)"', template.read_text("utf-8"))
    }
    reset = (files("doorward.web") / "reset.py").read_text("utf-8")
    texts |= set(re.findall(r'\bsay\("([^"]*)"', reset)) | set(account.DONE.values()) | set(consent.OIDC.values())
    texts |= set(account.STATES.values())
    return texts | words_of(on_pages())


def on_pages():
    """The reasons for which a page may be refused: those that its modules name, and what can befall every request."""
    named = {
        name
        for module in PEOPLE
        for name in re.findall(r'reason="(\w+)"', (files("doorward") / module).read_text("utf-8"))
    }
    return named | {
        "request_malformed", "sign_in_refused", "sign_in_old", "too_many_attempts", "password_wrong", "reset_over",
        "form_foreign", "entity_unknown", "method_wrong", "body_too_large", "media_type_wrong", "store_unavailable",
        "internal_error",
    }  # fmt: skip


def words_of(names):
    return {text for name in names for text in (REASONS[name].sentence, REASONS[name].fix)}


def test_there_is_another_language_and_each_has_its_catalog():
    there = {one.name for one in (files("doorward.web") / "catalogs").iterdir()}
    assert there == {f"{code}.json" for code in OTHERS} != set()


@pytest.mark.parametrize("code", OTHERS)
def test_everything_is_said_in_every_language(code):
    assert sorted(said() - catalog(code).keys()) == []
    assert [text for text, translated in catalog(code).items() if not translated.strip()] == []


@pytest.mark.parametrize("code", OTHERS)
def test_nothing_is_translated_that_is_never_said(code):
    assert sorted(catalog(code).keys() - said() - words_of(REASONS)) == []


class Bare(HTMLParser):
    """What a template says by itself, when all that it fills in is taken out."""

    def __init__(self, text):
        super().__init__()
        self.words = []
        text = text.replace("{% block shape %}wide{% endblock %}", "")
        self.feed(re.sub(r"\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\}", "", text, flags=re.DOTALL))

    def handle_starttag(self, tag, attrs):
        shown = ("alt", "title", "placeholder", "aria-label", "aria-description")
        self.words += [value for name, value in attrs if name in shown]

    def handle_data(self, data):
        self.words.append(data)


def spoken(text):
    """Words of its own; an address is one in every language."""
    return [word for word in Bare(text).words if re.search(r"[^\W\d_]", re.sub(r"(?<!\S)/\w+", "", word))]


def test_no_template_says_a_word_of_its_own():
    folder = files("doorward.web") / "templates"
    found = {one.name: spoken(one.read_text("utf-8")) for one in folder.iterdir() if one.name != "reference.html"}
    assert {name: words for name, words in found.items() if words} == {}
    assert spoken('<p>{{ _("Fine") }} <b title="">not</b></p><img alt="bad"><a href="/x">/login</a>.') == ["not", "bad"]


def test_no_script_says_a_word_of_its_own():
    folder = files("doorward.web") / "static"
    for script in (one for one in folder.iterdir() if one.name.endswith(".js")):
        for said_by in re.findall(r'(?:say\(|textContent = )["`]([^"`]*)', script.read_text("utf-8")):
            assert not re.search(r"[^\W\d_]", re.sub(r"\$\{.*?\}", "", said_by)), (script.name, said_by)


@pytest.mark.parametrize("code", OTHERS)
def test_a_translation_fills_in_what_the_text_does(code):
    for text, translated in catalog(code).items():
        assert sorted(re.findall(r"%\(\w+\)s", text)) == sorted(re.findall(r"%\(\w+\)s", translated)), text


@pytest.mark.parametrize(
    ("accepted", "query", "code"),
    [("de-AT,de;q=0.9,en;q=0.8", "", "de"), ("en,de;q=0.9", "", "en"), ("fr, de;q=0.5, en;q=0.1", "", "de"),
     ("fr", "", "en"), ("", "", "en"), ("de;q=0", "", "en"), ("de;q=x", "", "en"), ("*", "", "en"),
     ("en", "?ui_locales=fr%20de", "de"), ("de", "?ui_locales=en", "en"), ("de", "?ui_locales=..%2F..%2Fetc", "de")],
)  # fmt: skip
def test_a_page_speaks_the_first_language_that_was_asked_for(branded, accepted, query, code):
    reply = branded.http.get(f"/login{query}", headers={"accept-language": accepted})
    assert f'<html lang="{code}">' in reply.text


@pytest.mark.parametrize(
    ("text", "name"),
    [("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", ("Firefox", "Linux")),
     ("Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/140.0 Safari/537.36 Edg/140.0", ("Edge", "Windows")),
     ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605 Safari/604.1", ("Safari", "iPhone")),
     ("", ("", "")), ("<script>", ("", ""))],
)  # fmt: skip
def test_browsers_are_known_by_name(text, name):
    assert browsers.named(text) == name
