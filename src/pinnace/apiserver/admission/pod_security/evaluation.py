"""A pod against a level: which checks apply, and what they find.

What is found depends on the spec and a few old annotations only, so it is worked out once for the pods of a template.
Upstream: `staging/src/k8s.io/pod-security-admission/policy/registry.go`.
"""

from collections.abc import Mapping
from functools import lru_cache

from pinnace.api.core_v1 import PodSpec
from pinnace.apiserver.admission.pod_security.baseline import APPARMOR_PREFIX, BASELINE, SECCOMP_POD, SECCOMP_PREFIX
from pinnace.apiserver.admission.pod_security.policy import Level, LevelVersion
from pinnace.apiserver.admission.pod_security.restricted import RESTRICTED
from pinnace.apiserver.admission.pod_security.violation import Rule, Violation
from pinnace.machinery.memo import Memo

_READ_PREFIXES = (APPARMOR_PREFIX, SECCOMP_PREFIX, SECCOMP_POD)


def violations(spec: PodSpec, annotations: Mapping[str, str], wanted: LevelVersion) -> tuple[Violation, ...]:
    """Return what a pod does that a level does not allow."""
    if wanted.level is Level.PRIVILEGED:
        return ()
    read = tuple((key, value) for key, value in annotations.items() if key.startswith(_READ_PREFIXES))
    return _known(spec, read, wanted)


def _violations(spec: PodSpec, annotations: tuple[tuple[str, str], ...], wanted: LevelVersion) -> tuple[Violation, ...]:
    noted = dict(annotations)
    found = (rule(spec, noted) for rule in _rules(wanted))
    return tuple(violation for violation in found if violation is not None)


_known: Memo[PodSpec, tuple[Violation, ...]] = Memo(_violations)


@lru_cache(maxsize=256)
def _rules(wanted: LevelVersion) -> tuple[Rule, ...]:
    """Return the rules of a level in a version: the baseline's first, those in whose place a stricter one stands left out."""
    restricted = RESTRICTED if wanted.level is Level.RESTRICTED else ()
    held = [(check, rule) for check in restricted if (rule := check.rule(wanted.minor)) is not None]
    replaced = {check.overrides for check, _ in held}
    baseline = [
        rule for check in BASELINE if check.name not in replaced and (rule := check.rule(wanted.minor)) is not None
    ]
    return (*baseline, *(rule for _, rule in held))
