"""The answer to an apply that would change what others own.

Upstream: apimachinery `util/managedfields/internal/conflict.go`.
"""

import json
from collections.abc import Sequence
from itertools import groupby

from pinnace.machinery import errors
from pinnace.machinery.errors import Cause, Details
from pinnace.machinery.managedfields import UPDATE, Conflict, Manager, sets


def apply_conflict(conflicts: Sequence[Conflict]) -> errors.Conflict:
    """Name each field and who owns it, owners in order."""
    found = sorted(conflicts, key=lambda conflict: _order(conflict.manager))
    causes = tuple(
        Cause("FieldManagerConflict", f"conflict with {_shown(conflict)}", sets.path_text(conflict.path))
        for conflict in found
    )
    return errors.Conflict(_message(found), Details(causes=causes))


def _message(found: Sequence[Conflict]) -> str:
    if len(found) == 1:
        return f"Apply failed with 1 conflict: conflict with {_shown(found[0])}: {sets.path_text(found[0].path)}"
    lines = []
    for _, group in groupby(found, key=lambda conflict: conflict.manager):
        of_manager = list(group)
        lines.append(f"conflicts with {_shown(of_manager[0])}:")
        lines += (f"- {sets.path_text(conflict.path)}" for conflict in of_manager)
    return f"Apply failed with {len(found)} conflicts: " + "\n".join(lines)


def _shown(conflict: Conflict) -> str:
    manager = conflict.manager
    text = json.dumps(manager.name, ensure_ascii=False)
    if manager.subresource:
        text += f' with subresource "{manager.subresource}"'
    return f"{text} using {conflict.owned.api_version}" if manager.operation == UPDATE else text


def _order(manager: Manager) -> tuple[str, ...]:
    return manager.name, manager.operation, manager.api_version, manager.subresource
