"""Reviews: who a token belongs to, who somebody is, and what they may do. Answered at once, never stored.

Upstream: pkg/registry/authentication, pkg/registry/authorization, pkg/apis/authorization/validation. Errors of these kinds print
the kind as empty, as upstream's do.
"""

from typing import TypeVar

from msgspec import Struct, to_builtins
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
    LocalSubjectAccessReview,
    NonResourceAttributes,
    NonResourceRule,
    ResourceAttributes,
    ResourceRule,
    SelfSubjectAccessReview,
    SelfSubjectRulesReview,
    SubjectAccessReview,
    SubjectAccessReviewStatus,
    SubjectRulesReviewStatus,
)
from pinnace.api.meta_v1 import ObjectMeta
from pinnace.apiserver.authentication import ALL_AUTHENTICATED, BearerAuthenticator, InvalidToken
from pinnace.apiserver.authorization import Authorizer, Decision, Roles, node_of
from pinnace.apiserver.authorization.reviewed import (
    NON_RESOURCE,
    RESOURCE,
    SPEC,
    asked,
    attribute_errors,
    shown,
)
from pinnace.apiserver.endpoints import body as bodies
from pinnace.apiserver.endpoints.options import write_options
from pinnace.apiserver.endpoints.responses import respond
from pinnace.apiserver.endpoints.router import Specials
from pinnace.apiserver.endpoints.scope import Scope
from pinnace.apiserver.endpoints.write import check_namespace
from pinnace.component.http import Response, UserInfo
from pinnace.machinery import errors, timestamps
from pinnace.machinery.errors import BadRequest
from pinnace.machinery.field import FieldError, Path, invalid

R = TypeVar("R", bound=Struct)
_META = Path("metadata")


class Reviews:
    """Handlers of the kinds that are only ever created."""

    def __init__(self, bearer: BearerAuthenticator, authorizer: Authorizer, roles: Roles) -> None:
        self._bearer = bearer
        self._authorizer = authorizer
        self._roles = roles

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
        try:
            found = await self._bearer.review(review.spec.token, review.spec.audiences)
        except InvalidToken as error:
            return _answer(scope, replace(review, status=TokenReviewStatus(error=str(error))))
        user = found.user
        groups = user.groups if ALL_AUTHENTICATED in user.groups else (*user.groups, ALL_AUTHENTICATED)
        status = TokenReviewStatus(authenticated=True, user=_wire(user, groups), audiences=found.audiences or ())
        return _answer(scope, replace(review, status=status))

    async def myself(self, scope: Scope) -> Response:
        """Say who asks."""
        review = await _read(scope, SelfSubjectReview)
        meta = ObjectMeta(creation_timestamp=timestamps.format(scope.services.clock.time()))
        status = SelfSubjectReviewStatus(user_info=_wire(scope.user, scope.user.groups))
        return _answer(scope, replace(review, metadata=meta, status=status))

    async def subject(self, scope: Scope) -> Response:
        """Say what somebody may do."""
        review = await _read(scope, SubjectAccessReview)
        return await self._subject(scope, review, _metadata_errors(review.metadata))

    async def local(self, scope: Scope) -> Response:
        """Say what somebody may do in the path's namespace."""
        review = await _read(scope, LocalSubjectAccessReview)
        spec = review.spec
        found = []
        if replace(review.metadata, namespace="", managed_fields=None) != ObjectMeta():
            found.append(invalid(_META, to_builtins(review.metadata), "must be empty except for namespace"))
        if spec.resource_attributes is not None and spec.resource_attributes.namespace != scope.info.namespace:
            at = RESOURCE.child("namespace")
            found.append(invalid(at, spec.resource_attributes.namespace, "must match metadata.namespace"))
        if spec.non_resource_attributes is not None:
            given = shown(spec.non_resource_attributes)
            found.append(invalid(NON_RESOURCE, given, "disallowed on this kind of request"))
        return await self._subject(scope, review, found)

    async def _subject(
        self, scope: Scope, review: SubjectAccessReview | LocalSubjectAccessReview, further: list[FieldError]
    ) -> Response:
        spec = review.spec
        found = list(attribute_errors(spec.resource_attributes, spec.non_resource_attributes))
        if not spec.user and not spec.groups:
            found.append(invalid(SPEC.child("user"), "", "at least one of user or group must be specified"))
        _refuse([*found, *further])
        user = UserInfo(spec.user, spec.uid, tuple(spec.groups), dict(spec.extra))
        status = await self._decide(user, spec.resource_attributes, spec.non_resource_attributes)
        return _answer(scope, replace(review, status=status))

    async def my_access(self, scope: Scope) -> Response:
        """Say what the one who asks may do."""
        review = await _read(scope, SelfSubjectAccessReview)
        spec = review.spec
        found = list(attribute_errors(spec.resource_attributes, spec.non_resource_attributes))
        _refuse([*found, *_metadata_errors(review.metadata)])
        status = await self._decide(scope.user, spec.resource_attributes, spec.non_resource_attributes)
        return _answer(scope, replace(review, status=status))

    async def my_rules(self, scope: Scope) -> Response:
        """List what the one who asks may do in a namespace."""
        review = await _read(scope, SelfSubjectRulesReview)
        namespace = review.spec.namespace
        if not namespace:
            raise BadRequest("no namespace on request")
        self._roles.refresh()
        granted = self._roles.rules_for(scope.user, namespace)
        failures = list(granted.failures)
        is_node = node_of(scope.user) is not None
        if is_node:
            failures.insert(0, "node authorizer does not support user rule resolution")
        status = SubjectRulesReviewStatus(
            resource_rules=tuple(
                ResourceRule(
                    verbs=rule.verbs,
                    api_groups=rule.api_groups,
                    resources=rule.resources,
                    resource_names=rule.resource_names,
                )
                for rule in granted.rules
                if rule.resources
            ),
            non_resource_rules=tuple(
                NonResourceRule(verbs=rule.verbs, non_resource_urls=rule.non_resource_urls)
                for rule in granted.rules
                if rule.non_resource_urls
            ),
            incomplete=is_node,
            evaluation_error=failures[0] if len(failures) == 1 else f"[{', '.join(failures)}]" if failures else "",
        )
        return _answer(scope, replace(review, spec=replace(review.spec, namespace=""), status=status))

    async def _decide(
        self, user: UserInfo, resource: ResourceAttributes | None, other: NonResourceAttributes | None
    ) -> SubjectAccessReviewStatus:
        question = asked(user, resource, other)
        verdict = await self._authorizer.authorize(question.attributes)
        return SubjectAccessReviewStatus(
            allowed=verdict.decision is Decision.ALLOWED,
            denied=verdict.decision is Decision.DENIED,
            reason=verdict.reason,
            evaluation_error=question.ignored,
        )


async def _read(scope: Scope, cls: type[R]) -> R:
    options = write_options(scope.request, "CreateOptions")
    review = await bodies.read_object(scope, cls, scope.resource.api_version, validation=options.field_validation)
    checked: R = check_namespace(scope, review)
    return checked


def _answer(scope: Scope, review: Struct) -> Response:
    return respond(scope.request, codec.encode(review), scope.output, status=201, warnings=scope.warnings)


def _wire(user: UserInfo, groups: tuple[str, ...]) -> WireUser:
    return WireUser(username=user.name, uid=user.uid, groups=groups, extra=user.extra)


def _refuse(found: list[FieldError]) -> None:
    if found:
        raise errors.invalid("authorization.k8s.io", "", "", found)


def _metadata_errors(meta: ObjectMeta) -> list[FieldError]:
    if replace(meta, managed_fields=None) == ObjectMeta():
        return []
    return [invalid(_META, to_builtins(meta), "must be empty")]
