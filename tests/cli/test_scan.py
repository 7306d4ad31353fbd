"""`doorward leaks scan`: what it finds, where, and what it lets be."""

from __future__ import annotations

import gzip
import io
import json
import random
import subprocess
import tarfile
import threading
import zipfile
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from tests.protocol.given import KEY, a_secret

from doorward.cli import scan_sources
from doorward.cli.main import main
from doorward.cli.scan_text import CHUNK, LONGEST, scan
from doorward_verify import api_key

OTHER = a_secret("s", seed="other")


@pytest.fixture
def found(capsys: pytest.CaptureFixture[str]) -> Any:
    """Scans, and gives what was found: its kind, and where relative to a folder."""

    def look(*words: object, folder: Path | None = None) -> list[tuple[str, str, int | None]]:
        code = main(["leaks", "scan", *map(str, words), "--json"])
        told = json.loads(capsys.readouterr().out)["findings"]
        assert code == (1 if told else 0)
        return [(one["kind"], one["place"].removeprefix(f"{folder}/"), one["line"]) for one in told]

    return look


def git(folder: Path, *words: str) -> None:
    who = ["-c", "user.name=A", "-c", "user.email=a@example.com"]
    subprocess.run(["git", "-C", str(folder), *who, *words], check=True, capture_output=True)


def committed(folder: Path, name: str, text: str, message: str = "x") -> None:
    (folder / name).write_text(text)
    git(folder, "add", "-A")
    git(folder, "commit", "-m", message)


@pytest.mark.parametrize("place", ['KEY="{}"', "{}", "?k={}&a=1", "x: {}", "Authorization: Bearer {}\r\n", "({})",
                                   "'{}',", "https://{}@api.example.com", "a{}", "\x00{}\x00", "{}\n{}"])  # fmt: skip
@pytest.mark.parametrize("kind", ["", "a", "s", "r", "o", "g"])
def test_a_secret_is_found_wherever_it_stands(place: str, kind: str) -> None:
    secret = a_secret(kind)
    hits = list(scan([place.format(secret, secret).encode()]))
    assert [hit.secret for hit in hits] == [secret] * place.count("{}")


@pytest.mark.parametrize("text", [KEY[:-1], KEY + "x", KEY + "_", KEY[:-1] + ("0" if KEY[-1] != "0" else "1"),
                                  KEY.replace("live", "test"), KEY.upper(), KEY.swapcase(), KEY.replace("dw_", "_"),
                                  "dw_live_" + "a" * 50, "test_test_test_" * 20])  # fmt: skip
def test_what_only_looks_like_a_secret_is_let_be(text: str) -> None:
    assert list(scan([text.encode()])) == []


def test_a_secret_of_any_brand_is_found_and_of_one_if_it_is_named() -> None:
    acme = api_key.assemble("acme", "", "live", "a" * 12, "b" * 32)
    data = f"{acme} {KEY}".encode()
    assert [hit.secret for hit in scan([data])] == [acme, KEY]
    assert [hit.secret for hit in scan([data], "acme")] == [acme]


@pytest.mark.parametrize("size", [1, 2, 7, 72, 73, 74, 100])
def test_a_secret_on_the_border_of_chunks_is_found_once(size: int) -> None:
    data = f"a\nb\n{KEY}\n{OTHER} {KEY}".encode()
    hits = list(scan(data[at : at + size] for at in range(0, len(data), size)))
    expected = [(KEY, 4, 3), (OTHER, 5 + len(KEY), 4), (KEY, 6 + len(KEY) + len(OTHER), 4)]
    assert [(hit.secret, hit.offset, hit.line) for hit in hits] == expected


def test_every_border_through_a_secret_is_crossed() -> None:
    data = b"." * 100 + KEY.encode() + b"." * 100
    for cut in range(90, 110 + len(KEY)):
        assert [hit.offset for hit in scan([data[:cut], data[cut:]])] == [100]


def test_memory_stays_flat_on_a_long_stream() -> None:
    """What is kept of a chunk is less than two secrets."""
    import tracemalloc

    chunk = b"nothing to see here, move along please\n" * (CHUNK // 39)
    tracemalloc.start()
    assert list(scan((chunk for _ in range(512)), count_lines=False)) == []
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 * CHUNK
    assert LONGEST < 100


def test_files_and_folders_are_looked_through(tmp_path: Path, found: Any) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "settings.py").write_text(f"\n\nKEY = '{KEY}'\n")
    (tmp_path / "binary").write_bytes(b"\x00\xff" + OTHER.encode() + b"\x00")
    (tmp_path / "plain").write_text("nothing")
    (tmp_path / "loop").symlink_to(tmp_path)
    assert found(tmp_path, folder=tmp_path) == [("client_secret", "binary", 1), ("api_key", "a/settings.py", 3)]
    assert found(tmp_path / "plain") == []


def test_the_secret_itself_is_never_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a").write_text(KEY)
    for words in ([], ["--json"], ["--format", "sarif"]):
        assert main(["leaks", "scan", str(tmp_path), *words]) == 1
        captured = capsys.readouterr()
        assert KEY[-38:] not in captured.out + captured.err
        assert KEY[:-38] in captured.out


def test_sarif_says_what_is_where(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a").write_text(f"\n{KEY}")
    main(["leaks", "scan", str(tmp_path), "--format", "sarif"])
    document = json.loads(capsys.readouterr().out)
    (run,) = document["runs"]
    place = run["results"][0]["locations"][0]["physicalLocation"]
    assert (document["version"], run["tool"]["driver"]["rules"][0]["id"]) == ("2.1.0", "doorward-api-key")
    assert (place["artifactLocation"]["uri"], place["region"]) == (str(tmp_path / "a"), {"startLine": 2})


def test_archives_are_looked_into_and_archives_in_them(tmp_path: Path, found: Any) -> None:
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        archive.writestr("deep.txt", KEY)
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("in.zip", inner.getvalue())
        archive.writestr("b.txt", f"\n{OTHER}")
    with tarfile.open(tmp_path / "c.tar.gz", "w:gz") as tar:
        info = tarfile.TarInfo("d.txt")
        info.size = len(KEY)
        tar.addfile(info, io.BytesIO(KEY.encode()))
    (tmp_path / "e.gz").write_bytes(gzip.compress(KEY.encode()))
    assert found(tmp_path, folder=tmp_path) == [
        ("api_key", "a.zip!in.zip!deep.txt", 1), ("client_secret", "a.zip!b.txt", 2),
        ("api_key", "c.tar.gz!d.txt", 1), ("api_key", "e.gz", 1),
    ]  # fmt: skip


def test_what_cannot_be_read_is_said_and_the_rest_is_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "broken.zip").write_bytes(b"PK\x03\x04" + b"x" * 100)
    (tmp_path / "broken.tar.gz").write_bytes(b"\x1f\x8b" + b"x" * 100)
    (tmp_path / "z").write_text(KEY)
    assert main(["leaks", "scan", str(tmp_path)]) == 1
    captured = capsys.readouterr()
    assert "z:1" in captured.out
    assert captured.err.count("not read: ") == 2


def test_a_packed_file_that_breaks_on_the_way_is_said_and_the_rest_is_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = gzip.compress(random.Random(1).randbytes(3 * CHUNK))
    (tmp_path / "a.gz").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "b.gz").write_bytes(whole[:1000] + b"\0" * 1000 + whole[2000:])
    with zipfile.ZipFile(tmp_path / "c.zip", "w") as archive:
        archive.writestr("inner", b"x" * 2 * CHUNK)
    packed = bytearray((tmp_path / "c.zip").read_bytes())
    packed[CHUNK + 500] = 0
    (tmp_path / "c.zip").write_bytes(packed)
    (tmp_path / "z").write_text(KEY)
    assert main(["leaks", "scan", str(tmp_path)]) == 1
    captured = capsys.readouterr()
    assert "z:1" in captured.out
    assert captured.err.count("not read: ") == 3


def test_what_unpacks_without_end_is_left_and_the_rest_is_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scan_sources, "UNPACKED_LIMIT", 4 * CHUNK)
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", bytes(3 * CHUNK))
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w") as archive:
        for number in range(50):
            archive.writestr(f"{number}.zip", inner.getvalue())
    (tmp_path / "z").write_text(KEY)
    assert main(["leaks", "scan", str(tmp_path)]) == 1
    captured = capsys.readouterr()
    assert "z:1" in captured.out
    assert "it unpacks to too much" in captured.err


def test_a_repository_has_no_program_of_its_own_started(tmp_path: Path, found: Any) -> None:
    git(tmp_path, "init", "-q", "-b", "main")
    committed(tmp_path, "a", KEY)
    program = tmp_path / ".git" / "spy"
    program.write_text(f"#!/bin/sh\ntouch {tmp_path}/.git/started\n")
    program.chmod(0o700)
    for name in ("core.fsmonitor", "gpg.program", "core.sshCommand"):
        git(tmp_path, "config", name, str(program))
    git(tmp_path, "config", "log.showSignature", "true")
    assert len(found("--git", tmp_path)) == 2
    assert not (tmp_path / ".git" / "started").exists()


def test_a_link_is_not_followed_out_of_what_is_looked_through(
    tmp_path: Path, found: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    inside.mkdir()
    outside.mkdir()
    (outside / "key").write_text(KEY)
    (inside / "file").symlink_to(outside / "key")
    (inside / "folder").symlink_to(outside)
    assert found(inside) == []
    assert main(["leaks", "scan", str(inside / "file")]) == 0
    assert "it is a symbolic link" in capsys.readouterr().err


def test_the_history_is_looked_through(tmp_path: Path, found: Any) -> None:
    git(tmp_path, "init", "-q", "-b", "main")
    committed(tmp_path, "app.env", f"A=1\nKEY={KEY}\n")
    committed(tmp_path, "app.env", "A=1\n", f"Remove the key {OTHER}")
    committed(tmp_path, "lost", a_secret("a"))
    git(tmp_path, "reset", "-q", "--hard", "HEAD~1")
    assert found(tmp_path) == []
    kinds = {(kind, place.partition("@")[0].removeprefix(f"{tmp_path}:"), line)
             for kind, place, line in found("--git", tmp_path)}  # fmt: skip
    assert kinds == {("api_key", "app.env", 2), ("client_secret", "commit", 6), ("admin_key", "lost", 1)}


def test_a_finding_of_the_history_names_its_commit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    git(tmp_path, "init", "-q")
    committed(tmp_path, "a", KEY)
    head = subprocess.run(["git", "-C", str(tmp_path), "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
    committed(tmp_path, "a", "gone")
    main(["leaks", "scan", "--git", str(tmp_path), "--json"])
    (one,) = json.loads(capsys.readouterr().out)["findings"]
    assert one["commit"] == head.stdout.strip()


def test_what_git_ignores_is_ignored_unless_it_is_asked_for(tmp_path: Path, found: Any) -> None:
    git(tmp_path, "init", "-q")
    (tmp_path / ".gitignore").write_text(".env\n")
    (tmp_path / ".env").write_text(KEY)
    assert found(tmp_path) == []
    assert len(found("--no-ignore", tmp_path)) == 1


@pytest.mark.parametrize("line", ["fixtures/", "fixtures/*.txt", "a.txt", KEY[:-38], f"{KEY[:-38]}..."])
def test_a_doorwardignore_names_files_and_secrets_to_let_be(tmp_path: Path, found: Any, line: str) -> None:
    (tmp_path / "fixtures").mkdir()
    (tmp_path / "fixtures" / "a.txt").write_text(KEY)
    (tmp_path / ".doorwardignore").write_text(f"# known\n{line}\n")
    assert found(tmp_path) == []


def test_standard_input_is_read(tmp_path: Path) -> None:
    from tests.deployment import command

    done = subprocess.run(command("leaks", "scan", "-"), input=f"+ key: {KEY}\n", capture_output=True, text=True)
    assert (done.returncode, done.stdout.split("  ")[0]) == (1, "<stdin>:1")


def test_nothing_to_look_through_is_a_wrong_use(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["leaks", "scan"]) == 2
    assert main(["leaks", "scan", "/nowhere/at/all"]) == 2
    capsys.readouterr()


def test_a_site_of_ones_own_is_looked_through(tmp_path: Path, found: Any) -> None:
    (tmp_path / "index.html").write_text(
        '<script src="/app.js"></script><a href="https://elsewhere.invalid/x.js">x</a>'
        '<a href="//[">x</a><a href="http://[::1">x</a><a href="file:///etc/passwd">x</a><a href="?\x00\x7f">x</a>'
    )
    (tmp_path / "app.js").write_text(f'import("./chunk.js");\nconst k="{KEY}";')
    (tmp_path / "chunk.js").write_text(OTHER)

    class Quiet(SimpleHTTPRequestHandler):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments, directory=str(tmp_path))

        def log_message(self, *arguments: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        places = found("--url", f"{url}/")
        server.shutdown()
    assert places == [("api_key", f"{url}/app.js", 2), ("client_secret", f"{url}/chunk.js", 1)]
