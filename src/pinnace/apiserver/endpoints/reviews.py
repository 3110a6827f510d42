"""Reviews: who a token belongs to, who somebody is, and what they may do. Answered at once, never stored.

Upstream: pkg/registry/authentication, pkg/registry/authorization, pkg/apis/authorization/validation. Errors of these kinds print
the kind as empty, as upstream's do. Rules cannot be listed yet: SelfSubjectRulesReview answers that its list is incomplete.
"""

from collections.abc import Iterator
from typing import Any, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from pinnace.api import codec
from pinnace.api.authentication_v1 import (
    SelfSubjectReview,
    SelfSubjectReviewStatus,
    TokenReview,
    TokenReviewStatus,
)
from pinnace.api.authentication_v1 import UserInfo as WireUser
from pinnace.api.authorization_v1 import (
    LabelSelectorAttributes,
    LocalSubjectAccessReview,
    NonResourceAttributes,
    ResourceAttributes,
    SelfSubjectAccessReview,
    SelfSubjectRulesReview,
    SubjectAccessReview,
    SubjectAccessReviewStatus,
    SubjectRulesReviewStatus,
)
from pinnace.api.meta_v1 import ObjectMeta
from pinnace.apiserver.authentication import ALL_AUTHENTICATED, BearerAuthenticator, InvalidToken
from pinnace.apiserver.authorization import Attributes, Authorizer, Decision
from pinnace.apiserver.endpoints import body as bodies
from pinnace.apiserver.endpoints.options import write_options
from pinnace.apiserver.endpoints.responses import respond
from pinnace.apiserver.endpoints.router import Specials
from pinnace.apiserver.endpoints.scope import Scope
from pinnace.apiserver.endpoints.write import check_namespace
from pinnace.component.http import Response, UserInfo
from pinnace.machinery import errors, timestamps
from pinnace.machinery.errors import BadRequest
from pinnace.machinery.field import FieldError, Path, invalid, required

R = TypeVar("R", bound=Struct)
_SPEC = Path("spec")
_RESOURCE = _SPEC.child("resourceAttributes")
_NON_RESOURCE = _SPEC.child("nonResourceAttributes")


class Reviews:
    """Handlers of the kinds that are only ever created."""

    def __init__(self, bearer: BearerAuthenticator, authorizer: Authorizer, audiences: tuple[str, ...]) -> None:
        self._bearer = bearer
        self._authorizer = authorizer
        self._audiences = audiences

    def handlers(self) -> Specials:
        """Return what answers a POST to each kind."""
        return {
            ("tokenreviews", ""): self.token,
            ("selfsubjectreviews", ""): self.myself,
            ("subjectaccessreviews", ""): self.subject,
            ("localsubjectaccessreviews", ""): self.local,
            ("selfsubjectaccessreviews", ""): self.my_access,
            ("selfsubjectrulesreviews", ""): self.my_rules,
        }

    async def token(self, scope: Scope) -> Response:
        """Say whose a token is."""
        review = await _read(scope, TokenReview)
        if not review.spec.token:
            raise BadRequest("token is required for TokenReview in authentication")
        audiences = review.spec.audiences or self._audiences
        try:
            user = await self._bearer.review(review.spec.token, audiences)
        except InvalidToken as error:
            return _answer(scope, replace(review, status=TokenReviewStatus(error=str(error))))
        groups = user.groups if ALL_AUTHENTICATED in user.groups else (*user.groups, ALL_AUTHENTICATED)
        status = TokenReviewStatus(
            authenticated=True,
            user=_wire(user, groups),
            audiences=tuple(one for one in audiences if one in self._audiences),
        )
        return _answer(scope, replace(review, status=status))

    async def myself(self, scope: Scope) -> Response:
        """Say who asks."""
        review = await _read(scope, SelfSubjectReview)
        meta = ObjectMeta(creation_timestamp=timestamps.format(scope.services.clock.time()))
        status = SelfSubjectReviewStatus(user_info=_wire(scope.user, scope.user.groups))
        return _answer(scope, replace(review, metadata=meta, status=status))

    async def subject(self, scope: Scope) -> Response:
        """Say what somebody may do."""
        return await self._subject(scope, await _read(scope, SubjectAccessReview))

    async def local(self, scope: Scope) -> Response:
        """Say what somebody may do in the path's namespace."""
        review = await _read(scope, LocalSubjectAccessReview)
        spec, namespace = review.spec, scope.info.namespace
        if spec.non_resource_attributes is not None:
            shown = _shown(spec.non_resource_attributes)
            _refuse([invalid(_NON_RESOURCE, shown, "disallowed on this kind of request")])
        if spec.resource_attributes is not None and spec.resource_attributes.namespace != namespace:
            found = [
                invalid(
                    _RESOURCE.child("namespace"), spec.resource_attributes.namespace, "must match metadata.namespace"
                )
            ]
            _refuse(found)
        return await self._subject(scope, review)

    async def _subject(self, scope: Scope, review: Any) -> Response:
        spec = review.spec
        found = list(_attribute_errors(spec.resource_attributes, spec.non_resource_attributes))
        if not spec.user and not spec.groups:
            found.append(invalid(_SPEC.child("user"), "", "at least one of user or group must be specified"))
        _refuse(found)
        user = UserInfo(spec.user, spec.uid, tuple(spec.groups), dict(spec.extra))
        status = await self._decide(user, spec.resource_attributes, spec.non_resource_attributes)
        return _answer(scope, replace(review, status=status))

    async def my_access(self, scope: Scope) -> Response:
        """Say what the one who asks may do."""
        review = await _read(scope, SelfSubjectAccessReview)
        spec = review.spec
        _refuse(list(_attribute_errors(spec.resource_attributes, spec.non_resource_attributes)))
        status = await self._decide(scope.user, spec.resource_attributes, spec.non_resource_attributes)
        return _answer(scope, replace(review, status=status))

    @staticmethod
    async def my_rules(scope: Scope) -> Response:
        """Say that what the one who asks may do cannot be listed in full."""
        review = await _read(scope, SelfSubjectRulesReview)
        if not review.spec.namespace:
            raise BadRequest("no namespace on request")
        status = SubjectRulesReviewStatus(incomplete=True, resource_rules=(), non_resource_rules=())
        return _answer(scope, replace(review, spec=replace(review.spec, namespace=""), status=status))

    async def _decide(
        self, user: UserInfo, resource: ResourceAttributes | None, other: NonResourceAttributes | None
    ) -> SubjectAccessReviewStatus:
        if resource is not None:
            attributes = Attributes(
                user=user,
                verb=resource.verb,
                is_resource=True,
                group=resource.group,
                version=resource.version or "*",
                resource=resource.resource,
                subresource=resource.subresource,
                namespace=resource.namespace,
                name=resource.name,
            )
        else:
            assert other is not None, "checked before"
            attributes = Attributes(user=user, verb=other.verb, path=other.path)
        verdict = await self._authorizer.authorize(attributes)
        return SubjectAccessReviewStatus(
            allowed=verdict.decision is Decision.ALLOWED,
            denied=verdict.decision is Decision.DENIED,
            reason=verdict.reason,
        )


async def _read(scope: Scope, cls: type[R]) -> R:
    options = write_options(scope.request, "CreateOptions")
    review = await bodies.read_object(
        scope.request,
        cls,
        scope.resource.api_version,
        validation=options.field_validation,
        warnings=scope.warnings,
    )
    checked: R = check_namespace(scope, review)
    return checked


def _answer(scope: Scope, review: Struct) -> Response:
    return respond(scope.request, codec.encode(review), scope.output, status=201, warnings=scope.warnings)


def _wire(user: UserInfo, groups: tuple[str, ...]) -> WireUser:
    return WireUser(username=user.name, uid=user.uid, groups=groups, extra=user.extra)


def _refuse(found: list[FieldError]) -> None:
    if found:
        raise errors.invalid("authorization.k8s.io", "", "", found)


def _shown(attributes: NonResourceAttributes) -> dict[str, str]:
    """Return the attributes as upstream prints them: by the names they have in Go."""
    return {"Path": attributes.path, "Verb": attributes.verb}


def _attribute_errors(resource: ResourceAttributes | None, other: NonResourceAttributes | None) -> Iterator[FieldError]:
    if resource is not None and other is not None:
        yield invalid(_NON_RESOURCE, _shown(other), "cannot be specified in combination with resourceAttributes")
    if resource is None and other is None:
        text = "exactly one of nonResourceAttributes or resourceAttributes must be specified"
        yield invalid(_RESOURCE, None, text)
    if resource is None:
        return
    for name, selector in (("fieldSelector", resource.field_selector), ("labelSelector", resource.label_selector)):
        if selector is not None:
            yield from _selector_errors(_RESOURCE.child(name), selector)


def _selector_errors(path: Path, selector: Any) -> Iterator[FieldError]:
    """Check a field or label selector; they have the same shape."""
    attributes: LabelSelectorAttributes = selector
    if attributes.raw_selector and attributes.requirements:
        text = "may not specified at the same time as requirements"
        yield invalid(path.child("rawSelector"), attributes.raw_selector, text)
    for index, requirement in enumerate(attributes.requirements):
        at = path.child("requirements").index(index)
        if requirement.operator in {"In", "NotIn"} and not requirement.values:
            yield required(at.child("values"), "must be specified when `operator` is 'In' or 'NotIn'")
