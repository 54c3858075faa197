"""The `recado` command. Each subcommand is imported when it is called."""

import importlib
import sys

import click

from app.errors import RecadoError

COMMANDS = {
    "demo": ("cli.demo", "Show the whole system on this machine: no keys, no account, no Docker."),
    "api": ("cli.api", "Serve the webhooks and the API."),
    "worker": ("cli.worker", "Run turns: answer the messages that come in."),
    "scheduler": ("cli.scheduler", "Fire timers: idle conversations, handoffs that nobody took. Erase what is old."),
    "migrate": ("cli.migrate", "Bring the database's tables up to date."),
    "check": ("cli.check", "Check this machine's environment: what is missing, and how to get it."),
    "tenants": ("cli.tenants", "Write, check, test, publish and compare the tenants' assistants."),
    "channels": ("cli.channels", "Add and list the tenants' WhatsApp numbers."),
    "secrets": ("cli.secrets", "Set, list and remove the secrets that tenants' tools name."),
    "contacts": ("cli.contacts", "Tag contacts, see what is kept of them, and erase them."),
    "retention": ("cli.retention", "Show and set for how many days a tenant keeps what it does not need any more."),
    "studio": ("cli.studio", "Open conversations in LangGraph Studio, fork them, and replay turns."),
    "conversations": ("cli.conversations", "Take conversations over from the assistant, reply, and close them."),
    "interrupts": ("cli.interrupts", "List and resolve what waits for an operator."),
}


class _Lazy(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(COMMANDS[cmd_name][0]).command
        command.name = cmd_name
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, help_text) for name, (_, help_text) in COMMANDS.items()])


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="recado")
def recado() -> None:
    """Assistants for WhatsApp: many tenants, one platform, no message lost.

    `recado demo` shows the whole system on this machine.
    """


def main() -> None:
    """Run the command line. Exit codes: 0 done, 1 a failure that the message explains, 2 wrong usage."""
    try:
        recado()
    except RecadoError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(1)
