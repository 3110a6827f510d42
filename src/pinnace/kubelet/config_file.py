"""A node's settings from a file: a KubeletConfiguration, of which every field that is given must be one that has its effect here.

What the file does not say stays as it is. Upstream: kubelet `config/v1beta1/types.go`, `apis/config/validation/validation.go`.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from pinnace.kubelet.config import SIGNALS, KubeletConfig, ShutdownGroup
from pinnace.machinery import durations, quantity
from pinnace.machinery.codec import yaml

_API_VERSION, _KIND = "kubelet.config.k8s.io/v1beta1", "KubeletConfiguration"
_CRITICAL_PRIORITY = 2_000_000_000
_RESERVABLE = ("cpu", "memory", "ephemeral-storage", "pid")


class ConfigFileError(ValueError):
    """The file cannot be obeyed; the text says what is wrong, and where."""


def load(path: Path, base: KubeletConfig) -> KubeletConfig:
    """Return the settings with what the file changes; the same ones when there is no file.

    Raises:
        ConfigFileError: it is no such file, or asks for something that is not possible.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return base
    try:
        return parse(data, base)
    except (ValueError, TypeError) as error:
        raise ConfigFileError(f"{path}: {error}") from error


def parse(data: bytes, base: KubeletConfig) -> KubeletConfig:
    """Return the settings with what a configuration changes; errors as for `load`, or as what reads its values raises them."""
    tree = yaml.parse(data).tree
    if not isinstance(tree, dict) or (tree.get("apiVersion"), tree.get("kind")) != (_API_VERSION, _KIND):
        raise ConfigFileError(f"it holds no {_KIND} of {_API_VERSION}")
    changes: dict[str, Any] = {}
    for name, value in tree.items():
        if name in {"apiVersion", "kind"} or name in _SHUTDOWN:
            continue
        if name not in _FIELDS:
            raise ConfigFileError(f'unknown field "{name}", or one without effect here')
        field, read = _FIELDS[name]
        try:
            changes[field] = read(value)
        except (ValueError, TypeError) as error:
            raise ConfigFileError(f"{name}: {error}") from error
    if any(name in tree for name in _SHUTDOWN):
        changes["shutdown_groups"] = _shutdown_groups(tree)
    return _checked(replace(base, **changes))


def _checked(config: KubeletConfig) -> KubeletConfig:
    """Return settings that go together."""
    if config.image_gc_low_percent >= config.image_gc_high_percent:
        raise ConfigFileError("imageGCLowThresholdPercent must be less than imageGCHighThresholdPercent")
    if missing := sorted({*config.eviction_soft} - {*config.eviction_soft_seconds}):
        raise ConfigFileError(f"evictionSoft: {missing[0]} has no evictionSoftGracePeriod")
    return config


def _shutdown_groups(tree: Mapping[str, Any]) -> tuple[ShutdownGroup, ...]:
    total, critical = (int(_seconds(tree.get(name, "0"))) for name in _SHUTDOWN[:2])
    groups = tree.get(_SHUTDOWN[2]) or []
    if groups and (total or critical):
        raise ConfigFileError(f"{_SHUTDOWN[2]} cannot be given together with {_SHUTDOWN[0]}")
    if critical > total:
        raise ConfigFileError(f"{_SHUTDOWN[1]} must be at most {_SHUTDOWN[0]}")
    if groups:
        return tuple(ShutdownGroup(int(each["priority"]), int(each["shutdownGracePeriodSeconds"])) for each in groups)
    return (ShutdownGroup(0, total - critical), ShutdownGroup(_CRITICAL_PRIORITY, critical)) if total else ()


def _seconds(value: Any) -> float:
    seconds = durations.parse(_text(value))
    if seconds < 0:
        raise ValueError(f"{value} is less than nothing")
    return seconds


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value


def _whole(least: int, most: int) -> Callable[[Any], int]:
    def read(value: Any) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise ValueError(f"{value!r} is no number between {least} and {most}")
        return value

    return read


def _bytes(value: Any) -> int:
    return quantity.parse(_text(value)).value()


def _reserved(value: Any) -> dict[str, str]:
    for name, amount in value.items():
        if name not in _RESERVABLE:
            raise ValueError(f"{name} cannot be reserved, only {', '.join(_RESERVABLE)}")
        if quantity.parse(_text(amount)).nanos < 0:
            raise ValueError(f"{name} is less than nothing")
    return dict(value)


def _thresholds(value: Any) -> dict[str, str]:
    for name, amount in value.items():
        if name not in SIGNALS:
            raise ValueError(f"unknown signal {name}")
        if not _text(amount).endswith("%"):
            quantity.parse(amount)
        elif not 0 <= float(amount.removesuffix("%")) <= 100:
            raise ValueError(f"{name}: {amount} is not between 0% and 100%")
    return dict(value)


def _seconds_by_signal(value: Any) -> dict[str, float]:
    return {name: _seconds(seconds) for name, seconds in value.items()}


_SHUTDOWN = ("shutdownGracePeriod", "shutdownGracePeriodCriticalPods", "shutdownGracePeriodByPodPriority")
# Of each field of the file: the setting that it is, and what reads its value.
_FIELDS: Mapping[str, tuple[str, Callable[[Any], Any]]] = {
    "containerLogMaxFiles": ("container_log_max_files", _whole(2, 1000)),
    "containerLogMaxSize": ("container_log_max_bytes", _bytes),
    "evictionHard": ("eviction_hard", _thresholds),
    "evictionMaxPodGracePeriod": ("eviction_max_grace_seconds", _whole(0, 2**31 - 1)),
    "evictionPressureTransitionPeriod": ("eviction_transition_seconds", _seconds),
    "evictionSoft": ("eviction_soft", _thresholds),
    "evictionSoftGracePeriod": ("eviction_soft_seconds", _seconds_by_signal),
    "imageGCHighThresholdPercent": ("image_gc_high_percent", _whole(0, 100)),
    "imageGCLowThresholdPercent": ("image_gc_low_percent", _whole(0, 100)),
    "imageMaximumGCAge": ("image_max_age_seconds", _seconds),
    "imageMinimumGCAge": ("image_min_age_seconds", _seconds),
    "kubeReserved": ("kube_reserved", _reserved),
    "maxPods": ("max_pods", _whole(0, 2**31 - 1)),
    "podPidsLimit": ("pod_pids_limit", _whole(-1, 2**63 - 1)),
    "podsPerCore": ("pods_per_core", _whole(0, 2**31 - 1)),
    "resolvConf": ("resolv_conf", lambda value: Path(_text(value))),
    "staticPodPath": ("static_pod_path", lambda value: Path(_text(value))),
    "syncFrequency": ("sync_seconds", _seconds),
    "systemReserved": ("system_reserved", _reserved),
}
