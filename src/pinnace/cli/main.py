"""The command `pinnace`: finds the subcommand and imports it only then, so that `--help` is quick."""

from importlib import import_module
from typing import Any

import click

from pinnace import VERSION

# Subcommand → (module, one line of help): the help of the whole needs no import of the parts.
COMMANDS = {
    "up": ("up", "Start (or resume) a cluster in the background and wait until it answers."),
    "down": ("down", "Stop the cluster; its state is kept."),
    "delete": ("down", "Stop the cluster and remove everything it left."),
    "status": ("status", "Show what runs, where, and how it is."),
    "kubeconfig": ("kubeconfig", "Print the administrator's kubeconfig, or merge it into yours."),
    "server": ("server", "Run the cluster in the foreground."),
    "apiserver": ("server", "Run the API server alone, in the foreground."),
    "agent": ("agent", "Run this machine as a node of a cluster elsewhere, in the foreground."),
    "token": ("token", "Make, list and delete the tokens that let new nodes in."),
    "dns": ("dns", "Run cluster DNS alone, in the foreground."),
    "node": ("node", "Add, stop, start and remove nodes."),
    "images": ("images", "List, import and build images."),
    "kubectl": ("kubectl", "Run kubectl against the cluster."),
    "doctor": ("doctor", "Check what this machine has, and say how to mend what is missing."),
}


class _Lazy(click.Group):
    """A group that knows its commands by name, and their modules when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        found = COMMANDS.get(cmd_name)
        if found is None:
            return None
        command: click.Command = getattr(import_module(f"pinnace.cli.{found[0]}"), cmd_name)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise
        except PermissionError as error:
            mend = "become root, or choose another --data-dir"
            raise SystemExit(_complain(f"{error.filename}: permission denied: {mend}")) from error
        except OSError as error:
            raise SystemExit(_complain(f"{error.filename or 'the system'}: {error.strerror or error}")) from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


def _complain(message: str) -> int:
    click.echo(f"pinnace: {message}", err=True)
    return 1


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(VERSION, prog_name="pinnace")
def main() -> None:
    """A whole Kubernetes in one process."""


if __name__ == "__main__":
    main()
