"""Mounts below a folder."""

from pathlib import Path

from pinnace.cluster.mounts import mount_points

MOUNTINFO = """\
22 1 254:0 / / rw - ext4 /dev/vda rw
40 22 0:30 / /data/c rw - tmpfs tmpfs rw
41 40 0:31 / /data/c/with\\040space rw - tmpfs tmpfs rw
42 22 0:32 / /data/cousin rw - tmpfs tmpfs rw
43 40 0:33 / /data/c/d rw - overlay overlay rw
"""


def test_mounts_below_a_folder_come_deepest_first_and_unescaped():
    """Later mounts may lie on earlier ones; a folder whose name only begins alike is another one."""
    assert mount_points(MOUNTINFO, Path("/data/c")) == ["/data/c/d", "/data/c/with space", "/data/c"]
