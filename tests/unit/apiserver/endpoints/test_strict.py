"""Whether a body fits its type."""

import pytest

from pinnace.api.apiextensions_v1 import CustomResourceDefinition
from pinnace.api.core_v1 import ConfigMap, Pod
from pinnace.apiserver.endpoints import strict


@pytest.mark.parametrize(
    ("body", "known"),
    [
        pytest.param(b'{"metadata":{"name":"a"},"spec":{"containers":[{"name":"c"}]}}', True, id="known"),
        pytest.param(b'{"spec":{"containers":[{"nam":"c"}]}}', False, id="unknown"),
        pytest.param(b'{"spec":{"containers":[{"resources":{"limits":{"cpu":1}}}]}}', True, id="quantity-as-number"),
        pytest.param(b'{"spec":{"containers":null}}', True, id="null"),
    ],
)
def test_known_fields_are_told_from_unknown_ones(body, known):
    """The fast test passes clean bodies only."""
    assert strict.has_only_known_fields(Pod, body) is known


def test_known_fields_cannot_be_told_of_a_type_that_contains_itself():
    """Schemas in definitions nest without end, so the slow path looks at them."""
    assert not strict.has_only_known_fields(CustomResourceDefinition, b"{}")


@pytest.mark.parametrize(
    ("cls", "tree", "text"),
    [
        pytest.param(
            ConfigMap,
            {"metadata": {"labels": {"k": 5}}},
            "json: cannot unmarshal number into Go struct field ObjectMeta.metadata.labels of type string",
            id="number-for-string",
        ),
        pytest.param(
            Pod,
            {"spec": {"restartPolicy": 5}},
            "json: cannot unmarshal number into Go struct field PodSpec.spec.restartPolicy of type v1.RestartPolicy",
            id="named-text",
        ),
        pytest.param(
            ConfigMap,
            {"metadata": {"labels": ["k"]}},
            "json: cannot unmarshal array into Go struct field ObjectMeta.metadata.labels of type map[string]string",
            id="list-for-map",
        ),
        pytest.param(
            Pod,
            {"spec": {"activeDeadlineSeconds": 1.5}},
            "json: cannot unmarshal number 1.5 into Go struct field PodSpec.spec.activeDeadlineSeconds of type int64",
            id="fraction",
        ),
        pytest.param(
            Pod,
            {"spec": {"priority": 3000000000}},
            "json: cannot unmarshal number 3000000000 into Go struct field PodSpec.spec.priority of type int32",
            id="overflow",
        ),
    ],
)
def test_check_types_words_the_first_misfit(cls, tree, text):
    """Type errors are told as Go's decoder tells them."""
    with pytest.raises(strict.WrongType) as caught:
        strict.check_types(cls, tree)
    assert str(caught.value) == text


def test_check_types_takes_null_for_absent():
    """A null is no type error anywhere."""
    strict.check_types(Pod, {"metadata": None, "spec": {"containers": [{"name": None}]}})


def test_key_that_is_no_text_is_no_known_field():
    """Bytes that are no UTF-8 are left to whoever reads slowly."""
    assert not strict.has_only_known_fields(ConfigMap, b'{"\xfc\xfc":1}')
