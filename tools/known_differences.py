"""What is known to differ from kube-apiserver and its companions of v1.36, for the API reference.

Whoever finds a difference adds a line; whoever mends one takes it away. Fields without effect are not listed here: `inert_fields.py`
finds them.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference: where, and what is so here and otherwise upstream."""

    area: str
    text: str


KNOWN_DIFFERENCES = (
    Difference("Kinds", "Custom resources are not served: definitions are stored only. Neither are aggregated APIs."),
    Difference("Kinds", "Webhooks and admission policies are stored and not called."),
    Difference(
        "Kinds",
        "A node's request for a serving certificate is approved by the cluster for the node's own names; upstream leaves it "
        "to the administrator.",
    ),
    Difference("Kinds", "Autoscalers and claims for volumes or devices are not acted on by a controller."),
    Difference(
        "Kinds",
        "`componentstatuses` tells of the parts of the server's own process; upstream asks fixed ports of its machine.",
    ),
    Difference("Protocol", "HTTP/1.1 only."),
    Difference(
        "Protocol",
        "Protobuf is read, and written for OpenAPI only; who accepts JSON too is answered in JSON.",
    ),
    Difference(
        "Protocol",
        "A document has at most 200 levels and 100,000 maps and lists. HTTP with ambiguous framing, folded lines, bare line feeds "
        "or header values that are no UTF-8 is refused.",
    ),
    Difference(
        "Protocol",
        "Profiling (`/debug/pprof`, `/debug/flags`) is not served.",
    ),
    Difference("OpenAPI", "Schemas name no values of enumerations, as the published ones do not."),
    Difference("Patch", "What the server makes by itself (roles, flow schemas, namespaces) has no managedFields."),
    Difference("Patch", "A type error inside a patch is refused with upstream's code, in some cases in other words."),
    Difference(
        "Access", "Roles for features that are off by default are not made, nor is the API server's identity Lease."
    ),
    Difference("Access", "An upgrade through `nodes/proxy` needs the right to `create`, whatever its method."),
    Difference("Access", "A pod's token lives as long as was asked for; upstream stretches the usual one to a year."),
    Difference(
        "Scheduling", "No preemption; the plug-ins for spreading, pod affinity, volumes and devices are not there."
    ),
    Difference(
        "Expressions",
        "Compiled and checked, not evaluated, with no limit of cost; at most 40 nested brackets and 100 levels.",
    ),
    Difference(
        "Metrics",
        "Requests to the store, Go's runtime, audit and terminated requests are not counted; the scheduler has no metrics.",
    ),
    Difference("Metrics", "The metrics of nodes and pods are not printed as tables by the server."),
)
