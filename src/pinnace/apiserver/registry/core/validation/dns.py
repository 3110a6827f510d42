"""A pod's own DNS settings and host entries (upstream pkg/apis/core/validation `validatePodDNSConfig`)."""

import re
from collections.abc import Iterator, Sequence

from pinnace.api import core_v1 as v1
from pinnace.machinery import names
from pinnace.machinery.addresses import ip_address
from pinnace.machinery.field import FieldError, Path, invalid, not_supported, required

NAMESERVERS_LIMIT, SEARCHES_LIMIT, SEARCH_CHARACTERS_LIMIT = 3, 32, 2048
POLICIES = ("ClusterFirstWithHostNet", "ClusterFirst", "Default", "None")
_SEARCH = r"_?[a-z0-9]([-_a-z0-9]*[a-z0-9])?(\._?[a-z0-9]([-_a-z0-9]*[a-z0-9])?)*"
_SEARCH_RULE = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '_', '-' or '.', and must start "
    f"and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '{_SEARCH}')"
)


def dns_errors(config: v1.PodDNSConfig | None, policy: str, path: Path) -> Iterator[FieldError]:
    """Check the DNS settings; policy None means that they must be there."""
    if policy == "None":
        if config is None:
            yield required(path, "must provide `dnsConfig` when `dnsPolicy` is None")
            return
        if not config.nameservers:
            text = "must provide at least one DNS nameserver when `dnsPolicy` is None"
            yield required(path.child("nameservers"), text)
            return
    if config is None:
        return
    servers = path.child("nameservers")
    if len(config.nameservers) > NAMESERVERS_LIMIT:
        yield invalid(servers, config.nameservers, f"must not have more than {NAMESERVERS_LIMIT} nameservers")
    for index, server in enumerate(config.nameservers):
        yield from (invalid(servers.index(index), server, text) for text in ip_address(server))
    searches = path.child("searches")
    if len(config.searches) > SEARCHES_LIMIT:
        yield invalid(searches, config.searches, f"must not have more than {SEARCHES_LIMIT} search paths")
    if len(" ".join(config.searches)) > SEARCH_CHARACTERS_LIMIT:
        text = f"must not have more than {SEARCH_CHARACTERS_LIMIT} characters (including spaces) in the search list"
        yield invalid(searches, config.searches, text)
    for index, search in enumerate(config.searches):
        bare = search.removesuffix(".") if search != "." else ""
        if bare and not re.fullmatch(_SEARCH, bare):
            yield invalid(searches.index(index), search, _SEARCH_RULE)
    for index, option in enumerate(config.options):
        if not option.name:
            yield required(path.child("options").index(index), "must not be empty")


def policy_errors(policy: str, path: Path) -> Iterator[FieldError]:
    """Check a pod's DNS policy."""
    if not policy:
        yield required(path)
    elif policy not in POLICIES:
        yield not_supported(path, policy, POLICIES)


def host_alias_errors(aliases: Sequence[v1.HostAlias], path: Path) -> Iterator[FieldError]:
    """Check the entries that a pod wants in its hosts file."""
    for index, alias in enumerate(aliases):
        at = path.index(index)
        yield from (invalid(at.child("ip"), alias.ip, text) for text in ip_address(alias.ip))
        for number, name in enumerate(alias.hostnames):
            where = at.child("hostnames").index(number)
            yield from (invalid(where, name, text) for text in names.dns_subdomain(name))
