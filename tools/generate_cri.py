"""Generates the messages of the container runtime interface from our own `.proto`; `--check` only says whether they are current."""

import sys
import tempfile
from pathlib import Path

from grpc_tools import protoc

FOLDER = Path(__file__).resolve().parents[1] / "src/pinnace/kubelet/cri"


def main() -> int:
    """Write the module, or compare it."""
    with tempfile.TemporaryDirectory() as scratch:
        code = protoc.main(["protoc", f"-I{FOLDER}", f"--python_out={scratch}", str(FOLDER / "api.proto")])
        if code:
            return int(code)
        made = (Path(scratch) / "api_pb2.py").read_text(encoding="utf-8")
    target = FOLDER / "api_pb2.py"
    if "--check" in sys.argv:
        current = target.read_text(encoding="utf-8") if target.exists() else ""
        if current != made:
            print("src/pinnace/kubelet/cri/api_pb2.py is not what api.proto says: run tools/generate_cri.py")
            return 1
        return 0
    target.write_text(made, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
