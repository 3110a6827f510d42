"""What containerd is told, from what the machine can do."""

import tomllib
from pathlib import Path

import pytest

from pinnace.cluster.containerd_config import (
    CAP_SYS_RESOURCE,
    CNI_PLUGINS,
    ContainerdError,
    ContainerdPaths,
    Machine,
    cni_bin_dir,
    has_capability,
    render,
)

CRI = "io.containerd.grpc.v1.cri"


def rendered(**facts):
    machine = Machine(
        **{"can_raise_oom_score": True, "has_overlay": True, "cni_bin_dir": "/cni", "missing": ()} | facts
    )
    return tomllib.loads(render(ContainerdPaths(Path('/data/a "b"')), machine))


def test_config_keeps_everything_in_the_clusters_folder():
    """Every path that containerd writes to lies below the folder, whose odd name survives the quoting."""
    config = rendered()
    written = [
        config["root"],
        config["state"],
        config["grpc"]["address"],
        config["plugins"]["io.containerd.internal.v1.opt"]["path"],
    ]
    written += [config["plugins"][CRI]["cni"]["conf_dir"], config["plugins"][CRI]["registry"]["config_path"]]
    assert all(path.startswith('/data/a "b"/') for path in written)
    assert config["plugins"][CRI]["netns_mounts_under_state_dir"] is True


@pytest.mark.parametrize(
    ("facts", "restricted", "snapshotter"),
    [
        pytest.param({}, False, "overlayfs", id="able"),
        pytest.param({"can_raise_oom_score": False}, True, "overlayfs", id="no-sys-resource"),
        pytest.param({"has_overlay": False}, False, "native", id="no-overlay"),
    ],
)
def test_config_follows_the_machine(facts, restricted, snapshotter):
    """A missing capability restricts oom scores, a missing overlay falls back to the native snapshotter."""
    cri = rendered(**facts)["plugins"][CRI]
    assert cri["restrict_oom_score_adj"] is restricted
    assert cri["containerd"]["snapshotter"] == snapshotter


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        pytest.param("CapEff:\t000001fffeffffff\n", False, id="all-but-this"),
        pytest.param("CapEff:\t000001ffffffffff\n", True, id="all"),
        pytest.param("CapPrm:\t000001ffffffffff\n", False, id="not-effective"),
        pytest.param("", False, id="unknown"),
    ],
)
def test_capability_is_read_from_the_effective_set(line, expected):
    """Only the effective set counts."""
    assert has_capability(f"Name:\tx\n{line}", CAP_SYS_RESOURCE) is expected


def test_cni_folder_is_the_first_that_has_every_plugin(tmp_path):
    """A folder with only some of the plug-ins is passed over."""
    for folder, names in (("some", CNI_PLUGINS[:2]), ("all", CNI_PLUGINS)):
        (tmp_path / folder).mkdir()
        for name in names:
            (tmp_path / folder / name).touch(mode=0o755)
    assert cni_bin_dir([f"{tmp_path}/{name}" for name in ("none", "some", "all")]) == f"{tmp_path}/all"
    assert cni_bin_dir([f"{tmp_path}/some"]) == ""


def test_a_folder_too_deep_for_a_socket_is_refused_with_the_mend():
    """The kernel would cut the socket's path; the error names the option to change."""
    ContainerdPaths(Path("/var/lib/pinnace/pinnace/containerd")).check()
    with pytest.raises(ContainerdError, match="--data-dir"):
        ContainerdPaths(Path("/" + "d" * 100)).check()
