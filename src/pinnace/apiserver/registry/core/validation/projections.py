"""Files that a volume gets from the API: keys of secrets and config maps, fields of the pod, tokens.

Upstream: pkg/apis/core/validation `validateKeyToPath`, `validateDownwardAPIVolumeFile`, `validateProjectionSources`.
"""

from collections.abc import Iterator

from pinnace.api import core_v1 as v1
from pinnace.apiserver.registry.core.validation.env import field_ref_errors, resource_field_ref_errors
from pinnace.apiserver.registry.core.validation.paths import not_reserved
from pinnace.machinery.field import FieldError, Path, forbidden, invalid, required

Errors = Iterator[FieldError]

DOWNWARD_FIELDS = ("metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid")
_TOKEN_MIN_SECONDS, _TOKEN_MAX_SECONDS = 600, 1 << 32


def mode_errors(mode: int | None, path: Path) -> Errors:
    """Check the permissions of a file."""
    if mode is not None and not 0 <= mode <= 0o777:
        yield invalid(path, mode, "must be a number between 0 and 0777 (octal), both inclusive")


def item_errors(items: tuple[v1.KeyToPath, ...], path: Path) -> Errors:
    """Check the files that a secret's or a config map's keys become; the path is that of the source."""
    for index, item in enumerate(items):
        yield from _item(item, path.child("items").index(index))


def _item(item: v1.KeyToPath, path: Path) -> Errors:
    if not item.key:
        yield required(path.child("key"))
    if not item.path:
        yield required(path.child("path"))
    yield from not_reserved(item.path, path.child("path"))
    yield from mode_errors(item.mode, path.child("mode"))


def downward_file_errors(item: v1.DownwardAPIVolumeFile, path: Path) -> Errors:
    """Check a file with a field of the pod; upstream reports it at the source, whichever file it is."""
    if not item.path:
        yield required(path.child("path"))
    yield from not_reserved(item.path, path.child("path"))
    if item.field_ref is not None:
        yield from field_ref_errors(item.field_ref, path.child("fieldRef"), DOWNWARD_FIELDS)
        if item.resource_field_ref is not None:
            yield invalid(path, "resource", "fieldRef and resourceFieldRef can not be specified simultaneously")
    elif item.resource_field_ref is not None:
        yield from resource_field_ref_errors(item.resource_field_ref, path.child("resourceFieldRef"), in_volume=True)
    else:
        yield required(path, "one of fieldRef and resourceFieldRef is required")
    yield from mode_errors(item.mode, path.child("mode"))


def projected_errors(source: v1.ProjectedVolumeSource, path: Path) -> Errors:
    """Check a volume of several sources, no two of which may make the same file."""
    yield from mode_errors(source.default_mode, path.child("defaultMode"))
    taken: set[str] = set()
    for index, projection in enumerate(source.sources or ()):
        at = path.child("sources").index(index)
        yield from _keys(projection.secret, at.child("secret"), path, taken)
        yield from _keys(projection.config_map, at.child("configMap"), path, taken)
        if projection.downward_api is not None:
            for item in projection.downward_api.items:
                yield from downward_file_errors(item, at.child("downwardAPI"))
                yield from _collision(item.path, item.path, path, taken)
        if projection.service_account_token is not None:
            yield from _token(projection.service_account_token, at.child("serviceAccountToken"), path)
        given = (projection.secret, projection.config_map, projection.downward_api, projection.service_account_token)
        if sum(one is not None for one in given) > 1:
            yield forbidden(at, "may not specify more than 1 volume type per source")


def _keys(
    source: v1.SecretProjection | v1.ConfigMapProjection | None, path: Path, volume: Path, taken: set[str]
) -> Errors:
    if source is None:
        return
    if not source.name:
        yield required(path.child("name"))
    for index, item in enumerate(source.items):
        yield from _item(item, path.child("items").index(index))
        yield from _collision(item.path, source.name, volume, taken)


def _collision(path: str, named: str, volume: Path, taken: set[str]) -> Errors:
    if path and path in taken:
        yield invalid(volume, named, "conflicting duplicate paths")
    taken.add(path)


def _token(source: v1.ServiceAccountTokenProjection, path: Path, volume: Path) -> Errors:
    seconds, at = source.expiration_seconds, path.child("expirationSeconds")
    if seconds is not None and seconds < _TOKEN_MIN_SECONDS:
        yield invalid(at, seconds, "may not specify a duration less than 10 minutes")
    if seconds is not None and seconds > _TOKEN_MAX_SECONDS:
        yield invalid(at, seconds, "may not specify a duration larger than 2^32 seconds")
    # Upstream reports the path at the volume, and does not hold it against other files.
    if not source.path:
        yield required(volume.child("path"))
    else:
        yield from not_reserved(source.path, volume.child("path"))
