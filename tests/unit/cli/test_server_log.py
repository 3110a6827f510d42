"""What a command reads in the log of a server that starts."""

from pathlib import Path

import pytest

from pinnace.cli.server_log import ServerLog


def test_steps_are_given_once_as_they_come_and_whole(tmp_path: Path) -> None:
    """A step is given when its line is complete, once, without its mark, whatever other lines are between."""
    path = tmp_path / "server.log"
    path.write_text("✓ a step of an earlier start\n", encoding="utf-8")
    log = ServerLog(path, path.stat().st_size)
    seen = []
    for more in ("", '✓ store\n{"event": "✓ no step"}\n✓ API ser', "ver\n✓ node\n", ""):
        with path.open("a", encoding="utf-8") as file:
            file.write(more)
        seen.append(list(log.new_steps()))
    assert seen == [[], ["store"], ["API server", "node"], []]


@pytest.mark.parametrize(
    ("written", "word"),
    [
        pytest.param("", "", id="nothing"),
        pytest.param("Traceback\nValueError: x\n", "", id="no complaint"),
        pytest.param("pinnace: first\n✓ step\npinnace: second\nbye\n", "second", id="the last of several"),
        pytest.param("pinnace: cut off", "cut off", id="without its end"),
    ],
)
def test_last_word_is_the_last_complaint_since_the_start(tmp_path: Path, written: str, word: str) -> None:
    """What an earlier server complained of is not taken for this one's."""
    path = tmp_path / "server.log"
    path.write_text("pinnace: of an earlier start\n", encoding="utf-8")
    log = ServerLog(path, path.stat().st_size)
    with path.open("a", encoding="utf-8") as file:
        file.write(written)
    assert log.last_word() == word
