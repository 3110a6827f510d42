"""The functions that Kubernetes adds to CEL (upstream apiserver pkg/cel/library)."""

from collections.abc import Iterator

from pinnace.apiserver.cel.declarations import Functions, functions_of

TYPES = {
    "URL": "kubernetes.URL",
    "Quantity": "kubernetes.Quantity",
    "IP": "net.IP",
    "CIDR": "net.CIDR",
    "Format": "kubernetes.NamedFormat",
    "Semver": "kubernetes.Semver",
    "Authorizer": "kubernetes.authorization.Authorizer",
    "PathCheck": "kubernetes.authorization.PathCheck",
    "GroupCheck": "kubernetes.authorization.GroupCheck",
    "ResourceCheck": "kubernetes.authorization.ResourceCheck",
    "Decision": "kubernetes.authorization.Decision",
}
_SUMMED = ("int", "uint", "double", "duration")
_COMPARED = (*_SUMMED, "bool", "timestamp", "string", "bytes")
_FORMATS = (
    "dns1123Label", "dns1123Subdomain", "dns1035Label", "qualifiedName", "dns1123LabelPrefix",
    "dns1123SubdomainPrefix", "dns1035LabelPrefix", "labelValue", "uri", "uuid", "byte", "date", "datetime",
)  # fmt: skip

_LIBRARIES = """
url(string): URL
isURL(string): bool
URL.getScheme(): string
URL.getHost(): string
URL.getHostname(): string
URL.getPort(): string
URL.getEscapedPath(): string
URL.getQuery(): map(string, list(string))
string.find(string): string
string.findAll(string): list(string)
string.findAll(string, int): list(string)
list(A).indexOf(A): int
list(A).lastIndexOf(A): int
quantity(string): Quantity
isQuantity(string): bool
Quantity.sign(): int
Quantity.isInteger(): bool
Quantity.asInteger(): int
Quantity.asApproximateFloat(): double
Quantity.add(Quantity): Quantity
Quantity.add(int): Quantity
Quantity.sub(Quantity): Quantity
Quantity.sub(int): Quantity
Quantity.isGreaterThan(Quantity): bool
Quantity.isLessThan(Quantity): bool
Quantity.compareTo(Quantity): int
ip(string): IP
isIP(string): bool
ip:isCanonical(string): bool
string(IP): string
IP.family(): int
IP.isUnspecified(): bool
IP.isLoopback(): bool
IP.isLinkLocalMulticast(): bool
IP.isLinkLocalUnicast(): bool
IP.isGlobalUnicast(): bool
cidr(string): CIDR
isCIDR(string): bool
string(CIDR): string
CIDR.containsIP(string): bool
CIDR.containsIP(IP): bool
CIDR.containsCIDR(string): bool
CIDR.containsCIDR(CIDR): bool
CIDR.ip(): IP
CIDR.masked(): CIDR
CIDR.prefixLength(): int
format:named(string): optional(Format)
Format.validate(string): optional(list(string))
semver(string): Semver
semver(string, bool): Semver
isSemver(string): bool
isSemver(string, bool): bool
Semver.major(): int
Semver.minor(): int
Semver.patch(): int
Semver.isGreaterThan(Semver): bool
Semver.isLessThan(Semver): bool
Semver.compareTo(Semver): int
Authorizer.path(string): PathCheck
Authorizer.group(string): GroupCheck
Authorizer.serviceAccount(string, string): Authorizer
GroupCheck.resource(string): ResourceCheck
ResourceCheck.subresource(string): ResourceCheck
ResourceCheck.namespace(string): ResourceCheck
ResourceCheck.name(string): ResourceCheck
ResourceCheck.fieldSelector(string): ResourceCheck
ResourceCheck.labelSelector(string): ResourceCheck
PathCheck.check(string): Decision
ResourceCheck.check(string): Decision
Decision.errored(): bool
Decision.error(): string
Decision.allowed(): bool
Decision.reason(): string
"""
_PATCHES = ("jsonpatch:escapeKey(string): string",)


def _made() -> Iterator[str]:
    for item in _COMPARED:
        yield f"list({item}).isSorted(): bool"
        yield f"list({item}).min(): {item}"
        yield f"list({item}).max(): {item}"
    for item in _SUMMED:
        yield f"list({item}).sum(): {item}"
    for name in _FORMATS:
        yield f"format:{name}(): Format"


def functions() -> Functions:
    """Return the functions."""
    return functions_of((*(line for line in _LIBRARIES.split("\n") if line), *_made()), TYPES)


def patch_functions() -> Functions:
    """Return the functions for expressions that make patches."""
    return functions_of(_PATCHES, TYPES)
