"""Tokens as the parser takes them, and what becomes of those that do not fit.

Clients read the complaints of the parser that ANTLR generates, so its strategy is followed: a token too many is left out, one
that is missing is thought in, and after anything else tokens are skipped up to one that can follow; until a token fits again,
nothing further is complained about. Upstream: antlr4 `DefaultErrorStrategy`.
"""

from pinnace.apiserver.cel.issues import Issue
from pinnace.apiserver.cel.tokens import Kind, Token, ordered

_END = Kind.END.value
_BRACKETS = frozenset({"')'", "']'", "'}'"})
_AFTER_OPERAND = frozenset({
    "'=='", "'!='", "'in'", "'<'", "'<='", "'>='", "'>'", "'&&'", "'||'", "'['", "'.'", "','", "'-'", "'?'", "':'", "'+'",
    "'*'", "'/'", "'%'", _END,
})  # fmt: skip


class MismatchError(Exception):
    """Raised when tokens do not fit and the rule that was at work cannot go on."""


class TokenStream:
    """The tokens of one expression; `issues` gathers the complaints."""

    def __init__(self, source: str, tokens: tuple[Token, ...]) -> None:
        self._source = source
        self._tokens = tokens
        self._position = 0
        self._is_recovering = False
        self._open: list[str] = []
        self.issues: list[Issue] = []

    def ahead(self, distance: int = 0) -> Token:
        """Return the token to come, or one further on; the end comes for ever."""
        return self._tokens[min(self._position + distance, len(self._tokens) - 1)]

    def is_next(self, *texts: str) -> bool:
        """Say whether the token to come is one of these symbols."""
        token = self.ahead()
        return token.kind is Kind.SYMBOL and token.text in texts

    def take(self) -> Token:
        """Take the token to come, which fits."""
        token = self.ahead()
        self._position += 1
        self._is_recovering = False
        return token

    def take_if(self, *texts: str) -> Token | None:
        """Take the token to come if it is one of these symbols."""
        return self.take() if self.is_next(*texts) else None

    def open(self, closing: str) -> None:
        """Remember the bracket that will close what has just been opened."""
        self._open.append(f"'{closing}'")

    @property
    def open_brackets(self) -> int:
        """Return how many brackets are open."""
        return len(self._open)

    def close(self, closing: str) -> None:
        """Take the bracket that closes the innermost one.

        Raises:
            MismatchError: it does not come.
        """
        self.match(f"'{closing}'")
        self._open.pop()

    def check(self, expected: frozenset[str]) -> None:
        """See that the token to come can begin what comes next, leaving out one token too many.

        Raises:
            MismatchError: neither that token nor the one after it can.
        """
        if self.ahead().name in expected:
            return
        if self.ahead(1).name in expected:
            self._extraneous(expected)
            return
        self._mismatched(expected)

    def match(self, name: str) -> None:
        """Take a token by its name, as sets of expected tokens write it.

        Raises:
            MismatchError: something else comes, which cannot be left out, nor can the token be thought in.
        """
        if self.ahead().name != name:
            if self.ahead(1).name == name:
                self._extraneous(frozenset({name}))
            elif name in _BRACKETS and self.ahead().name in self._followers():
                self.report(f"missing {name} at '{self.ahead().text}'")
                return
            else:
                self._mismatched(frozenset({name}))
        self.take()

    def no_viable_alternative(self, start: Token, offending: Token) -> None:
        """Complain that no rule begins with these tokens.

        Raises:
            MismatchError: always.
        """
        end = offending.offset + (0 if offending.kind is Kind.END else len(offending.text))
        text = self._source[start.offset : end] if end > start.offset else offending.text
        self.report(f"no viable alternative at input '{text.rstrip()}'", offending)
        raise MismatchError

    def report(self, text: str, token: Token | None = None) -> None:
        """Complain about syntax at a token, unless nothing has fitted since the last time."""
        if not self._is_recovering:
            self.issues.append(Issue((token or self.ahead()).offset, f"Syntax error: {text}"))
        self._is_recovering = True

    def recover(self, brackets: int) -> None:
        """Skip to a token that can come after an operand, with as many brackets open as there were before it."""
        del self._open[brackets:]
        followers = self._followers()
        while self.ahead().name not in followers:
            self._position += 1

    def _followers(self) -> frozenset[str]:
        return _AFTER_OPERAND | frozenset(self._open)

    def _extraneous(self, expected: frozenset[str]) -> None:
        self.report(f"extraneous input '{self.ahead().text}' expecting {ordered(expected)}")
        self._position += 1
        self._is_recovering = False

    def _mismatched(self, expected: frozenset[str]) -> None:
        self.report(f"mismatched input '{self.ahead().text}' expecting {ordered(expected)}")
        raise MismatchError
