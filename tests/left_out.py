"""What a run leaves out since a program cannot be had here is said loudly at its end; in CI it is a failure instead.

    raise left_out("Chromium is missing: `apt-get install chromium`")

Decision record 4 has the reasons.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator

import pytest

MARK = "left out: "


def in_ci() -> bool:
    """As every service that runs CI says, and .ci/run too."""
    return os.environ.get("CI", "").lower() not in ("", "0", "false")


def left_out(reason: str) -> BaseException:
    """To be raised by whatever a test cannot do without."""
    if in_ci():
        return pytest.fail.Exception(f"{reason}. CI leaves no test out.", pytrace=False)
    return pytest.skip.Exception(MARK + reason)


def count(skipped: list[pytest.TestReport]) -> Counter[tuple[str, str]]:
    """How many tests of each file, by the reason."""
    reasons = ((report, report.longrepr[2]) for report in skipped if isinstance(report.longrepr, tuple))
    return Counter(
        (reason.removeprefix("Skipped: ").removeprefix(MARK), report.nodeid.partition("::")[0])
        for report, reason in reasons
        if MARK in reason
    )


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> Iterator[None]:
    """Below everything else."""
    yield
    counted = count(terminalreporter.getreports("skipped"))
    if not counted:
        return
    terminalreporter.write_sep("!", f"{counted.total()} TESTS WERE LEFT OUT", red=True, bold=True)
    for reason in sorted({reason for reason, _ in counted}):
        terminalreporter.write_line(f"{reason}.", red=True)
        for (of, file), number in sorted(counted.items()):
            if of == reason:
                terminalreporter.write_line(f"  {number:3} of {file}", red=True)
    terminalreporter.write_sep("!", "green does not mean tested", red=True, bold=True)
