"""Rules for names: each function returns upstream's complaints about a text, none when it is good.

The name rules of objects take a second argument: True for a generateName, whose last character may be a dash because a suffix
follows. Upstream: apimachinery `pkg/util/validation`, `pkg/api/validation/name.go`; RFC 1035, RFC 1123.
"""

import re
from collections.abc import Callable, Iterator
from functools import partial

_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = rf"{_LABEL}(\.{_LABEL})*"
_QUALIFIED = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_LABEL_1035 = "[a-z]([-a-z0-9]*[a-z0-9])?"
_CONFIG_KEY = "[-._a-zA-Z0-9]+"

_matches_label = re.compile(_LABEL).fullmatch
_matches_subdomain = re.compile(_SUBDOMAIN).fullmatch
_matches_qualified = re.compile(_QUALIFIED).fullmatch
_matches_label_1035 = re.compile(_LABEL_1035).fullmatch
_matches_config_key = re.compile(_CONFIG_KEY).fullmatch
_matches_label_value = re.compile(f"({_QUALIFIED})?").fullmatch
_matches_env = re.compile(r"[ -<>-~]+").fullmatch
_matches_port_name = re.compile("[-a-z0-9]+").fullmatch

LABEL_LIMIT = 63
SUBDOMAIN_LIMIT = 253

_SUBDOMAIN_RULE = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', "
    "and must start and end with an alphanumeric character"
)
_LABEL_RULE = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', "
    "and must start and end with an alphanumeric character"
)
_LABEL_1035_RULE = (
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', "
    "start with an alphabetic character, and end with an alphanumeric character"
)
_QUALIFIED_RULE = (
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character"
)
_LABEL_VALUE_RULE = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', "
    "and must start and end with an alphanumeric character"
)
_CONFIG_KEY_RULE = "a valid config key must consist of alphanumeric characters, '-', '_' or '.'"

NameRule = Callable[[str, bool], list[str]]


def too_long(limit: int) -> str:
    """Word the complaint about length."""
    return f"must be no more than {limit} characters"


def too_many_bytes(limit: int) -> str:
    """Word the complaint about the length of a key's part."""
    return f"must be no more than {limit} bytes"


def regex_rule(rule: str, pattern: str, *examples: str) -> str:
    """Word the complaint about a pattern."""
    # Two spaces before each further example: upstream's wording, and clients compare it.
    shown = " or ".join(f"'{example}', " for example in examples)
    return (
        f"{rule} (e.g. {shown}regex used for validation is '{pattern}')"
        if examples
        else f"{rule} (regex used for validation is '{pattern}')"
    )


def _masked(name: str, prefix: bool) -> str:  # noqa: FBT001
    """A trailing dash of a generateName counts as a letter."""
    return name[:-1] + "a" if prefix and len(name) > 1 and name.endswith("-") else name


def dns_subdomain(name: str, prefix: bool = False) -> list[str]:  # noqa: FBT001, FBT002
    """Check an RFC 1123 subdomain: what most objects are called."""
    return list(
        _check(_masked(name, prefix), SUBDOMAIN_LIMIT, _matches_subdomain, _SUBDOMAIN_RULE, _SUBDOMAIN, "example.com")
    )


def dns_label(name: str, prefix: bool = False) -> list[str]:  # noqa: FBT001, FBT002
    """Check an RFC 1123 label: namespaces, containers, volumes, Services."""
    masked = _masked(name, prefix)
    if len(masked) <= LABEL_LIMIT and not _matches_label(masked) and _matches_subdomain(masked):
        return ["must not contain dots"]
    return list(_check(masked, LABEL_LIMIT, _matches_label, _LABEL_RULE, _LABEL, "my-name", "123-abc"))


def dns_label_1035(name: str, prefix: bool = False) -> list[str]:  # noqa: FBT001, FBT002
    """Check an RFC 1035 label, which starts with a letter."""
    return list(
        _check(
            _masked(name, prefix), LABEL_LIMIT, _matches_label_1035, _LABEL_1035_RULE, _LABEL_1035, "my-name", "abc-123"
        )
    )


def _check(
    name: str, limit: int, matches: Callable[[str], object], rule: str, pattern: str, *examples: str
) -> Iterator[str]:
    if len(name) > limit:
        yield too_long(limit)
    if not matches(name):
        yield regex_rule(rule, pattern, *examples)


def path_segment(name: str, prefix: bool = False) -> list[str]:  # noqa: FBT001, FBT002
    """Check that a name can stand in a URL path: RBAC objects and certificate requests."""
    if not prefix and name in {".", ".."}:
        return [f"may not be '{name}'"]
    return [f"may not contain '{part}'" for part in ("/", "%") if part in name]


def label_key(name: str) -> list[str]:
    """Check a label key: a qualified name, called by its own name where it has too many parts."""
    return qualified_name(name, called="a valid label key")


def qualified_name(name: str, *, called: str = "a qualified name") -> list[str]:
    """Check a finalizer, a resource name, an annotation's key: `name` or `prefix/name`."""
    prefix, slash, rest = name.partition("/")
    found = []
    if not slash:
        rest = prefix
    elif "/" in rest:
        rule = regex_rule(f"{called} {_QUALIFIED_RULE}", _QUALIFIED, "MyName", "my.name", "123-abc")
        return [f"{rule} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"]
    elif not prefix:
        found.append("prefix part must be non-empty")
    else:
        found += [f"prefix part {message}" for message in _prefix(prefix)]
    if not rest:
        found.append("name part must be non-empty")
    elif len(rest) > LABEL_LIMIT:
        found.append(f"name part {too_many_bytes(LABEL_LIMIT)}")
    if not _matches_qualified(rest):
        found.append("name part " + regex_rule(_QUALIFIED_RULE, _QUALIFIED, "MyName", "my.name", "123-abc"))
    return found


def _prefix(prefix: str) -> Iterator[str]:
    if len(prefix) > SUBDOMAIN_LIMIT:
        yield too_many_bytes(SUBDOMAIN_LIMIT)
    if not _matches_subdomain(prefix):
        yield regex_rule(_SUBDOMAIN_RULE, _SUBDOMAIN, "example.com")


def label_value(value: str) -> list[str]:
    """Check a label's value, which may be empty."""
    found = []
    if len(value) > LABEL_LIMIT:
        found.append(too_many_bytes(LABEL_LIMIT))
    if not _matches_label_value(value):
        found.append(regex_rule(_LABEL_VALUE_RULE, f"({_QUALIFIED})?", "MyValue", "my_value", "12345"))
    return found


def config_key(key: str) -> list[str]:
    """Check a key of a ConfigMap or Secret, which becomes a file name."""
    found = []
    if len(key) > SUBDOMAIN_LIMIT:
        found.append(too_long(SUBDOMAIN_LIMIT))
    if not _matches_config_key(key):
        found.append(regex_rule(_CONFIG_KEY_RULE, _CONFIG_KEY, "key.name", "KEY_NAME", "key-name"))
    return found + _no_dots(key)


def _no_dots(name: str) -> list[str]:
    if name == ".":
        return ["must not be '.'"]
    if name == "..":
        return ["must not be '..'"]
    return ["must not start with '..'"] if name.startswith("..") else []


def env_name(name: str) -> list[str]:
    """Check the name of an environment variable: printable ASCII without '='."""
    if not name:
        return ["environment variable name must not be empty"]
    rule = "a valid environment variable name must consist only of printable ASCII characters other than '='"
    return [] if _matches_env(name) else [rule]


def port_name(name: str) -> list[str]:
    """Check the name of a container port (RFC 6335, section 5.1)."""
    found = []
    if len(name) > 15:
        found.append(too_long(15))
    if not _matches_port_name(name):
        found.append("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)")
    if not any("a" <= character <= "z" for character in name):
        found.append("must contain at least one letter (a-z)")
    if "--" in name:
        found.append("must not contain consecutive hyphens")
    if name.startswith("-") or name.endswith("-"):
        found.append("must not begin or end with a hyphen")
    return found


def port_number(port: int) -> list[str]:
    """Check a port of TCP, UDP or SCTP."""
    return [] if 1 <= port <= 65535 else ["must be between 1 and 65535, inclusive"]


def limited(rule: NameRule, limit: int) -> NameRule:
    """Return a name rule with a length limit of its own, complained of first."""
    return partial(_limited, rule, limit)


def _limited(rule: NameRule, limit: int, name: str, prefix: bool) -> list[str]:  # noqa: FBT001
    return ([too_long(limit)] if len(name) > limit else []) + rule(name, prefix)
