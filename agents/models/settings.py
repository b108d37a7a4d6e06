"""How a model is configured: the `[models.NAME]` tables of config.toml.

Untrusted input, so it is parsed here once, strictly: an unknown key, a wrong type and a combination that
cannot work are errors with a sentence that says what to write instead. Nothing here opens a connection
or imports a provider's library, so that `threadmill check` stays fast.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

HOSTED_HOSTS = {"anthropic": "api.anthropic.com", "openai": "api.openai.com"}


class Price(BaseModel):
    """What a million tokens cost, in US dollars. Overrides the price list."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, hide_input_in_errors=True)

    input: float = Field(ge=0, description="A million input tokens that are not cached, in US dollars.")
    output: float = Field(ge=0, description="A million output tokens, in US dollars.")
    cache_read: float | None = Field(
        default=None, ge=0, description="A million input tokens read from the cache; as `input` when left out."
    )
    cache_write: float | None = Field(
        default=None, ge=0, description="A million input tokens written to the cache; as `input` when left out."
    )


class ModelSettings(BaseModel):
    """One `[models.NAME]` table."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, hide_input_in_errors=True)

    kind: Literal["anthropic", "openai", "rehearsal"] = Field(
        description="The API that the server speaks: anthropic (Messages), openai (chat completions), "
        "or rehearsal (no server at all)."
    )
    model: str = Field(default="", description="The provider's model id. A rehearsal needs none.")
    api_key: SecretStr | None = Field(
        default=None, description="The provider's key, best as ${NAME} from the environment. Local servers need none."
    )
    base_url: str | None = Field(
        default=None, description="Another server that speaks the same API, for example http://127.0.0.1:11434."
    )
    fallback: list[str] = Field(
        default_factory=list, description="Other models, by name, asked in this order when this one is unavailable."
    )
    script: Annotated[Path, Field(strict=False)] | None = Field(
        default=None, description="Rehearsal only: a TOML or JSON file of canned exchanges, see docs/rehearsal.md."
    )
    word_delay_seconds: float = Field(
        default=0.01, ge=0, le=5, description="Rehearsal only: the pause after each streamed word."
    )
    max_tokens: int = Field(default=8192, ge=1, description="The longest answer, in tokens.")
    thinking_tokens: int | None = Field(
        default=None, ge=0, description="How many tokens the model may think before it answers; none when left out."
    )
    context_tokens: int | None = Field(
        default=None,
        ge=1024,
        description="How many tokens a request may have, its answer included; asked of the provider when left out.",
    )
    timeout_seconds: float = Field(default=600.0, gt=0, le=7200, description="The longest a whole call may take.")
    idle_timeout_seconds: float = Field(
        default=60.0, gt=0, le=3600, description="The longest silence in the middle of a call."
    )
    connect_timeout_seconds: float = Field(default=10.0, gt=0, le=120, description="The longest wait to be connected.")
    attempts: int = Field(
        default=3, ge=1, le=10, description="How often this model is tried before its fallback is asked."
    )
    price_usd_per_million: Price | None = Field(
        default=None, description="Overrides the price list: { input, output, cache_read, cache_write }."
    )

    @model_validator(mode="after")
    def _can_work(self) -> Self:
        if self.kind != "rehearsal" and not self.model:
            raise ValueError(f'model: name the {self.kind} model to ask, for example model = "{_EXAMPLE[self.kind]}"')
        if self.script is not None and self.kind != "rehearsal":
            raise ValueError('script: only a model of kind = "rehearsal" follows a script; remove this line')
        if self.key is not None and not (self.key.isascii() and self.key.isprintable()):
            raise ValueError("api_key: holds characters that no key has; copy it again")
        if self.base_url is not None:
            parts = urlsplit(self.base_url)
            if parts.scheme not in {"http", "https"} or not parts.hostname:
                raise ValueError(f"base_url: {self.base_url!r} is no address; write http://host:port or https://host")
        if self.thinking_tokens and self.thinking_tokens >= self.max_tokens:
            raise ValueError("thinking_tokens: must be less than max_tokens, which counts thinking and answer together")
        if self.context_tokens is not None and self.context_tokens <= self.max_tokens:
            raise ValueError("context_tokens: must be more than max_tokens, which is kept free for the answer")
        return self

    @property
    def hosted(self) -> bool:
        """Whether the provider itself is asked, and not another server that speaks its API."""
        return self.base_url is None or urlsplit(self.base_url).hostname == HOSTED_HOSTS.get(self.kind)

    @property
    def key(self) -> str | None:
        """The key to send; None when there is none, also when it is empty."""
        return (self.api_key.get_secret_value().strip() or None) if self.api_key is not None else None


_EXAMPLE = {"anthropic": "claude-sonnet-5-5", "openai": "gpt-5"}


def problems(models: Mapping[str, ModelSettings]) -> list[tuple[str, str]]:
    """What is wrong between the models: pairs of a configuration key and a sentence that says what to do."""
    found = []
    for name, settings in models.items():
        for place, other in enumerate(settings.fallback):
            key = f"models.{name}.fallback[{place}]"
            if other == name:
                found.append((key, f"a model cannot be its own fallback; remove {other!r}"))
            elif other not in models:
                known = ", ".join(sorted(models))
                found.append((key, f"there is no model {other!r}; write one of: {known}, or add [models.{other}]"))
    return found
