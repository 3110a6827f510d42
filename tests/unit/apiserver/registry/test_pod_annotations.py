"""Annotations that mean something to pods: exact complaints, for pods and for templates of them."""

import pytest
from tests.support.kind_rules import Rules

SECCOMP = "seccomp.security.alpha.kubernetes.io/pod"
APPARMOR = "container.apparmor.security.beta.kubernetes.io"
COST = "controller.kubernetes.io/pod-deletion-cost"
MIRROR = "kubernetes.io/config.mirror"
FIELD = "securityContext.appArmorProfile"
CONTAINER = [{"name": "a", "image": "a"}]


def container(**profile):
    return [{"name": "a", "image": "a", "securityContext": {"appArmorProfile": profile}}]


@pytest.mark.parametrize(
    ("annotations", "complaints"),
    [
        pytest.param(
            {MIRROR: "x"},
            [f'[{MIRROR}]: Invalid value: "x": must set spec.nodeName if mirror pod annotation is set'],
            id="mirror",
        ),
        pytest.param({SECCOMP: "localhost/a", f"{APPARMOR}/a": "localhost/b", COST: "-7"}, [], id="nothing wrong"),
        pytest.param(
            {SECCOMP: "mine"}, [f'.{SECCOMP}: Invalid value: "mine": must be a valid seccomp profile'], id="seccomp"
        ),
        pytest.param(
            {"container.seccomp.security.alpha.kubernetes.io/a": "localhost//../x"},
            [
                f'.container.{SECCOMP[:-4]}/a: Invalid value: "/../x": must be a relative path',
                f".container.{SECCOMP[:-4]}/a: Invalid value: \"/../x\": must not contain '..'",
            ],
            id="seccomp of a container",
        ),
        pytest.param(
            {f"{APPARMOR}/b": "mine"},
            [
                f'[{APPARMOR}/b]: Invalid value: "b": container not found',
                f'[{APPARMOR}/b]: Invalid value: "mine": invalid AppArmor profile name: "mine"',
            ],
            id="apparmor",
        ),
    ],
)
@pytest.mark.parametrize(
    ("plural", "at", "shown", "spec"),
    [
        pytest.param("pods", "metadata", "metadata", "spec", id="pod"),
        pytest.param("deployments", "spec.template.metadata", "spec.template", "spec.template.spec", id="template"),
    ],
)
def test_annotation_is_refused(plural, at, shown, spec, annotations, complaints):
    """A template's path leaves `metadata` out."""
    changes = {f"{at}.annotations": annotations, f"{spec}.containers": CONTAINER}
    assert Rules(plural).refused(changes) == [f"{shown}.annotations{complaint}" for complaint in complaints]


@pytest.mark.parametrize(
    ("cost", "good"),
    [
        ("0", True),
        ("-0", True),
        ("2147483647", True),
        ("-2147483648", True),
        ("-007", True),
        ("2147483648", False),
        ("-2147483649", False),
        ("+1", False),
        ("007", False),
        ("", False),
        ("-", False),
        ("1.5", False),
        pytest.param("9" * 5000, False, id="very long"),
    ],
)  # fmt: skip
def test_deletion_cost_is_a_number(cost, good):
    """Neither plus signs nor leading zeros are let through."""
    complaint = f'metadata.annotations[{COST}]: Invalid value: "{cost}": must be a 32bit integer'
    assert Rules("pods").refused({"metadata.annotations": {COST: cost}}) == ([] if good else [complaint])


@pytest.mark.parametrize(
    ("annotation", "profile", "member"),
    [
        pytest.param("unconfined", {"type": "Unconfined"}, None, id="same"),
        pytest.param("unconfined", {"type": "RuntimeDefault"}, "type", id="other type"),
        pytest.param("unconfined", {"type": "Localhost", "localhostProfile": "a"}, "type", id="not local"),
        pytest.param("localhost/a", {"type": "Localhost", "localhostProfile": "a"}, None, id="same profile"),
        pytest.param(
            "localhost/b", {"type": "Localhost", "localhostProfile": "a"}, "localhostProfile", id="other profile"
        ),
    ],
)
def test_apparmor_annotation_says_what_the_field_says(annotation, profile, member):
    """Otherwise nobody knew which of the two holds."""
    changes = {
        "spec.template.metadata.annotations": {f"{APPARMOR}/a": annotation},
        "spec.template.spec.containers": container(**profile),
    }
    word = "profile" if member == "localhostProfile" else "type"
    at = f"spec.template.spec.containers[0].{FIELD}.{member}"
    text = f"{at}: Forbidden: apparmor {word} in annotation and field must match"
    assert Rules("deployments").refused(changes) == ([] if member is None else [text])


@pytest.mark.parametrize("part", ["", "status"])
@pytest.mark.parametrize(
    ("before", "after", "complaints"),
    [
        pytest.param({"a": "1"}, {"b": "2"}, [], id="others"),
        pytest.param(
            {MIRROR: "x"},
            {},
            [f"[{MIRROR}]: Forbidden: may not remove or update mirror pod annotation"],
            id="mirror goes",
        ),
        pytest.param(
            {}, {MIRROR: "x"}, [f"[{MIRROR}]: Forbidden: may not add mirror pod annotation"], id="mirror comes"
        ),
        pytest.param(
            {f"{APPARMOR}/a": "unconfined"},
            {f"{APPARMOR}/a": "runtime/default"},
            [f"[{APPARMOR}/a]: Forbidden: may not remove or update AppArmor annotations"],
            id="apparmor changes",
        ),
        pytest.param(
            {},
            {f"{APPARMOR}/a": "unconfined"},
            [f"[{APPARMOR}/a]: Forbidden: may not add AppArmor annotations"],
            id="apparmor comes",
        ),
    ],
)
def test_annotation_stays_for_a_pods_life(part, before, after, complaints):
    """What the kubelet has gone by may not change under it."""
    pod = {"spec.nodeName": "n", "spec.containers": CONTAINER}
    old, new = {**pod, "metadata.annotations": before}, {**pod, "metadata.annotations": after}
    assert Rules("pods").refused_update(old, new, part) == [
        f"metadata.annotations{complaint}" for complaint in complaints
    ]
