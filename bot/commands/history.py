"""/history: the steps of a session with their time, model, tokens and cost."""

from __future__ import annotations

from agents.base import Step, StepKind
from agents.conversation import block_from_json, text_of
from agents.models.base import ToolCall
from agents.ports import Journal
from agents.team import first_line
from bot.access import Action
from bot.commands.base import SESSION, Command, Request, Targets

_SHOWN = 20


def command(journal: Journal, targets: Targets) -> Command:
    async def run(request: Request) -> str:
        session = await targets.named_or_here(request, request.arguments.strip(), Action.READ)
        lines = [_line(step) for step in await journal.recent(session.id, _SHOWN)]
        if not lines:
            return f"{session.label} has done nothing yet."
        head = f"**{session.label}**, the last {len(lines)} of its steps:"
        return "\n".join([head, *(f"- {line}" for line in lines)])

    return Command(
        name="history",
        summary="What a session did, step by step",
        usage="/history [session]",
        run=run,
        options=(SESSION,),
        action=Action.READ,
    )


def _line(entry: Step) -> str:
    step = entry.step
    at = f"{entry.ended_at:%H:%M:%S}"
    match step.kind:
        case StepKind.INPUT:
            return f"{at} in: " + "; ".join(
                f"{item['name'] or item['kind']}: {first_line(item['text'], 80)}" for item in step.body["mail"]
            )
        case StepKind.MODEL:
            blocks = [block_from_json(block) for block in step.body["blocks"]]
            calls = ", ".join(block.name for block in blocks if isinstance(block, ToolCall))
            seconds = (entry.ended_at - step.started_at).total_seconds()
            tokens = step.input_tokens + step.cache_read_tokens + step.cache_write_tokens
            said = first_line(text_of(blocks), 80) + (f" → {calls}" if calls else "")
            spent = f"{seconds:.1f} s, {tokens}→{step.output_tokens} tokens, ${step.cost_usd:.4f}"
            return f"{at} {step.model or 'cut off'} ({spent}): {said}"
        case StepKind.CALL:
            return f"{at} {step.body['name']} begins"
        case StepKind.RESULT:
            word = "skipped" if step.body.get("skipped") else ("failed" if step.body["error"] else "gave")
            return f"{at} {step.body['name']} {word}: {first_line(step.body['text'], 80)}"
        case StepKind.SUMMARY:
            return f"{at} the conversation before this was summed up"
        case StepKind.NOTE:
            return f"{at} {step.body['text']}"
