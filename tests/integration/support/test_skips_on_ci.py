"""The rule that CI leaves no test out unseen."""

import pytest

pytest_plugins = ["pytester"]

SKIPS = """
import pytest

def test_runs(): pass

@pytest.mark.skip(reason={reason!r})
def test_is_left_out(): pass
"""


@pytest.mark.parametrize(
    ("ci", "reason", "code"),
    [
        pytest.param("true", "no such tool", 1, id="unexpected-on-ci"),
        pytest.param("true", "no recordings: not here", 0, id="accepted-on-ci"),
        pytest.param("", "no such tool", 0, id="elsewhere"),
    ],
)
def test_a_skip_fails_the_run_on_ci_only(pytester, monkeypatch, request, ci, reason, code):
    """A skip fails the run when CI is true and its reason is not one of the accepted ones."""
    monkeypatch.setenv("CI", ci)
    pytester.makeconftest((request.config.rootpath / "tests/conftest.py").read_text())
    pytester.makepyfile(SKIPS.format(reason=reason))
    assert pytester.runpytest_subprocess("-p", "no:cacheprovider", "-p", "no:pinnace").ret == code
