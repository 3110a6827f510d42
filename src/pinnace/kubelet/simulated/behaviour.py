"""What a simulated container does, from its pod's annotations, else from its command. Pure.

Annotations `simulated.pinnace.dev/<what>` hold for every container of the pod, `simulated.pinnace.dev/<what>.<container>` for one:

    run-seconds          ends by itself after so long (without it: by its command, else never)
    exit-code            what it ends with by itself
    start-seconds        how long its start takes
    create-error, start-error   the text with which its creation or start fails
    stop-seconds         how long it takes to obey SIGTERM; `never` waits for SIGKILL
    log                  what it writes to its log when it starts
    message              its termination message
    ready-after-seconds, live-for-seconds   when probes over the network begin and cease to be answered
    cpu-usage, memory-usage   what it uses, as quantities
    exec-exit-code, exec-output   how every command that is run in it ends, and what it writes
"""

from collections.abc import Mapping

from msgspec import Struct

from pinnace.kubelet.runtime import ContainerConfig
from pinnace.kubelet.simulated.shell import Deed, interpret
from pinnace.machinery import quantity

ANNOTATION_PREFIX = "simulated.pinnace.dev/"


class Behaviour(Struct, frozen=True, kw_only=True):
    """A container's fate; `run_seconds` and `stop_seconds` None mean never."""

    run_seconds: float | None = None
    exit_code: int = 0
    start_seconds: float = 0.0
    create_error: str = ""
    start_error: str = ""
    stop_seconds: float | None = 0.0
    log: str = ""
    message: str = ""
    ready_after_seconds: float = 0.0
    live_for_seconds: float | None = None
    cpu_cores: float = 0.0
    memory_bytes: int = 0
    executed: Deed | None = None


def behaviour(
    config: ContainerConfig,
    pod_annotations: Mapping[str, str],
    *,
    hostname: str,
    start_seconds: float,
    stop_seconds: float,
) -> Behaviour:
    """Return what a container will do; the seconds are what holds where the pod says nothing."""

    def told(what: str) -> str | None:
        own = pod_annotations.get(f"{ANNOTATION_PREFIX}{what}.{config.name}")
        return own if own is not None else pod_annotations.get(ANNOTATION_PREFIX + what)

    def seconds(what: str, otherwise: float | None) -> float | None:
        text = told(what)
        return otherwise if text is None else _seconds(text)

    deed = interpret((*config.command, *config.args), dict(config.env), hostname=hostname, unknown=Deed(seconds=None))
    code, output, log = told("exit-code"), told("exec-output"), told("log")
    executed_code = told("exec-exit-code")
    executed = None
    if output is not None or executed_code is not None:
        executed = Deed(0.0, _code(executed_code), output or "")
    own_code = _code(code) if code is not None else deed.exit_code
    run = seconds("run-seconds", deed.seconds)
    if run is None and told("run-seconds") is None and code is not None:
        run = 0.0
    return Behaviour(
        run_seconds=run,
        exit_code=own_code,
        start_seconds=seconds("start-seconds", start_seconds) or 0.0,
        create_error=told("create-error") or "",
        start_error=told("start-error") or "",
        stop_seconds=seconds("stop-seconds", stop_seconds),
        log=log if log is not None else deed.output,
        message=told("message") or "",
        ready_after_seconds=seconds("ready-after-seconds", 0.0) or 0.0,
        live_for_seconds=seconds("live-for-seconds", None),
        cpu_cores=quantity.parse(told("cpu-usage") or "0").milli() / 1000,
        memory_bytes=quantity.parse(told("memory-usage") or "0").value(),
        executed=executed,
    )


def _seconds(text: str) -> float | None:
    """Return a number of seconds; `never`, and what is no number, is None."""
    try:
        return max(float(text), 0.0)
    except ValueError:
        return None


def _code(text: str | None) -> int:
    return int(text) & 255 if text is not None and text.isdigit() else 0
