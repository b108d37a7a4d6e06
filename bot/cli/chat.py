"""`chat`: talk to a running Threadmill in the terminal, or through pipes."""

from __future__ import annotations

import sys
from pathlib import Path

import rich_click as click

from bot.cli.options import config_option, loaded


@click.command()
@config_option
@click.option("--thread", default="chat", show_default=True, metavar="NAME", help="The thread; a new name begins one.")
@click.option(
    "--timeout",
    type=click.FloatRange(1, 86_400),
    default=600.0,
    show_default=True,
    help="With piped input: the longest wait for one answer, in seconds.",
)
def chat(config_file: Path | None, thread: str, timeout: float) -> None:
    """Talk to a running Threadmill.

    Answers appear as they are written. What you type while an agent works steers it. A line that begins with
    a slash is a command: /help lists them. Ctrl-C stops the running turn, Ctrl-D leaves. With piped input each
    line is a message, only the answers are printed, and the end of the input ends it.
    """
    from bot.cli.client import running
    from bot.cli.conversation import Conversation

    config = loaded(config_file)
    with Conversation(running(config), thread) as conversation:
        if sys.stdin.isatty() and sys.stdout.isatty():
            from bot.cli.terminal import talk

            talk(conversation, config.bot.data / "chat.history")
        else:
            from bot.cli.piped import answer_lines

            answer_lines(conversation, sys.stdin, timeout)
