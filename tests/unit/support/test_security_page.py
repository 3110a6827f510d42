"""The page that says which test holds which security check names tests that are there."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
PAGE = ROOT / "docs/reference/security-checks.md"
DEFAULT = "tests/integration/apiserver"


def named(page):
    """Yield the file and the test that each mention on the page means; one that begins with `::` is in the file before it."""
    file = ""
    for mention in re.findall(r"`([^`\s]*(?:\.py|::test_)[^`\s]*)`", page):
        place, _, test = mention.partition("::")
        file = place or file
        yield file if "/" in file else f"{DEFAULT}/{file}", test


def test_page_names_tests_that_are_there():
    """A test that is renamed or deleted takes its row with it."""
    mentions = list(named(PAGE.read_text(encoding="utf-8")))
    assert len(mentions) > 80
    for file, test in mentions:
        text = (ROOT / file).read_text(encoding="utf-8")
        assert not test or re.search(rf"def {test}\(", text), f"{file}::{test}"
