"""What an apply's body says: the configuration, checked against its kind.

A configuration is JSON or YAML, names its kind, carries no managedFields, and has no field that the schema lacks. Upstream:
apiserver `endpoints/handlers/patch.go`, apimachinery `util/managedfields/internal/{versioncheck,structuredmerge}.go`.
"""

from collections.abc import Mapping
from typing import Any

from pinnace.apiserver.endpoints.body import clean_tree
from pinnace.apiserver.endpoints.field_manager import Place
from pinnace.machinery.codec import yaml as yaml_codec
from pinnace.machinery.codec.parsed import Parsed
from pinnace.machinery.errors import ApiError, BadRequest
from pinnace.machinery.managedfields import Node

_CONVERTING = "error converting YAML to JSON: "
_UNMARSHAL = "yaml: unmarshal errors:\n"
_NOT_A_MAP = "error unmarshaling JSON: while decoding JSON: json: cannot unmarshal {} into Go value of type map[string]interface {{}}"


def parse(data: bytes) -> Parsed:
    """Read the body of an apply.

    Raises:
        BadRequest: it is no YAML, or no map.
    """
    tree = clean_tree(data)
    return Parsed(tree) if isinstance(tree, dict) else _parse_yaml(data)


def _parse_yaml(data: bytes) -> Parsed:
    try:
        parsed = yaml_codec.parse(data)
    except ValueError as error:
        raise BadRequest(f"error decoding YAML: {_CONVERTING}{error}") from error
    if parsed.tree is None:
        return Parsed({})
    if not isinstance(parsed.tree, dict):
        raise BadRequest("error decoding YAML: " + _NOT_A_MAP.format(_word(parsed.tree)))
    return parsed


def _word(tree: Any) -> str:
    if isinstance(tree, bool):
        return "bool"
    return "array" if isinstance(tree, list) else "string" if isinstance(tree, str) else "number"


def complain(parsed: Parsed, validation: str) -> list[str]:
    """Return warnings about keys that stand twice.

    Raises:
        BadRequest: there are some, under Strict.
    """
    if validation == "Ignore" or not parsed.duplicates:
        return []
    (text,) = parsed.duplicates
    if validation == "Strict":
        raise BadRequest(f"error strict decoding YAML: {_CONVERTING}{text}")
    return [line.strip() for line in text.removeprefix(_UNMARSHAL).splitlines()]


def check(tree: Mapping[str, Any], place: Place, root: Node) -> None:
    """Check that a configuration is one of its kind.

    Raises:
        BadRequest: it is of another kind, or names owners of fields.
        ApiError: it does not fit the schema.
    """
    if (tree.get("apiVersion"), tree.get("kind")) != (place.api_version, place.kind):
        raise BadRequest(f"invalid object type: {_kind_text(tree)}")
    metadata = tree.get("metadata")
    if isinstance(metadata, dict) and isinstance(metadata.get("managedFields"), list):
        raise BadRequest("metadata.managedFields must be nil")
    if not root.fits(tree):
        found = [f"{path}: {text}" for path, text in root.problems(tree)]
        text = found[0] if len(found) == 1 else "errors:\n" + "\n".join(f"  {line}" for line in found)
        raise ApiError(500, "", f"failed to create typed patch object ({shown(tree)}): {text}", None)


def shown(tree: Mapping[str, Any]) -> str:
    """Return namespace, name and kind of a configuration as messages show them."""
    metadata = tree.get("metadata")
    metadata = metadata if isinstance(metadata, dict) else {}
    return f"{_text(metadata, 'namespace')}/{_text(metadata, 'name')}; {_kind_text(tree)}"


def _kind_text(tree: Mapping[str, Any]) -> str:
    group, _, version = _text(tree, "apiVersion").rpartition("/")
    return f"{group}/{version}, Kind={_text(tree, 'kind')}"


def _text(tree: Mapping[str, Any], name: str) -> str:
    value = tree.get(name)
    return value if isinstance(value, str) else ""
