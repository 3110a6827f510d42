import msgspec
import pytest

from pinnace.component.config import ConfigError, load


class Inner(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    grace_seconds: int = 30


class Config(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    data_dir: str = "/var/lib/pinnace"
    secure_port: int = 6443
    debug: bool = False
    names: tuple[str, ...] = ()
    inner: Inner = msgspec.field(default_factory=Inner)


@pytest.fixture
def write(tmp_path):
    def write(text):
        file = tmp_path / "config.yaml"
        file.write_text(text)
        return file

    return write


def test_defaults_stand_alone():
    """Nothing given, nothing changed."""
    assert load(Config, environment={}) == Config()


def test_file_environment_and_flags_win_in_this_order(write):
    """Each place overrides the one before it, field by field, inside nested records too."""
    file = write(
        "apiVersion: config.pinnace.dev/v1\ndataDir: /f\nsecurePort: 1\nnames: [a]\ninner: {graceSeconds: 5}\n"
    )
    environment = {"PINNACE_SECURE_PORT": "2", "PINNACE_NAMES": "b, c", "PINNACE_DEBUG": "true", "HOME": "/x"}
    made = load(Config, file=file, environment=environment, flags={"secure_port": 3})
    assert made == Config(data_dir="/f", secure_port=3, debug=True, names=("b", "c"), inner=Inner(grace_seconds=5))
    made = load(
        Config, file=file, environment={"PINNACE_INNER__GRACE_SECONDS": "6"}, flags={"inner.grace_seconds": "7"}
    )
    assert made.inner.grace_seconds == 7


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("securePort: x", "Expected `int`, got `str` - at `$.securePort`"),
        ("secureport: 1", "secureport: no such field"),
        ("inner: {grace: 1}", "inner.grace: no such field"),
        ("apiVersion: v2", "only config.pinnace.dev/v1 is understood"),
        ("- a", "a mapping is needed at the top"),
        ("a: [", "not YAML"),
    ],
)
def test_mistakes_in_a_file_name_file_and_field(write, text, reason):
    """A user is told where the mistake is, in one line."""
    with pytest.raises(ConfigError) as refused:
        load(Config, file=write(text), environment={})
    assert reason in str(refused.value)
    assert "config.yaml" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_mistakes_in_environment_and_flags_name_their_place(tmp_path):
    """The variable or flag is named."""
    with pytest.raises(ConfigError, match="PINNACE_SECURE_PORT: Expected `int`"):
        load(Config, environment={"PINNACE_SECURE_PORT": "x"})
    with pytest.raises(ConfigError, match="--secure-port: Expected `int`"):
        load(Config, environment={}, flags={"secure_port": "x"})
    with pytest.raises(ConfigError, match="no such field"):
        load(Config, environment={}, flags={"none": 1})
    with pytest.raises(ConfigError, match="No such file"):
        load(Config, file=tmp_path / "none.yaml", environment={})
