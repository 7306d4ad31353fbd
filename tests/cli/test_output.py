"""What is printed: aligned, without colour in pipes, and nothing that a terminal would obey."""

import json

from doorward.cli import output


def test_fields_stand_in_two_columns_and_the_absent_ones_are_left_out(capsys):
    output.fields((("id", "a"), ("nothing", None), ("none", []), ("scopes", ["b", "c"])))
    assert capsys.readouterr().out == "  id      a\n  scopes  b\n          c\n"


def test_a_table_is_aligned_and_its_last_column_is_not_padded(capsys):
    output.table(("ID", "NAME"), [("a-long-id", "x"), ("b", "")])
    assert capsys.readouterr().out == "ID         NAME\na-long-id  x\nb          -\n"


def test_what_came_from_elsewhere_moves_no_cursor(capsys):
    output.fields((("name", "a\x1b[2Jb\u202ec\nd"),))
    assert capsys.readouterr().out == "  name  a\\x1b[2Jb\\u202ec\\nd\n"
    output.show_json({"name": "a\x9bb\u202e"})
    assert capsys.readouterr().out == '{\n  "name": "a\\u009bb\\u202e"\n}\n'


def test_json_keeps_letters_readable(capsys):
    output.show_json({"name": "Größe"})
    assert capsys.readouterr().out == '{\n  "name": "Größe"\n}\n'


def test_a_line_of_json_is_one_line(capsys):
    output.json_line({"a": "b\nc"})
    line = capsys.readouterr().out
    assert line.count("\n") == 1
    assert json.loads(line) == {"a": "b\nc"}


def test_environment_lines_are_quoted_for_the_shell(capsys):
    output.env({"A": "plain", "B": "with space", "C": None, "D": "it's"})
    assert capsys.readouterr().out == "A=plain\nB='with space'\nD='it'\"'\"'s'\n"


def test_colour_is_for_terminals_and_can_be_turned_off_and_on(monkeypatch):
    assert output.styled("x", "1") == "x"
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    assert output.styled("x", "1") == "\x1b[1mx\x1b[0m"
    monkeypatch.setenv("NO_COLOR", "1")
    assert output.styled("x", "1") == "x"
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("CLICOLOR", "0")
    assert output.styled("x", "1") == "x"
    monkeypatch.setenv("CLICOLOR_FORCE", "1")
    assert output.styled("x", "1") == "\x1b[1mx\x1b[0m"
