"""What a machine is as a node, from what was asked for and what it lacks."""

import pytest

from pinnace.cluster.config import RuntimeKind
from pinnace.cluster.server_state import ClusterError
from pinnace.cluster.this_node import choose


@pytest.mark.parametrize(
    ("wanted", "missing", "kind", "told"),
    [
        pytest.param(RuntimeKind.AUTO, [], RuntimeKind.CONTAINERD, "", id="everything-there"),
        pytest.param(RuntimeKind.AUTO, ["root"], RuntimeKind.SIMULATED, "run as root", id="no-root"),
        pytest.param(RuntimeKind.AUTO, ["runc"], RuntimeKind.SIMULATED, "`pinnace doctor`", id="no-runc"),
        pytest.param(RuntimeKind.SIMULATED, ["root"], RuntimeKind.SIMULATED, "", id="simulated-as-asked"),
        pytest.param(RuntimeKind.NONE, ["root"], RuntimeKind.NONE, "", id="none-as-asked"),
    ],
)
def test_choice_is_the_most_that_can_be_had(wanted, missing, kind, told):
    """Where that is less than real pods, and was not asked for, the user hears why and what to do."""
    choice = choose(wanted, missing)
    assert choice.kind is kind
    assert told in choice.note
    assert bool(choice.note) is bool(told)


@pytest.mark.parametrize(("missing", "mend"), [(["root"], "run as root"), (["runc", "ip"], "`pinnace doctor`")])
def test_containers_that_cannot_be_had_are_refused(missing, mend):
    """What is missing is named, with both ways on."""
    with pytest.raises(ClusterError, match=mend) as refused:
        choose(RuntimeKind.CONTAINERD, missing)
    assert ", ".join(missing) in str(refused.value)
    assert "--runtime simulated" in str(refused.value)
