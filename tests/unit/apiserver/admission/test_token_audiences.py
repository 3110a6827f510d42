"""For whom nodes may ask tokens of their pods' accounts."""

import pytest

from pinnace.api.authentication_v1 import BoundObjectReference, TokenRequest, TokenRequestSpec
from pinnace.api.core_v1 import (
    CSIPersistentVolumeSource,
    CSIVolumeSource,
    EphemeralVolumeSource,
    PersistentVolume,
    PersistentVolumeClaim,
    PersistentVolumeClaimSpec,
    PersistentVolumeClaimVolumeSource,
    PersistentVolumeSpec,
    Pod,
    PodSpec,
    ProjectedVolumeSource,
    ServiceAccountTokenProjection,
    Volume,
    VolumeProjection,
)
from pinnace.api.meta_v1 import ObjectMeta
from pinnace.api.storage_v1 import CSIDriver, CSIDriverSpec
from pinnace.api.storage_v1 import TokenRequest as DriversRequest
from pinnace.apiserver.admission import CREATE, Attributes
from pinnace.apiserver.admission.node_restriction import NodeRestriction
from pinnace.apiserver.authorization import ALLOWED, NO_OPINION
from pinnace.component.http import UserInfo
from pinnace.machinery.errors import Forbidden
from support.authorization import Objects

NODE = UserInfo("system:node:n1", groups=("system:nodes",))
BOUND = BoundObjectReference(kind="Pod", api_version="v1", name="p", uid="u")
ATTRIBUTES = Attributes(
    user=NODE, operation=CREATE, resource="serviceaccounts", subresource="token", namespace="ns", name="a"
)


class Rights:
    """Lets nodes ask for one audience beside those of their pods."""

    def __init__(self, audience=None):
        self._audience = audience

    async def authorize(self, access):
        asked = (access.verb, access.group, access.resource, access.namespace, access.name)
        return (
            ALLOWED
            if asked == ("request-serviceaccounts-token-audience", "", self._audience, "ns", "a")
            else NO_OPINION
        )


def projected(*audiences):
    sources = (
        VolumeProjection(service_account_token=ServiceAccountTokenProjection(audience=one, path=f"t{n}"))
        for n, one in enumerate(audiences)
    )
    return Volume(name="t", projected=ProjectedVolumeSource(sources=tuple(sources)))


def claim(name, volume):
    return PersistentVolumeClaim(
        metadata=ObjectMeta(name=name, namespace="ns"), spec=PersistentVolumeClaimSpec(volume_name=volume)
    )


OBJECTS = (
    CSIDriver(metadata=ObjectMeta(name="d"), spec=CSIDriverSpec(token_requests=(DriversRequest(audience="disks"),))),
    PersistentVolume(
        metadata=ObjectMeta(name="pv"),
        spec=PersistentVolumeSpec(csi=CSIPersistentVolumeSource(driver="d", volume_handle="h")),
    ),
    claim("c", "pv"),
    claim("p-made", "pv"),
    claim("waiting", ""),
)


async def asks(volumes, audiences, granted=None):
    """Return what a node is told that asks for a token of its pod, empty when it gets one."""
    pod = Pod(metadata=ObjectMeta(name="p", namespace="ns", uid="u"), spec=PodSpec(node_name="n1", volumes=volumes))
    request = TokenRequest(spec=TokenRequestSpec(audiences=audiences, bound_object_ref=BOUND))
    try:
        await NodeRestriction(Objects(pod, *OBJECTS), Rights(granted)).mutate(ATTRIBUTES, request, None)
    except Forbidden as refused:
        return str(refused)
    return ""


@pytest.mark.parametrize(
    ("volumes", "audience"),
    [
        pytest.param((projected("", "vault"),), "vault", id="projected"),
        pytest.param((projected("", "vault"),), "", id="the server's own"),
        pytest.param((Volume(name="v", csi=CSIVolumeSource(driver="d")),), "disks", id="inline driver"),
        pytest.param(
            (Volume(name="v", persistent_volume_claim=PersistentVolumeClaimVolumeSource(claim_name="c")),),
            "disks",
            id="claim",
        ),
        pytest.param((Volume(name="made", ephemeral=EphemeralVolumeSource()),), "disks", id="claim made for the pod"),
    ],
)
async def test_node_asks_tokens_for_the_audiences_of_its_pod(volumes, audience):
    """Those of projected volumes, and of the drivers that mount the others; not one more, and not two at once."""
    assert await asks(volumes, (audience,) if audience else None) == ""
    assert "not found in pod spec volume" in await asks(volumes, ("other",))
    assert "node may only request 0 or 1 audiences" in await asks(volumes, (audience, audience))


async def test_node_asks_tokens_for_what_a_role_names():
    """The audience is the resource; a pod without tokens gives its node none, not even for the server itself."""
    waiting = Volume(name="v", persistent_volume_claim=PersistentVolumeClaimVolumeSource(claim_name="waiting"))
    assert await asks((waiting,), ("vault",), granted="vault") == ""
    assert await asks((waiting,), None) == (
        'serviceaccounts "a" is forbidden: audience "" not found in pod spec volume, system:node:n1 is not authorized to request '
        "tokens for this audience"
    )
