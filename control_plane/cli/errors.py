"""Errors of the command line: one sentence with the remedy, and the exit status."""

from __future__ import annotations

import sys
from typing import Any

import typer
from typer.core import TyperGroup

from control_plane import complaints


class OneSentence(TyperGroup):
    """Says what went wrong in one sentence; with ``--debug`` the traceback shows as well.

    The exit status is 2 for a command that was mistyped, and 1 for one that failed.
    """

    def main(self, *args: Any, **extra: Any) -> Any:
        """Run, and end with what was mistyped as a sentence."""
        standalone = extra.pop("standalone_mode", True)
        try:
            status = super().main(*args, **extra | {"standalone_mode": False})
        except Exception as error:
            # By what it can do: the library has moved the class of its errors of usage more than once.
            if not standalone or not hasattr(error, "format_message"):
                raise
            context: Any = getattr(error, "ctx", None)
            if type(error).__name__ == "NoArgsIsHelpError":
                typer.echo(context.get_help(), err=True)
            else:
                command = context.command_path if context else "pipelines"
                typer.echo(f"pipelines: {complaints.usage(error.format_message(), command)}", err=True)
            status = 2
        return sys.exit(status or 0) if standalone else status

    def invoke(self, ctx: Any) -> Any:
        """Run the command, and end with what failed as a sentence."""
        try:
            return super().invoke(ctx)
        except Exception as error:
            if ctx.params.get("debug") or (said := complaints.sentence(error)) is None:
                raise
            typer.echo(f"pipelines: {said}", err=True)
            raise typer.Exit(1) from error
