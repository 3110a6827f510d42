"""The images that every cluster has, made on this machine from its own static programs, so that nothing has to be downloaded.

pause    holds a pod's namespaces: catatonit, which waits and reaps
demoapp  the lesson's small web server: busybox's httpd and a CGI script, under catatonit, as httpd itself ignores SIGTERM as process 1
"""

import shutil
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

from pinnace.cluster.containerd_config import PAUSE_IMAGE, ContainerdError, search_path
from pinnace.cluster.image_archive import Entry, ImageConfig, build

DEMOAPP_IMAGE, DEMOAPP_VERSION = "ikubernetes/demoapp:v1.0", "v1.0"
PT_INTERP = 3

_START = """#!/bin/sh
exec httpd -f -p "${HOST:-0.0.0.0}:${PORT:-80}" -h /www
"""

# Debian's busybox has no printenv.
_PRINTENV = """#!/bin/sh
[ $# -gt 0 ] || exec env
exec awk 'BEGIN { for (i = 1; i < ARGC; i++) if (ARGV[i] in ENVIRON) print ENVIRON[ARGV[i]]; else code = 1; exit code }' "$@"
"""

_ANSWER = f"""#!/bin/sh
address=$(ip route get "$REMOTE_ADDR" | sed -n 's/.* src \\([^ ]*\\).*/\\1/p')
printf 'Content-Type: text/plain\\r\\n\\r\\n'
echo "demoapp {DEMOAPP_VERSION} | ClientIP: $REMOTE_ADDR, ServerName: $(hostname), ServerIP: ${{address:-unknown}}"
"""


def pause_archive() -> bytes:
    """Return the archive of the pause image.

    Raises:
        ContainerdError: this machine lacks what it is made of.
    """
    entries = [Entry("bin"), Entry("bin/catatonit", data=static_program("catatonit", "catatonit"))]
    return build(PAUSE_IMAGE, entries, ImageConfig(entrypoint=("/bin/catatonit", "-P")))


def demoapp_archive() -> bytes:
    """Return the archive of the lesson's image.

    Raises:
        ContainerdError: this machine lacks what it is made of.
    """
    config = ImageConfig(
        entrypoint=("/bin/catatonit", "--"),
        command=("/bin/demoapp",),
        environment={"PATH": "/bin"},
        exposed_ports=("80/tcp",),
    )
    return build(DEMOAPP_IMAGE, _demoapp_entries(), config)


def static_program(name: str, package: str) -> bytes:
    """Return a program of this machine that needs no libraries.

    Raises:
        ContainerdError: it is not there, or needs libraries.
    """
    found = shutil.which(name, path=search_path())
    mend = f"on Debian and Ubuntu, apt-get install {package}"
    if found is None:
        raise ContainerdError(f"{name} is not installed, and images are made of it: {mend}")
    data = Path(found).read_bytes()
    if not is_static(data):
        raise ContainerdError(f"{found} needs libraries, and an image is to be made of it alone: {mend}")
    return data


def is_static(program: bytes) -> bool:
    """Tell whether an ELF file of 64 bits asks for no interpreter, so for no libraries."""
    if program[:5] != b"\x7fELF\x02":
        return False
    order = "<" if program[5] == 1 else ">"
    offset = struct.unpack_from(f"{order}Q", program, 32)[0]
    size, count = struct.unpack_from(f"{order}HH", program, 54)
    kinds = (struct.unpack_from(f"{order}I", program, offset + size * index)[0] for index in range(count))
    return PT_INTERP not in kinds


def _demoapp_entries() -> Iterator[Entry]:
    for folder in ("bin", "etc", "root", "usr", "www", "www/cgi-bin"):
        yield Entry(folder)
    yield Entry("tmp", 0o1777)
    yield Entry("usr/bin", link="/bin")
    yield Entry("etc/passwd", 0o644, b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n")
    yield Entry("etc/group", 0o644, b"root:x:0:\nnogroup:x:65534:\n")
    yield Entry("bin/catatonit", data=static_program("catatonit", "catatonit"))
    yield Entry("bin/busybox", data=static_program("busybox", "busybox-static"))
    applets = _applets()
    for applet in applets:
        yield Entry(f"bin/{applet}", link="busybox")
    if "printenv" not in applets:
        yield Entry("bin/printenv", data=_PRINTENV.encode())
    yield Entry("bin/demoapp", data=_START.encode())
    yield Entry("www/cgi-bin/index.cgi", data=_ANSWER.encode())


def _applets() -> list[str]:
    program = shutil.which("busybox", path=search_path()) or "busybox"
    listed = subprocess.run([program, "--list"], check=True, capture_output=True, text=True).stdout.split()
    return sorted(set(listed) - {"busybox"})
