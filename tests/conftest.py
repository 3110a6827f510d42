"""What holds for all tests: on CI nothing is left out unseen.

With CI=true every skipped test fails the run, except for the few reasons listed here, each of which no installation on the machine can
take away. On a developer's machine skips are shown and forgiven.
"""

from __future__ import annotations

import os

import pytest
from hypothesis import settings

# A machine that is busy with something else must not fail a property.
settings.register_profile("pinnace", settings.get_profile(settings.get_current_profile_name()), deadline=None)
settings.load_profile("pinnace")

# Beginnings of reasons that are accepted on CI.
ACCEPTED_ON_CI = (
    "no recordings:",  # they lie outside the repository
    "no loop device:",  # containers may not make any
    "no @kubernetes/client-node:",  # it comes from a registry, which may be out of reach
)


def unexpected(reports: list[pytest.TestReport], accepted: tuple[str, ...] = ACCEPTED_ON_CI) -> list[str]:
    """Return `test: reason` for each report of a skip whose reason is not accepted."""
    found = []
    for report in reports:
        text = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        reason = text.removeprefix("Skipped: ")
        if not reason.startswith(accepted):
            found.append(f"{report.nodeid}: {reason}")
    return found


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail the run on CI when a test was skipped that should have run."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    is_worker = hasattr(session.config, "workerinput")
    if os.environ.get("CI") != "true" or reporter is None or is_worker:
        return
    skips = unexpected(reporter.stats.get("skipped", []))
    if skips and session.exitstatus == pytest.ExitCode.OK:
        reporter.write_line("")
        for line in skips:
            reporter.write_line(f"skipped on CI: {line}", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
