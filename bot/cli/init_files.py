"""What `init` writes: a short configuration with reasons in it, and the secrets beside it."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from bot.config.kinds import settings_of

DEFAULT_IDS = {"anthropic": "claude-sonnet-5-5", "openai": "gpt-5", "local": "qwen3"}
LOCAL_SERVER = "http://127.0.0.1:11434"
_API_KEYS = {"anthropic": "ANTHROPIC_API_KEY", "openai": "OPENAI_API_KEY"}
_SAFE = re.compile(r"[A-Za-z0-9_./:@+=-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What a person said, or the options; None where he did not say."""

    model_kind: str | None = None
    model_id: str | None = None
    base_url: str | None = None
    channels: tuple[str, ...] = ()
    owners: tuple[str, ...] = ()
    timezone: str | None = None
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    addresses: Mapping[str, str] = field(default_factory=dict)  # base_url by channel, where it is another server
    proven: tuple[str, ...] = ()  # channels whose round trip was seen
    model_proven: bool = False

    def settled(self, environ: Mapping[str, str]) -> Answers:
        """With everything that was not said. The environment's own secrets stay where they are."""
        kind = self.model_kind
        if kind is None:
            kind = "local" if self.base_url else "anthropic" if environ.get("ANTHROPIC_API_KEY") else "rehearsal"
        return replace(self, model_kind=kind, timezone=self.timezone or local_zone())

    def secret_names(self) -> Sequence[str]:
        """The variables that the configuration will name."""
        model = [_API_KEYS[self.model_kind]] if self.model_kind in _API_KEYS else []
        return [*model, *(variable for channel in self.channels for _, variable in channel_secrets(channel))]


def channel_secrets(channel: str) -> Sequence[tuple[str, str]]:
    """The secret keys that a platform cannot do without, each with the variable that holds it."""
    settings = settings_of(channel)
    assert settings is not None, "the kind was checked"
    needed = {"slack": ("bot_token", "app_token")}.get(channel) or tuple(
        name for name, info in settings.model_fields.items() if info.is_required()
    )
    return [(key, f"{channel}_{key}".upper().replace("-", "_")) for key in needed]


def local_zone() -> str:
    """This machine's time zone by name, UTC when it does not say."""
    name = os.environ.get("TZ", "")
    if not name:
        link = os.path.realpath("/etc/localtime")
        name = link.partition("/zoneinfo/")[2]
    from bot.config.times import time_zone

    try:
        return time_zone(name).key if name else "UTC"
    except ValueError:
        return "UTC"


def write(file: Path, answers: Answers) -> Sequence[Path]:
    """Write the configuration and the secrets; the files that were written.

    All of it lies ready beside its place before the first file takes its place, so that an interruption leaves
    either nothing or, between two renames, the new secrets with the old configuration.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    env = file.parent / ".env"
    texts = {env: (_env_text(env, answers.secrets), 0o600)} if answers.secrets else {}
    texts[file] = (config_text(answers), 0o644)
    parts = {target: target.with_name(f".{target.name}.part") for target in texts}
    try:
        for target, (text, mode) in texts.items():
            _write_private(parts[target], text, mode)
        if file.exists():
            shutil.copy2(file, file.with_name(f"{file.name}.bak"))
        for target, part in parts.items():
            part.replace(target)
    finally:
        for part in parts.values():
            part.unlink(missing_ok=True)
    return [file, *(target for target in texts if target != file)]


def config_text(answers: Answers) -> str:
    """The configuration as TOML."""
    pieces = [
        "# Threadmill's configuration. config.example.toml shows everything that can stand here;",
        "# `threadmill check` tells what is wrong with it. Secrets stand in the .env file beside it.",
        "",
        "[bot]",
        f"timezone = {_quoted(answers.timezone or 'UTC')}",
        "",
        *_model(answers),
        *(line for channel in answers.channels for line in _channel(channel, answers.addresses.get(channel))),
        *_people(answers),
    ]
    return "\n".join(pieces) + "\n"


def _model(answers: Answers) -> list[str]:
    kind = answers.model_kind or "rehearsal"
    if kind == "rehearsal":
        return [
            "[models.default]",
            'kind = "rehearsal"                # no language model: it takes exactly the steps that a message names',
            "",
        ]
    lines = ["[models.default]", f"kind = {_quoted('anthropic' if kind == 'local' else kind)}"]
    lines.append(f"model = {_quoted(answers.model_id or DEFAULT_IDS[kind])}")
    if kind in _API_KEYS:
        lines.append(f'api_key = "${{{_API_KEYS[kind]}}}"')
    if answers.base_url or kind == "local":
        lines.append(f"base_url = {_quoted(answers.base_url or LOCAL_SERVER)}")
    return [*lines, ""]


def _channel(channel: str, address: str | None) -> list[str]:
    lines = [f"[channels.{channel}]"]
    lines += [f'{key} = "${{{variable}}}"' for key, variable in channel_secrets(channel)]
    lines += [f"base_url = {_quoted(address)}"] if address else []
    return [*lines, ""]


def _people(answers: Answers) -> list[str]:
    if not answers.channels:
        return []
    if not answers.owners:
        return [
            "# Nobody is let in yet on the platforms above. Say /whoami to the bot there, and put your account here:",
            "# [people.me]",
            f'# accounts = ["{answers.channels[0]}:…"]',
            '# role = "owner"',
            "",
        ]
    accounts = ", ".join(_quoted(account) for account in answers.owners)
    channels = list(dict.fromkeys(account.partition(":")[0] for account in answers.owners))
    reach = ", ".join(_quoted(channel) for channel in channels)
    return ["[people.me]", f"accounts = [{accounts}]", 'role = "owner"', f"reach = [{reach}]", ""]


def _quoted(text: str) -> str:
    """A TOML string; a dollar sign stays one."""
    return json.dumps(text.replace("$", "$$"), ensure_ascii=False)


def _env_text(env: Path, secrets: Mapping[str, str]) -> str:
    """The `.env` file with these values; its other lines stay as they are."""
    lines = env.read_text("utf-8").splitlines() if env.exists() else []
    kept = [line for line in lines if line.partition("=")[0].removeprefix("export ").strip() not in secrets]
    made = [f"{name}={value if _SAFE.fullmatch(value) else _single_quoted(value)}" for name, value in secrets.items()]
    return "\n".join([*kept, *made]) + "\n"


def _single_quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _write_private(file: Path, text: str, mode: int) -> None:
    """A new file that others cannot read while it is being written."""
    file.unlink(missing_ok=True)
    handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as stream:
        stream.write(text)
    file.chmod(mode)
