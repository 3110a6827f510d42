"""Several authorizers as one, and the group that may do everything.

Upstream: apiserver `pkg/authorization/{union,authorizerfactory}`.
"""

from pinnace.apiserver.authorization.interface import ALLOWED, NO_OPINION, Attributes, Authorizer, Decision, Verdict

MASTERS = "system:masters"


class Authorizers(Authorizer):
    """Asks each in turn; the first opinion decides."""

    def __init__(self, *authorizers: Authorizer) -> None:
        self._authorizers = authorizers

    async def authorize(self, attributes: Attributes) -> Verdict:
        reasons: list[str] = []
        for authorizer in self._authorizers:
            verdict = await authorizer.authorize(attributes)
            if verdict.decision is not Decision.NO_OPINION:
                return verdict
            if verdict.reason:
                reasons.append(verdict.reason)
        return Verdict(Decision.NO_OPINION, "\n".join(reasons)) if reasons else NO_OPINION


class MastersAuthorizer(Authorizer):
    """Allows the group `system:masters` everything, whatever roles say, so that a cluster can always be mended."""

    async def authorize(self, attributes: Attributes) -> Verdict:
        return ALLOWED if MASTERS in attributes.user.groups else NO_OPINION
