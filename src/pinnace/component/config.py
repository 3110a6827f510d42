"""Configuration: one frozen, typed record per program, filled from four places.

Default < file < environment < flag. A program declares its configuration as a frozen `msgspec.Struct` with a default for each
field; the YAML file has the same fields in camelCase under `apiVersion: config.pinnace.dev/v1`, the environment as
`PINNACE_<FIELD>` in upper case, nested ones joined by `__`, and flags arrive as a mapping of what was really given. Every mistake names its
place: file, variable or flag.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar, cast

import msgspec
import yaml

ENVIRONMENT_PREFIX = "PINNACE_"
API_VERSION = "config.pinnace.dev/v1"
# Bytes of a configuration file; a larger one is a mistake, and YAML costs far more than its size.
FILE_LIMIT_BYTES = 1024 * 1024

_T = TypeVar("_T", bound=msgspec.Struct)


class ConfigError(ValueError):
    """Raised when a value is missing, unknown or of the wrong type; the text names the place and fits on one line."""


def load(
    cls: type[_T],
    *,
    file: Path | None = None,
    environment: Mapping[str, str] | None = None,
    flags: Mapping[str, Any] | None = None,
) -> _T:
    """Fill a configuration; later places win, field by field, also inside nested records.

    Args:
        cls: the record, each of whose fields has a default.
        file: a YAML file to read; None reads none.
        environment: the process's own when None.
        flags: field name (snake_case, nested ones joined by a dot) → value, for the flags that the user gave.

    Raises:
        ConfigError: a value cannot be used.
    """
    merged: dict[str, Any] = {}
    if file is not None:
        merged = _read_file(cls, file)
    for name, text in sorted((os.environ if environment is None else environment).items()):
        if name.startswith(ENVIRONMENT_PREFIX):
            path = name[len(ENVIRONMENT_PREFIX) :].lower().split("__")
            field = _field_type(cls, path)
            # Variables of this prefix that are no field are somebody else's (such as PINNACE_KUBECONFIG for scripts).
            if field is not None:
                _place(cls, merged, path, _parse_text(field, text, name))
    for name, value in (flags or {}).items():
        path = name.split(".")
        field = _field_type(cls, path)
        if field is None:
            raise ConfigError(f"--set {name}: no such field")
        flag = "--" + name.replace("_", "-").replace(".", "-")
        _place(
            cls,
            merged,
            path,
            _parse_text(field, value, flag) if isinstance(value, str) else _checked(field, value, flag),
        )
    return cast("_T", _checked(cls, merged, str(file or "configuration")))


def _read_file(cls: type[msgspec.Struct], file: Path) -> dict[str, Any]:
    try:
        if file.stat().st_size > FILE_LIMIT_BYTES:
            raise ConfigError(f"{file}: larger than {FILE_LIMIT_BYTES} bytes")
        tree = yaml.load(file.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader) or {}
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(tree, dict):
        raise ConfigError(f"{file}: a mapping is needed at the top")
    version = tree.pop("apiVersion", API_VERSION)
    tree.pop("kind", None)
    if version != API_VERSION:
        raise ConfigError(f"{file}: apiVersion: {version}: only {API_VERSION} is understood")
    _check_names(cls, tree, str(file))
    _checked(cls, tree, str(file))
    return cast("dict[str, Any]", tree)


def _fields(cls: type[msgspec.Struct]) -> dict[str, msgspec.structs.FieldInfo]:
    return {field.name: field for field in msgspec.structs.fields(cls)}


def _struct_of(type_: Any) -> type[msgspec.Struct] | None:
    return type_ if isinstance(type_, type) and issubclass(type_, msgspec.Struct) else None


def _check_names(cls: type[msgspec.Struct], tree: Mapping[Any, Any], place: str, prefix: str = "") -> None:
    known = {field.encode_name: field for field in msgspec.structs.fields(cls)}
    for name, value in tree.items():
        if name not in known:
            raise ConfigError(f"{place}: {prefix}{name}: no such field")
        inner = _struct_of(known[name].type)
        if inner is not None and isinstance(value, dict):
            _check_names(inner, value, place, f"{prefix}{name}.")


def _field_type(cls: type[msgspec.Struct], path: list[str]) -> Any | None:
    field = _fields(cls).get(path[0])
    if field is None:
        return None
    if len(path) == 1:
        return field.type
    inner = _struct_of(field.type)
    return None if inner is None else _field_type(inner, path[1:])


def _place(cls: type[msgspec.Struct], tree: dict[str, Any], path: list[str], value: Any) -> None:
    field = _fields(cls)[path[0]]
    if len(path) == 1:
        tree[field.encode_name] = value
        return
    inner = _struct_of(field.type)
    assert inner is not None, "the path was checked by _field_type"
    _place(inner, tree.setdefault(field.encode_name, {}), path[1:], value)


def _parse_text(type_: Any, text: str, place: str) -> Any:
    """Read a text as the type that its field has; lists are comma-separated."""
    if getattr(type_, "__origin__", None) is tuple:
        parts = [part.strip() for part in text.split(",") if part.strip()]
        return _checked(type_, parts, place, strict=False)
    if getattr(type_, "__origin__", None) in {dict, Mapping}:
        pairs = [part.partition("=") for part in text.split(",") if part.strip()]
        return _checked(type_, {key.strip(): value.strip() for key, _, value in pairs}, place, strict=False)
    return _checked(type_, text, place, strict=False)


def _checked(type_: Any, value: Any, place: str, *, strict: bool = True) -> Any:
    try:
        converted = msgspec.convert(value, type_, strict=strict)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{place}: {error}") from error
    return converted if isinstance(converted, msgspec.Struct) else msgspec.to_builtins(converted)
