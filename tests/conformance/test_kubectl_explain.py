"""kubectl explain of everything that is served."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from pinnace.api.resources import RESOURCES, Resource
from support.kubectl import Kubectl


def test_explain_recursive_knows_every_served_kind(kubectl_now: Kubectl) -> None:
    """Each resource of each version is explained to its last field, with a description of the kind."""

    def explained(resource: Resource) -> str:
        done = kubectl_now.run("explain", resource.plural, "--recursive", f"--api-version={resource.api_version}")
        if done.code or f"KIND:       {resource.kind}\n" not in done.stdout:
            return f"{resource.qualified}: {done.stderr or done.stdout[:200]}"
        head, _, fields = done.stdout.partition("FIELDS:\n")
        description = head.partition("DESCRIPTION:\n")[2].strip()
        if not description or description == "<empty>" or "  kind\t<string>" not in fields:
            return f"{resource.qualified}: {done.stdout[:400]}"
        return ""

    # The first run fills kubectl's cache of discovery documents, which the others then share.
    assert not explained(RESOURCES[0])
    with ThreadPoolExecutor(max_workers=4) as pool:
        complaints = [text for text in pool.map(explained, RESOURCES) if text]
    assert complaints == []


def test_explain_follows_references_to_leaves(kubectl_now: Kubectl) -> None:
    """A field deep inside a shared type is explained with its type and its words."""
    text = kubectl_now("explain", "deployments.spec.template.spec.containers.resources.limits")
    assert "FIELD: limits <map[string]Quantity>" in text
    assert "Limits describes the maximum amount of compute resources allowed" in text
