"""What the failure of one pod means for its Job, by the Job's own rules (pkg/controller/job `pod_failure_policy.go`)."""

from msgspec import Struct

from pinnace.api.batch_v1 import PodFailurePolicy, PodFailurePolicyOnExitCodesRequirement, PodFailurePolicyRule
from pinnace.api.core_v1 import ContainerStatus, Pod


class Verdict(Struct, frozen=True):
    """What the first matching rule says: its action, "" when none matches, and why the Job fails when that is the action."""

    action: str = ""
    message: str = ""

    @property
    def is_counted(self) -> bool:
        """Tell whether the failure counts against the Job's limit."""
        return self.action != "Ignore"


def judge(policy: PodFailurePolicy | None, pod: Pod) -> Verdict:
    """Return what a failed pod means."""
    for number, rule in enumerate((policy.rules if policy is not None else None) or ()):
        message = _match(rule, pod, number)
        if message:
            return Verdict(rule.action, message if rule.action == "FailJob" else "")
    return Verdict()


def _match(rule: PodFailurePolicyRule, pod: Pod, number: int) -> str:
    """Return the words for a match, "" when the rule does not match."""
    name = f"{pod.metadata.namespace}/{pod.metadata.name}"
    if rule.on_exit_codes is not None:
        for status in (*pod.status.container_statuses, *pod.status.init_container_statuses):
            code = _exit_code(status)
            if code and _accepts(rule.on_exit_codes, status.name, code):
                return (
                    f"Container {status.name} for pod {name} failed with exit code {code} matching {rule.action} rule at "
                    f"index {number}"
                )
        return ""
    for pattern in rule.on_pod_conditions:
        if any((item.type, item.status) == (pattern.type, pattern.status) for item in pod.status.conditions):
            return f"Pod {name} has condition {pattern.type} matching {rule.action} rule at index {number}"
    return ""


def _exit_code(status: ContainerStatus) -> int:
    terminated = status.state.terminated
    return terminated.exit_code if terminated is not None else 0


def _accepts(wanted: PodFailurePolicyOnExitCodesRequirement, container: str, code: int) -> bool:
    if wanted.container_name is not None and wanted.container_name != container:
        return False
    return (code in (wanted.values or ())) == (wanted.operator == "In")
