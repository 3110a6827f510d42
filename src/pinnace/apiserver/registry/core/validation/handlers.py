"""Probes and lifecycle hooks: one handler each, with bounds on their numbers.

Upstream: pkg/apis/core/validation `validateProbe`, `validateLifecycle`, `validateHandler`.
"""

import re
from collections.abc import Iterator

from pinnace.api import core_v1 as v1
from pinnace.apiserver.registry.numbers import not_negative
from pinnace.machinery import names
from pinnace.machinery.field import FieldError, Path, forbidden, invalid, not_supported, required

Errors = Iterator[FieldError]

_ONE = "may not specify more than 1 handler type"
_HEADER = re.compile(r"[-A-Za-z0-9]+")
_HEADER_RULE = (
    "a valid HTTP header must consist of alphanumeric characters or '-' "
    "(e.g. 'X-Header-Name', regex used for validation is '[-A-Za-z0-9]+')"
)


def probe_errors(container: v1.Container, path: Path, grace_seconds: int | None) -> Errors:
    """Check the three probes of a container."""
    for probe, wire in (
        (container.liveness_probe, "livenessProbe"),
        (container.readiness_probe, "readinessProbe"),
        (container.startup_probe, "startupProbe"),
    ):
        if probe is None:
            continue
        at = path.child(wire)
        yield from _handler_errors(probe, at, grace_seconds)
        yield from _number_errors(probe, at)
        own = at.child("terminationGracePeriodSeconds")
        seconds = probe.termination_grace_period_seconds
        if seconds is not None and seconds <= 0:
            yield invalid(own, seconds, "must be greater than 0")
        if wire == "readinessProbe":
            if seconds is not None:
                yield invalid(own, seconds, "must not be set for readinessProbes")
        elif probe.success_threshold != 1:
            yield invalid(at.child("successThreshold"), probe.success_threshold, "must be 1")


def _number_errors(probe: v1.Probe, path: Path) -> Errors:
    yield from not_negative(probe.initial_delay_seconds, path.child("initialDelaySeconds"))
    yield from not_negative(probe.timeout_seconds, path.child("timeoutSeconds"))
    yield from not_negative(probe.period_seconds, path.child("periodSeconds"))
    yield from not_negative(probe.success_threshold, path.child("successThreshold"))
    yield from not_negative(probe.failure_threshold, path.child("failureThreshold"))


def lifecycle_errors(lifecycle: v1.Lifecycle | None, path: Path, grace_seconds: int | None) -> Errors:
    """Check a container's hooks."""
    if lifecycle is None:
        return
    for handler, wire in ((lifecycle.post_start, "postStart"), (lifecycle.pre_stop, "preStop")):
        if handler is not None:
            yield from _handler_errors(handler, path.child(wire), grace_seconds)


def _handler_errors(handler: v1.Probe | v1.LifecycleHandler, path: Path, grace_seconds: int | None) -> Errors:
    count = 0
    grpc = handler.grpc if isinstance(handler, v1.Probe) else None
    sleep = handler.sleep if isinstance(handler, v1.LifecycleHandler) else None
    for action, wire in (
        (handler.exec, "exec"),
        (handler.http_get, "httpGet"),
        (handler.tcp_socket, "tcpSocket"),
        (grpc, "grpc"),
        (sleep, "sleep"),
    ):
        if action is None:
            continue
        count += 1
        if count > 1:
            yield forbidden(path.child(wire), _ONE)
        else:
            yield from _action_errors(action, path.child(wire), grace_seconds)
    if not count:
        yield required(path, "must specify a handler type")


def _action_errors(action: object, path: Path, grace_seconds: int | None) -> Errors:
    match action:
        case v1.ExecAction(command=()):
            yield required(path.child("command"))
        case v1.HTTPGetAction():
            yield from _http_errors(action, path)
        case v1.TCPSocketAction():
            yield from port_errors(action.port, path.child("port"))
        case v1.GRPCAction():
            yield from port_errors(action.port, path.child("port"))
        case v1.SleepAction():
            limit = grace_seconds or 0
            if action.seconds < 0 or action.seconds > limit:
                yield invalid(
                    path, action.seconds, f"must be non-negative and less than terminationGracePeriodSeconds ({limit})"
                )


def _http_errors(action: v1.HTTPGetAction, path: Path) -> Errors:
    if not action.path:
        yield required(path.child("path"))
    yield from port_errors(action.port, path.child("port"))
    if action.scheme not in {"HTTP", "HTTPS"}:
        yield not_supported(path.child("scheme"), action.scheme, ("HTTP", "HTTPS"))
    for header in action.http_headers:
        if not _HEADER.fullmatch(header.name):
            yield invalid(path.child("httpHeaders"), header.name, _HEADER_RULE)


def port_errors(port: int | str, path: Path) -> Errors:
    """Check a port by number or name."""
    texts = names.port_number(port) if isinstance(port, int) else names.port_name(port)
    yield from (invalid(path, port, text) for text in texts)
