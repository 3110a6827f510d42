"""What the writers of a path can own: nothing that the path takes no value of."""

import pytest

from pinnace.api.resources import RESOURCES
from pinnace.apiserver.endpoints.field_reset import ownable

LEAF: dict = {}
EVERYTHING = {
    "f:metadata": {"f:labels": {"f:a": LEAF}, "f:ownerReferences": LEAF},
    "f:spec": {
        "f:a": LEAF,
        "f:configSource": LEAF,
        "f:username": LEAF,
        "f:ephemeralContainers": LEAF,
        "f:containers": {'k:{"name":"c"}': {"f:image": LEAF, "f:resources": LEAF}},
    },
    "f:status": {"f:b": LEAF, "f:conditions": LEAF, "f:certificate": LEAF},
}


def resource(plural):
    return next(one for one in RESOURCES if one.plural == plural and one.stored_in is None)


def paths(tree, above=()):
    """Return the paths of a set that lead to something."""
    for name, inner in tree.items():
        if inner:
            yield from paths(inner, (*above, name))
        else:
            yield ".".join((*above, name)).replace("f:", "")


@pytest.mark.parametrize(
    ("plural", "subresource", "kept", "reset"),
    [
        pytest.param("deployments", "", "spec.a", "status.b", id="object-without-status"),
        pytest.param("deployments", "status", "status.b", "spec.a", id="status-without-spec"),
        pytest.param(
            "deployments", "status", "metadata.ownerReferences", "metadata.labels.a", id="status-of-deployments"
        ),
        pytest.param("pods", "status", "metadata.labels.a", "metadata.ownerReferences", id="status-of-pods"),
        pytest.param("configmaps", "", "status.b", None, id="kind-without-status"),
        pytest.param("nodes", "", "spec.a", "spec.configSource", id="node"),
        pytest.param("namespaces", "finalize", "spec.a", "status.b", id="finalize"),
        pytest.param("certificatesigningrequests", "", "spec.a", "spec.username", id="request"),
        pytest.param("certificatesigningrequests", "status", "status.certificate", "status.conditions", id="issue"),
        pytest.param(
            "certificatesigningrequests", "approval", "status.conditions", "status.certificate", id="approval"
        ),
        pytest.param("flowschemas", "status", "status.b", "metadata.labels.a", id="status-without-metadata"),
        pytest.param("servicecidrs", "status", "spec.a", None, id="upstreams-slip"),
        pytest.param("pods", "ephemeralcontainers", "spec.ephemeralContainers", "spec.a", id="ephemeral-containers"),
        pytest.param(
            "pods",
            "resize",
            'spec.containers.k:{"name":"c"}.resources',
            'spec.containers.k:{"name":"c"}.image',
            id="resize",
        ),
    ],
)
def test_path_lets_its_writers_own_what_it_takes(plural, subresource, kept, reset):
    """Of a set of fields those are left that the path takes values of."""
    left = set(paths(ownable(resource(plural), subresource)(EVERYTHING)))
    assert kept in left
    assert reset is None or reset not in left
    assert reset is not None or left == set(paths(EVERYTHING))
