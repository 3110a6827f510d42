"""The indexes of Indexed Jobs: as sets, as the text in a status (`1,3-5,7`), and as what a pod says (pkg/controller/job
`indexed_job_utils.go`).
"""

from collections.abc import Iterable

from pinnace.api.batch_v1 import SuccessPolicy
from pinnace.api.core_v1 import Pod

INDEX = "batch.kubernetes.io/job-completion-index"


def parse(text: str | None, completions: int) -> frozenset[int]:
    """Return the indexes that a text names, of those below `completions`; parts that cannot be read are left out."""
    found: set[int] = set()
    for part in (text or "").split(","):
        first, _, last = part.partition("-")
        if first.isdecimal() and (last or first).isdecimal():
            found.update(range(int(first), min(int(last or first) + 1, completions)))
    return frozenset(index for index in found if index < completions)


def format(indexes: Iterable[int]) -> str:  # noqa: A001 - read as job_indexes.format
    """Return the text of indexes: three or more in a row become a range."""
    parts: list[str] = []
    run: list[int] = []
    for index in [*sorted(indexes), None]:
        if run and (index is None or index != run[-1] + 1):
            parts += [f"{run[0]}-{run[-1]}"] if len(run) > 2 else map(str, run)
            run = []
        if index is not None:
            run.append(index)
    return ",".join(parts)


def index_of(pod: Pod, completions: int) -> int | None:
    """Return a pod's index, None when it has none that counts."""
    text = pod.metadata.annotations.get(INDEX, "")
    return int(text) if text.isdecimal() and int(text) < completions else None


def matched_rule(policy: SuccessPolicy | None, succeeded: frozenset[int], completions: int) -> int | None:
    """Return which rule of a success policy these indexes fulfil, None for none."""
    for number, rule in enumerate((policy.rules if policy is not None else None) or ()):
        counted = succeeded
        needed = rule.succeeded_count
        if rule.succeeded_indexes is not None:
            named = parse(rule.succeeded_indexes, completions)
            counted = succeeded & named
            needed = len(named) if needed is None else needed
        if needed is not None and len(counted) >= needed:
            return number
    return None
