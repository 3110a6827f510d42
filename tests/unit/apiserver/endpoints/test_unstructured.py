"""What Go's converter from plain trees says about values of the wrong type."""

import pytest

from pinnace.api.core_v1 import ConfigMap, Pod, Secret
from pinnace.apiserver.endpoints.strict import WrongType
from pinnace.apiserver.endpoints.unstructured import check_convertible


@pytest.mark.parametrize(
    ("cls", "tree", "text"),
    [
        pytest.param(ConfigMap, {"data": {"x": 1}}, "cannot convert int64 to string", id="int-for-text"),
        pytest.param(Pod, {"status": {"phase": 5}}, "cannot convert int64 to v1.PodPhase", id="int-for-named-text"),
        pytest.param(ConfigMap, {"data": {"x": True}}, "unrecognized type: string", id="bool-for-text"),
        pytest.param(ConfigMap, {"data": {"x": {}}}, "unrecognized type: string", id="map-for-text"),
        pytest.param(Pod, {"spec": {"hostNetwork": 1}}, "unrecognized type: bool", id="int-for-bool"),
        pytest.param(Pod, {"spec": {"priority": "1"}}, "unrecognized type: int32", id="text-for-int"),
        pytest.param(Pod, {"spec": {"priority": 1.5}}, "cannot convert float64 to int32", id="fraction-for-int"),
        pytest.param(ConfigMap, {"data": ["x"]}, "cannot restore map from slice", id="list-for-map"),
        pytest.param(Pod, {"spec": {"containers": "x"}}, "cannot restore slice from string", id="text-for-list"),
        pytest.param(Pod, {"spec": []}, "cannot restore struct from: slice", id="list-for-struct"),
        pytest.param(Secret, {"data": {"x": 1}}, "cannot restore slice from int64", id="int-for-bytes"),
    ],
)
def test_unconvertible_values_are_told_in_the_converters_words(cls, tree, text):
    """The complaint names types and no place."""
    with pytest.raises(WrongType) as caught:
        check_convertible(cls, tree)
    assert str(caught.value) == text


def test_convertible_values_pass():
    """Null, whole floats and texts with a reader of their own are no complaint."""
    spec = {"priority": 1.0, "nodeName": None, "containers": [{"resources": {"limits": {"cpu": 1}}}]}
    check_convertible(Pod, {"metadata": {"creationTimestamp": "2020-01-01T00:00:00Z"}, "spec": spec})
