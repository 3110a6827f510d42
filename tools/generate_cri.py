"""Generates the messages of the container runtime from our own `.proto` files; `--check` only says whether they are current."""

import sys
import tempfile
from pathlib import Path

from grpc_tools import protoc

FOLDER = Path(__file__).resolve().parents[1] / "src/pinnace/kubelet/cri"
NAMES = ("api", "events")


def main() -> int:
    """Write the modules, or compare them."""
    return max(generate(name) for name in NAMES)


def generate(name: str) -> int:
    """Write one module, or compare it; returns the exit code."""
    with tempfile.TemporaryDirectory() as scratch:
        code = protoc.main(["protoc", f"-I{FOLDER}", f"--python_out={scratch}", str(FOLDER / f"{name}.proto")])
        if code:
            return int(code)
        made = (Path(scratch) / f"{name}_pb2.py").read_text(encoding="utf-8")
    target = FOLDER / f"{name}_pb2.py"
    if "--check" in sys.argv:
        current = target.read_text(encoding="utf-8") if target.exists() else ""
        if current != made:
            print(f"src/pinnace/kubelet/cri/{name}_pb2.py is not what {name}.proto says: run tools/generate_cri.py")
            return 1
        return 0
    target.write_text(made, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
