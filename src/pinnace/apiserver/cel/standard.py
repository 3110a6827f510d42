"""The functions every expression may use: CEL's own and the extensions for strings, sets and optional values.

Upstream: cel-go common/stdlib, ext/strings.go (version 2), ext/sets.go, cel/library.go (`OptionalTypes`), ext/comprehensions.go.
"""

from collections.abc import Iterator

from pinnace.apiserver.cel.declarations import Functions, functions_of

_ORDERED = (
    ("bool", "bool"), ("int", "int"), ("int", "double"), ("int", "uint"), ("uint", "uint"), ("uint", "double"),
    ("uint", "int"), ("double", "double"), ("double", "int"), ("double", "uint"), ("string", "string"),
    ("bytes", "bytes"), ("timestamp", "timestamp"), ("duration", "duration"),
)  # fmt: skip
_CONVERSIONS = {
    "bool": ("bool", "string"),
    "bytes": ("bytes", "string"),
    "double": ("double", "int", "string", "uint"),
    "duration": ("duration", "int", "string"),
    "int": ("int", "double", "duration", "string", "timestamp", "uint"),
    "string": ("string", "bool", "bytes", "double", "duration", "int", "timestamp", "uint"),
    "timestamp": ("timestamp", "int", "string"),
    "uint": ("uint", "double", "int", "string"),
}
_OF_DATES = ("getFullYear", "getMonth", "getDayOfYear", "getDate", "getDayOfMonth", "getDayOfWeek")
_OF_TIMES = ("getHours", "getMinutes", "getSeconds", "getMilliseconds")

_OPERATORS = """
_?_:_(bool, A, A): A
_&&_(bool, bool): bool
_||_(bool, bool): bool
!_(bool): bool
_==_(A, A): bool
_!=_(A, A): bool
_+_(bytes, bytes): bytes
_+_(double, double): double
_+_(duration, duration): duration
_+_(duration, timestamp): timestamp
_+_(timestamp, duration): timestamp
_+_(int, int): int
_+_(list(A), list(A)): list(A)
_+_(string, string): string
_+_(uint, uint): uint
_-_(double, double): double
_-_(duration, duration): duration
_-_(int, int): int
_-_(timestamp, duration): timestamp
_-_(timestamp, timestamp): duration
_-_(uint, uint): uint
_*_(double, double): double
_*_(int, int): int
_*_(uint, uint): uint
_/_(double, double): double
_/_(int, int): int
_/_(uint, uint): uint
_%_(int, int): int
_%_(uint, uint): uint
-_(double): double
-_(int): int
_[_](list(A), int): A
_[_](map(A, B), A): B
_[_](optional(list(A)), int): optional(A)
_[_](optional(map(A, B)), A): optional(B)
_[?_](list(A), int): optional(A)
_[?_](optional(list(A)), int): optional(A)
_[?_](map(A, B), A): optional(B)
_[?_](optional(map(A, B)), A): optional(B)
@in(A, list(A)): bool
@in(A, map(A, B)): bool
"""
_PLAIN = """
dyn(A): dyn
type(A): type(A)
matches(string, string): bool
string.matches(string): bool
string.contains(string): bool
string.endsWith(string): bool
string.startsWith(string): bool
"""
_STRINGS = """
string.charAt(int): string
string.format(list(dyn)): string
string.indexOf(string): int
string.indexOf(string, int): int
string.lastIndexOf(string): int
string.lastIndexOf(string, int): int
string.lowerAscii(): string
string.upperAscii(): string
string.replace(string, string): string
string.replace(string, string, int): string
string.split(string): list(string)
string.split(string, int): list(string)
string.substring(int): string
string.substring(int, int): string
string.trim(): string
list(string).join(): string
list(string).join(string): string
strings:quote(string): string
"""
_SETS = """
sets:contains(list(A), list(A)): bool
sets:equivalent(list(A), list(A)): bool
sets:intersects(list(A), list(A)): bool
"""
_OPTIONALS = """
optional:of(A): optional(A)
optional:ofNonZeroValue(A): optional(A)
optional:none(): optional(A)
optional:unwrap(list(optional(A))): list(A)
list(optional(A)).unwrapOpt(): list(A)
optional(A).value(): A
optional(A).hasValue(): bool
optional(A).or(optional(A)): optional(A)
optional(A).orValue(A): A
list(A).first(): optional(A)
list(A).last(): optional(A)
"""


def _made() -> Iterator[str]:
    """Make the declarations that differ in types or names only."""
    for operator in ("_<_", "_<=_", "_>_", "_>=_"):
        for left, right in _ORDERED:
            yield f"{operator}({left}, {right}): bool"
    for target, sources in _CONVERSIONS.items():
        for source in sources:
            yield f"{target}({source}): {target}"
    for measured in ("bytes", "list(A)", "map(A, B)", "string"):
        yield f"size({measured}): int"
        yield f"{measured}.size(): int"
    for name in (*_OF_DATES, *_OF_TIMES):
        yield f"timestamp.{name}(): int"
        yield f"timestamp.{name}(string): int"
    for name in _OF_TIMES:
        yield f"duration.{name}(): int"


def functions() -> Functions:
    """Return the functions."""
    written = (_OPERATORS + _PLAIN + _STRINGS + _SETS + _OPTIONALS).split("\n")
    return functions_of((*(line for line in written if line), *_made()), {})
