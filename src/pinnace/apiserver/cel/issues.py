"""What is wrong with an expression and where, worded and drawn as cel-go does (common/error.go, common/errors.go).

An offset counts the expression's characters; -1 stands for no place. Clients see the text within a field's error.
"""

from collections.abc import Iterable

from msgspec import Struct

# Complaints that are shown; further ones are counted.
SHOWN_LIMIT = 100


class Issue(Struct, frozen=True):
    """One complaint about an expression."""

    offset: int
    text: str


class CompilationError(Exception):
    """Raised when an expression does not parse or does not check."""

    def __init__(self, source: str, issues: Iterable[Issue]) -> None:
        self.issues = tuple(sorted(issues, key=lambda issue: issue.offset))
        super().__init__(_drawn(source, self.issues))


def _drawn(source: str, issues: tuple[Issue, ...]) -> str:
    shown = [_line(source, issue) for issue in issues[:SHOWN_LIMIT]]
    if len(issues) > SHOWN_LIMIT:
        shown.append(f"{len(issues) - SHOWN_LIMIT} more errors were truncated")
    return "\n".join(shown)


def _line(source: str, issue: Issue) -> str:
    if issue.offset < 0:
        return f"ERROR: <input>:-1:0: {issue.text}"
    before = source[: issue.offset]
    line, column = before.count("\n"), issue.offset - (before.rfind("\n") + 1)
    snippet = source.split("\n")[line].replace("\t", " ")
    # Characters outside ASCII are drawn wide, and so are the dots and the mark beneath them.
    dots = "".join("." if char.isascii() else "．" for char in snippet[:column])
    mark = "＾" if column < len(snippet) and not snippet[column].isascii() else "^"
    return f"ERROR: <input>:{line + 1}:{column + 1}: {issue.text}\n | {snippet}\n | {dots}{mark}"
