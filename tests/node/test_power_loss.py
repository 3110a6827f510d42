"""Power loss: an ext4 on a loop device is shut down without flushing its journal while a store writes to it.

The writer is stopped first: otherwise it may print an answer between the shutdown and its own end, which a plain file loses too. That
plain file, synced after each line, is the control.
"""

import fcntl
import os
import random
import shutil
import signal
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

WRITER = Path(__file__).parents[1] / "integration" / "store" / "writer.py"
FS_IOC_SHUTDOWN, NO_LOG_FLUSH = 0x8004587D, 2


def _run(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


class _Disk:
    """A file system that can lose its power."""

    def __init__(self, directory: Path) -> None:
        image = directory / "disk.img"
        with image.open("wb") as file:
            file.truncate(256 << 20)
        _run("mkfs.ext4", "-q", "-F", str(image))
        self.mountpoint = directory / "mnt"
        self.mountpoint.mkdir()
        self.device = _run("losetup", "--find", "--show", str(image))

    def mount(self) -> None:
        _run("mount", self.device, str(self.mountpoint))

    def cut_power(self) -> None:
        directory = os.open(self.mountpoint, os.O_RDONLY)
        try:
            fcntl.ioctl(directory, FS_IOC_SHUTDOWN, struct.pack("I", NO_LOG_FLUSH))
        finally:
            os.close(directory)

    def unmount(self) -> None:
        _run("umount", str(self.mountpoint))

    def close(self) -> None:
        subprocess.run(["umount", str(self.mountpoint)], check=False, capture_output=True)
        _run("losetup", "--detach", self.device)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[_Disk]:
    if os.geteuid() != 0:
        pytest.skip("needs root to mount a loop device")
    if shutil.which("mkfs.ext4") is None:
        pytest.skip("needs mkfs.ext4")
    try:
        opened = _Disk(tmp_path)
    except subprocess.CalledProcessError as error:
        pytest.skip(f"no loop device: {error.stderr}")
    try:
        yield opened
    finally:
        opened.close()


def _round(disk: _Disk, kind: str, name: str, seconds: float) -> dict[str, int]:
    """Write for a while, cut the power, and return what had been answered."""
    disk.mount()
    command = [sys.executable, str(WRITER), kind, str(disk.mountpoint / name), name]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        lines: list[bytes] = []
        output = writer.stdout
        started = threading.Event()

        def read() -> None:
            for line in output:
                lines.append(line)
                started.set()

        reader = threading.Thread(target=read)
        reader.start()
        try:
            assert started.wait(30)
            threading.Event().wait(seconds)
            writer.send_signal(signal.SIGSTOP)
            os.waitid(os.P_PID, writer.pid, os.WSTOPPED | os.WNOWAIT)
            disk.cut_power()
        finally:
            writer.kill()
            reader.join()
    disk.unmount()
    pairs = (line.decode().split() for line in lines if line.endswith(b"\n"))
    return {key: int(revision) for key, revision in pairs}


def _stored(path: Path, kind: str) -> dict[str, int]:
    if kind == "raw":
        return {key: int(number) for key, number in (line.split() for line in path.read_text().splitlines())}
    connection = apsw.Connection(str(path))
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    rows: dict[str, int] = dict(connection.execute("SELECT key, revision FROM log").fetchall())  # type: ignore[arg-type]
    connection.close()
    return rows


def _lose_power(disk: _Disk, rounds: int) -> None:
    chance = random.Random(2)
    counts = {"sqlite": 0, "raw": 0}
    for number in range(rounds):
        for kind in ("sqlite", "raw") if number % 5 == 0 else ("sqlite",):
            name = f"{kind}{number}"
            answered = _round(disk, kind, name, chance.uniform(0.1, 0.5))
            disk.mount()
            stored = _stored(disk.mountpoint / name, kind)
            lost = {key: revision for key, revision in answered.items() if stored.get(key) != revision}
            for file in disk.mountpoint.glob(f"{name}*"):
                file.unlink()
            disk.unmount()
            assert answered, "nothing was written before the power went"
            assert not lost, f"round {number} of {kind} lost {len(lost)} of {len(answered)} answered writes"
            counts[kind] += len(answered)
    print(f"{rounds} rounds of power loss: 0 of {counts['sqlite']} answered writes lost (control: {counts['raw']})")


@pytest.mark.root
@pytest.mark.timeout(300)
def test_power_loss_loses_no_answered_write(disk: _Disk) -> None:
    """Twenty cuts, with no answered write missing and a sound database after each."""
    _lose_power(disk, 20)


@pytest.mark.root
@pytest.mark.long
@pytest.mark.timeout(3600)
def test_power_loss_loses_no_answered_write_in_two_hundred_cuts(disk: _Disk) -> None:
    """The same two hundred times."""
    _lose_power(disk, 200)
