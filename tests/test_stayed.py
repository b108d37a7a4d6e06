"""A preview that could not be taken away is the message, when it can be."""

from __future__ import annotations

from dataclasses import replace

import pytest

from channels.base import ChannelName, DeliveryKey, Outbound, Rejected, ThreadRef
from channels.stayed import Stayed

HERE = ThreadRef(channel=ChannelName("telegram"), room="42")
ELSEWHERE = replace(HERE, room="43")


def part(text: str, **more: object) -> Outbound:
    return replace(Outbound(key=DeliveryKey("k"), to=HERE, text=text), **more)  # type: ignore[arg-type]


class Edits:
    def __init__(self, error: Exception | None = None) -> None:
        self.made: list[tuple[str, str]] = []
        self.error = error

    async def __call__(self, said: Outbound, message_id: str) -> None:
        if self.error is not None:
            raise self.error
        self.made.append((message_id, said.text))


async def test_it_is_made_final_by_one_edit_and_then_forgotten() -> None:
    stayed, edits = Stayed(), Edits()
    stayed.leave(HERE, "7", "The answer is ")
    receipt = await stayed.say(part("The answer is 42."), edits)
    assert receipt is not None
    assert receipt.message_ids == ("7",)
    assert edits.made == [("7", "The answer is 42.")]
    assert await stayed.say(part("The answer is 42."), edits) is None


@pytest.mark.requirement("P3")
async def test_where_it_cannot_be_edited_it_counts_only_with_the_whole_text() -> None:
    stayed, edits = Stayed(), Edits(Rejected("unknown method"))
    stayed.leave(HERE, "7", "The answer is 42.")
    assert await stayed.say(part("The answer is 42."), edits) is not None
    stayed.leave(HERE, "8", "The answer is")
    assert await stayed.say(part("The answer is 42."), edits) is None


@pytest.mark.requirement("P1")
@pytest.mark.parametrize(
    "other",
    [
        part("Something else"),
        part("The answer is 42.", control=True),
        part("The answer is 42.", private=True),
        part("The answer is 42.", to=ELSEWHERE),
    ],
)
async def test_other_messages_are_sent_as_ever(other: Outbound) -> None:
    stayed, edits = Stayed(), Edits()
    stayed.leave(HERE, "7", "The answer is 42.")
    assert await stayed.say(other, edits) is None
    assert not edits.made


async def test_a_preview_of_which_no_text_was_shown_whole_is_no_message() -> None:
    stayed, edits = Stayed(), Edits()
    stayed.leave(HERE, "7", "")
    assert await stayed.say(part("The answer is 42."), edits) is None
