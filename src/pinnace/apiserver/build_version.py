"""Which version this server says it is: at /version, on /statusz and in its metrics."""

from pinnace import VERSION as PINNACE_VERSION
from pinnace.api.version_info import Info
from pinnace.component.architecture import architecture

# What clients take this server for. The Git facts name no upstream build, because it is none.
VERSION = Info(
    major="1",
    minor="36",
    emulation_major="1",
    emulation_minor="36",
    min_compatibility_major="1",
    min_compatibility_minor="35",
    git_version=PINNACE_VERSION,
    git_commit="0000000000000000000000000000000000000000",
    git_tree_state="clean",
    build_date="1970-01-01T00:00:00Z",
    go_version="python",
    compiler="cpython",
    platform=f"linux/{architecture()}",
)
