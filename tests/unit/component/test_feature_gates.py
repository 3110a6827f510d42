import pytest

from pinnace.component.feature_gates import FeatureGateError, FeatureGates, Gate, Stage, parse_feature_gates

GATES = (Gate("Alpha", False, Stage.ALPHA), Gate("Beta", True, Stage.BETA), Gate("Stable", True, Stage.GA, locked=True))


def test_gates_have_their_defaults_until_changed():
    """A change affects its own gate only."""
    gates = FeatureGates(GATES, {"Alpha": True})
    assert [gates.enabled(name) for name in ("Alpha", "Beta", "Stable")] == [True, True, True]
    assert [gate.name for gate in gates.known()] == ["Alpha", "Beta", "Stable"]


@pytest.mark.parametrize(
    ("changed", "text"),
    [({"Other": True}, "unrecognized feature gate: Other"), ({"Stable": False}, "feature is locked to true")],
)
def test_unknown_and_locked_gates_are_refused(changed, text):
    """A switch that could not work is an error."""
    with pytest.raises(FeatureGateError, match=text):
        FeatureGates(GATES, changed)


def test_asking_for_a_gate_that_does_not_exist_is_a_mistake_of_the_program():
    """Code cannot ask for a gate that nobody declared."""
    with pytest.raises(KeyError):
        FeatureGates(GATES).enabled("Other")


def test_flag_is_parsed():
    """The flag's text is names and booleans, blanks tolerated."""
    assert parse_feature_gates("A=true, B=False,") == {"A": True, "B": False}


@pytest.mark.parametrize(
    ("text", "reason"), [("A", "missing bool value for A"), ("A=maybe", "invalid value of A: maybe")]
)
def test_malformed_flag_is_refused(text, reason):
    """What is no boolean is said to be none."""
    with pytest.raises(FeatureGateError, match=reason):
        parse_feature_gates(text)
