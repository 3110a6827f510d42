"""For whom a node may ask tokens of its pods' accounts: for those that the pod itself has tokens for, and whom a role names.

A pod has tokens for the audiences of its projected volumes, and for those that the CSI drivers of its volumes ask for. Beyond them the verb
`request-serviceaccounts-token-audience` on a resource of the audience's name lets a node ask. Upstream: KEP-4412, `ServiceAccountNodeAudienceRestriction`
in `plugin/pkg/admission/noderestriction`.
"""

from pinnace.api.authentication_v1 import TokenRequest
from pinnace.api.core_v1 import PersistentVolume, PersistentVolumeClaim, Pod, Volume
from pinnace.api.storage_v1 import CSIDriver
from pinnace.apiserver.admission.interface import Attributes, Objects
from pinnace.apiserver.authorization.interface import Attributes as Access
from pinnace.apiserver.authorization.interface import Authorizer, Decision
from pinnace.machinery.field import go_quoted

VERB = "request-serviceaccounts-token-audience"


async def check_audiences(
    attributes: Attributes, request: TokenRequest, pod: Pod, objects: Objects, authorizer: Authorizer
) -> None:
    """Let a node's request pass that asks for no other audience than it may.

    Raises:
        Forbidden: it does.
    """
    wanted = request.spec.audiences or ()
    if len(wanted) > 1:
        raise attributes.refuse("node may only request 0 or 1 audiences")
    audience = wanted[0] if wanted else ""
    if await _has_tokens_for(pod, audience, objects):
        return
    access = Access(
        user=attributes.user,
        verb=VERB,
        is_resource=True,
        version="v1",
        resource=audience,
        namespace=attributes.namespace,
        name=attributes.name,
    )
    if (await authorizer.authorize(access)).decision is not Decision.ALLOWED:
        raise attributes.refuse(
            f"audience {go_quoted(audience)} not found in pod spec volume, {attributes.user.name} is not authorized to request "
            "tokens for this audience"
        )


async def _has_tokens_for(pod: Pod, audience: str, objects: Objects) -> bool:
    for volume in pod.spec.volumes:
        sources = volume.projected.sources if volume.projected is not None else ()
        tokens = (source.service_account_token for source in sources or ())
        if any(token is not None and token.audience == audience for token in tokens):
            return True
        driver = await _driver(pod, volume, objects)
        found = await objects.get(CSIDriver, driver) if driver else None
        if found is not None and any(one.audience == audience for one in found.spec.token_requests):
            return True
    return False


async def _driver(pod: Pod, volume: Volume, objects: Objects) -> str:
    """Return the CSI driver that mounts a volume, empty when none does."""
    if volume.csi is not None:
        return volume.csi.driver
    if volume.persistent_volume_claim is not None:
        name = volume.persistent_volume_claim.claim_name
    elif volume.ephemeral is not None:
        name = f"{pod.metadata.name}-{volume.name}"
    else:
        return ""
    claim = await objects.get(PersistentVolumeClaim, name, pod.metadata.namespace)
    bound = await objects.get(PersistentVolume, claim.spec.volume_name) if claim and claim.spec.volume_name else None
    return bound.spec.csi.driver if bound is not None and bound.spec.csi is not None else ""
