"""Tokens of service accounts, by request.

Upstream: pkg/registry/core/serviceaccount/storage/token.go.
"""

from collections.abc import Awaitable, Callable

from msgspec.structs import replace

from pinnace.api import codec
from pinnace.api.authentication_v1 import TokenRequest
from pinnace.apiserver.endpoints import body as bodies
from pinnace.apiserver.endpoints.options import write_options
from pinnace.apiserver.endpoints.responses import respond
from pinnace.apiserver.endpoints.scope import Scope
from pinnace.apiserver.endpoints.write import check_namespace
from pinnace.apiserver.service_account_tokens import TokenIssuer
from pinnace.component.http import Response
from pinnace.machinery import errors
from pinnace.machinery.field import Path, invalid

VERSION = "authentication.k8s.io/v1"


def token_handler(issuer: TokenIssuer) -> Callable[[Scope], Awaitable[Response]]:
    """Return what answers a POST to a service account's token."""

    async def create(scope: Scope) -> Response:
        options = write_options(scope.request, "CreateOptions")
        wanted = await bodies.read_object(scope, TokenRequest, VERSION, validation=options.field_validation)
        check_namespace(scope, wanted)
        name = scope.info.name
        if wanted.metadata.name not in {"", name}:
            found = [
                invalid(
                    Path("metadata", "name"), wanted.metadata.name, "must match the service account name if specified"
                )
            ]
            raise errors.invalid("authentication.k8s.io", "TokenRequest", name, found)
        entry = scope.registry.storage.get(name, scope.info.namespace)
        if entry is None:
            raise scope.registry.not_found(name)
        uid = entry.object.metadata.uid
        if wanted.metadata.uid not in {"", uid}:
            text = f"the UID in the token request ({wanted.metadata.uid}) does not match the UID of the service account ({uid})"
            raise errors.conflict("authentication.k8s.io", "TokenRequest", name, text)
        call = scope.call("CREATE", dry_run=options.dry_run, options=options)
        wanted = await call.admit.mutate(wanted, None)
        await call.admit.validate(wanted, None)
        answer = await issuer.create(entry.object, wanted, scope.services.objects)
        if options.dry_run:
            answer = replace(answer, status=replace(answer.status, token=""))
        return respond(scope.request, codec.encode(answer), scope.output, status=201, warnings=scope.warnings)

    return create
