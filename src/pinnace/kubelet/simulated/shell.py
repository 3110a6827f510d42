"""What a command would do, told from its words: how long it runs, what it says, how it ends. Pure.

Understood are `true`, `false`, `exit`, `echo`, `printf`, `sleep`, `cat`, `env`, `hostname`, `:`, and `sh -c` with lists of them joined by
`;`, `&&`, `||` and line ends. A loop, and a program nobody knows here, runs for ever as a container and succeeds at once as a command.
"""

import shlex
from collections.abc import Mapping, Sequence

from msgspec import Struct

_SHELLS = {"sh", "bash", "ash", "dash"}
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_ENDLESS_WORDS = {"while", "until", "for"}


class Deed(Struct, frozen=True):
    """What a command does; `seconds` None means that it does not end by itself."""

    seconds: float | None = 0.0
    exit_code: int = 0
    output: str = ""


def interpret(argv: Sequence[str], env: Mapping[str, str], *, hostname: str, unknown: Deed) -> Deed:
    """Tell what a command does; `unknown` is what programs do that nobody knows here."""
    if not argv:
        return unknown
    name, words = argv[0].rsplit("/", 1)[-1], list(argv[1:])
    if name in {"tini", "catatonit", "dumb-init"}:
        return interpret([word for word in words if word != "--"], env, hostname=hostname, unknown=unknown)
    if name in _SHELLS and "-c" in words[:2]:
        script = words[words.index("-c") + 1 :]
        return _script(script[0] if script else "", env, hostname=hostname, unknown=unknown)
    return _simple(name, words, env, hostname=hostname, unknown=unknown)


def _simple(name: str, words: list[str], env: Mapping[str, str], *, hostname: str, unknown: Deed) -> Deed:
    match name:
        case "true" | ":" | "trap" | "set" | "cd" | "export" | "mkdir" | "touch":
            return Deed()
        case "false":
            return Deed(exit_code=1)
        case "exit":
            return Deed(exit_code=int(words[0]) & 255 if words and words[0].isdigit() else 0)
        case "echo" | "printf":
            plain = [word for word in words if word not in {"-n", "-e"}]
            return Deed(output=" ".join(plain) + ("" if name == "printf" or "-n" in words else "\n"))
        case "sleep":
            return Deed(seconds=_seconds(words))
        case "env" | "printenv":
            return Deed(output="".join(f"{key}={value}\n" for key, value in env.items()))
        case "hostname":
            return Deed(output=f"{hostname}\n")
        case "cat" if not words:
            return Deed()
    return unknown


def _script(text: str, env: Mapping[str, str], *, hostname: str, unknown: Deed) -> Deed:
    """Run a list of commands; the first that does not end by itself is where it stays."""
    seconds, code, output = 0.0, 0, ""
    joiner = ";"
    for command, following in _commands(text):
        skipped = (joiner == "&&" and code != 0) or (joiner == "||" and code == 0)
        joiner = following
        if skipped:
            continue
        words = _words(command, env)
        if not words:
            continue
        if words[0] in _ENDLESS_WORDS:
            return Deed(None, 0, output)
        ends = words[0] == "exit"
        if words[0] == "exec":
            ends, words = True, words[1:]
        done = interpret(words, env, hostname=hostname, unknown=unknown)
        output += done.output
        if done.seconds is None:
            return Deed(None, 0, output)
        seconds, code = seconds + done.seconds, done.exit_code
        if ends:
            break
    return Deed(seconds, code, output)


def _commands(text: str) -> list[tuple[str, str]]:
    """Return commands, each with what joins the next one to it."""
    lexer = shlex.shlex(text.replace("\n", " ; "), posix=False, punctuation_chars=";&|")
    lexer.whitespace_split = True
    lexer.commenters = ""
    found: list[tuple[str, str]] = []
    words: list[str] = []
    try:
        for token in lexer:
            if token in {";", "&&", "||", "&", ";;"}:
                found.append((" ".join(words), token))
                words = []
            else:
                words.append(token)
    except ValueError:
        return [(text, ";")]
    return [*found, (" ".join(words), ";")]


def _words(command: str, env: Mapping[str, str]) -> list[str]:
    try:
        words = shlex.split(command)
    except ValueError:
        words = command.split()
    return [_variables(word, env) for word in words if not word.startswith((">", "2>"))]


def _variables(word: str, env: Mapping[str, str]) -> str:
    if "$" not in word:
        return word
    for key in sorted(env, key=len, reverse=True):
        word = word.replace(f"${{{key}}}", env[key]).replace(f"${key}", env[key])
    return word


def _seconds(words: Sequence[str]) -> float | None:
    total = 0.0
    for word in words:
        if word in {"inf", "infinity"}:
            return None
        number, unit = (word[:-1], word[-1]) if word[-1:] in _UNITS else (word, "s")
        try:
            total += float(number) * _UNITS[unit]
        except ValueError:
            return 0.0
    return total
