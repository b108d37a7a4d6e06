"""What a spawn may ask for. Pure.

Each value is taken as it was given or refused with a sentence that says what is allowed; nothing is replaced in
silence. What an agent asks for is bounded twice: by the profile of the agent that is wanted, and by what the session
that spawns may do itself (`agents.rights` has cut its profile already). What people ask for is bounded by the profile
alone, since the gate has let them.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from agents.base import Refused, Session, SessionId
from agents.ports import Profile

_LABEL = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
_LIKE_AN_ID = re.compile(r"s[a-z2-7]{10}")
_WORDS = frozenset({"all", "any", "own", "parent"})  # that commands and tools understand otherwise


def check_label(label: str | None, agents: Collection[str]) -> None:
    """A label is an address, so it must look like one, and not like another's: small ASCII letters only, no session's
    id, no agent's name, no word that stands for several. Raises Refused."""
    if label is None:
        return
    if not _LABEL.fullmatch(label):
        raise Refused(
            f"{label[:60]!r} cannot be a label: it has small letters a-z, digits, - and _, at most 40 of them, and"
            " begins with a letter or digit, such as prices-eu."
        )
    if label in _WORDS or label in agents or _LIKE_AN_ID.fullmatch(label):
        raise Refused(f"{label!r} cannot be a label: it would be taken for something else. Choose another one.")


def check_agent(parent: Profile, wanted: Profile) -> None:
    """Raises Refused when sessions of `parent` may not spawn (or hand over to) the wanted agent."""
    if wanted.name not in parent.spawns:
        allowed = ", ".join(parent.spawns) or "none"
        raise Refused(
            f"the agent {parent.name} may not spawn {wanted.name} here; it may spawn: {allowed}. The operator can"
            f" add it to `spawns` of {parent.name} and of every agent above it.",
            limit="spawns",
        )


def check_model(model: str | None, wanted: Profile, parent: Profile | None) -> None:
    """An agent's own model comes with it; another one must be allowed to it, and to whoever spawns it. Raises
    Refused."""
    if model is None or model == wanted.model or parent is None:
        return
    allowed = [name for name in wanted.models if name in (parent.model, *parent.models)]
    if model not in allowed:
        raise Refused(
            f"{wanted.name} may not be spawned with the model {model!r} here; allowed:"
            f" {', '.join([wanted.model, *allowed])}. The operator can add it to `models` of {wanted.name} and of every"
            " agent above it.",
            limit="models",
        )


def check_timeout(seconds: int | None, wanted: Profile) -> None:
    """Raises Refused."""
    if seconds is not None and seconds > wanted.turn_timeout_seconds:
        raise Refused(
            f"timeout_seconds {seconds} is more than turn_timeout_seconds of {wanted.name}:"
            f" give {wanted.turn_timeout_seconds:g} at most, or leave it out.",
            limit="turn_timeout_seconds",
        )


def check_budget(usd: float | None, wanted: Profile, left: float | None) -> None:
    """`left` is what the sessions above have left, None without a bound. Raises Refused."""
    if usd is None:
        return
    bounds = [bound for bound in (wanted.budget_usd, left) if bound is not None]
    if bounds and usd > min(bounds):
        whose = "what the sessions above it have left" if left == min(bounds) else f"budget_usd of {wanted.name}"
        raise Refused(
            f"budget_usd {usd:g} is more than {whose}: give {min(bounds):.4g} at most, or leave it out.",
            limit="budget_usd",
        )


def workspace_of(
    asked: str | None, id: SessionId, parent: Session | None, wanted: Profile, above: Profile | None
) -> str | None:
    """Where the session `id` works; None: where its profile says. A child reaches no shared workspace that the one who
    spawns it does not work in. Raises Refused."""
    if parent is None or above is None:
        if asked in (None, wanted.workspace):
            return None
        if asked == "own":
            return f"session:{id}"
        raise Refused(
            f"the agent {wanted.name} may not use the workspace {asked!r}; allowed: {wanted.workspace or 'own'}.",
            limit="workspace",
        )
    works_in = parent.workspace or (above.workspace if parent.parent is None else None)
    match asked:
        case "own":
            return None
        case "parent":
            return works_in or f"session:{parent.id}"
        case None:
            return works_in if wanted.workspace == works_in else None
        case shared if shared == works_in:
            return shared
        case other:
            raise Refused(
                f"{parent.label} may not use the workspace {other!r}; it works in {works_in or 'its own'}. Take own or"
                f" parent, or ask the operator to set `workspace` in the profile of {above.name}.",
                limit="workspace",
            )
