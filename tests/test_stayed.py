"""A preview that could not be taken away is the message, when it can be."""

from __future__ import annotations

from dataclasses import replace

import pytest

from channels.base import ChannelName, DeliveryKey, Outbound, Rejected, TemporaryFailure, ThreadRef
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
    stayed.leave(HERE, "7", "The answer is ", stands=False)
    receipt = await stayed.say(part("The answer is 42."), edits)
    assert receipt is not None
    assert receipt.message_ids == ("7",)
    assert edits.made == [("7", "The answer is 42.")]
    assert await stayed.say(part("The answer is 42."), edits) is None


@pytest.mark.requirement("P3")
async def test_where_it_cannot_be_edited_it_counts_only_with_the_whole_text() -> None:
    stayed, edits = Stayed(), Edits(Rejected("unknown method"))
    stayed.leave(HERE, "7", "The answer is 42.", stands=True)
    assert await stayed.say(part("The answer is 42."), edits) is not None
    stayed.leave(HERE, "8", "The answer is", stands=True)
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
    stayed.leave(HERE, "7", "The answer is 42.", stands=True)
    assert await stayed.say(other, edits) is None
    assert not edits.made


async def test_a_preview_of_which_no_text_was_shown_whole_is_no_message() -> None:
    stayed, edits = Stayed(), Edits()
    stayed.leave(HERE, "7", "", stands=True)
    assert await stayed.say(part("The answer is 42."), edits) is None


@pytest.mark.requirement("P1")
async def test_one_that_may_be_gone_is_never_taken_for_said() -> None:
    stayed, edits = Stayed(), Edits(Rejected("there is no such message"))
    stayed.leave(HERE, "7", "The answer is 42.", stands=False)
    assert await stayed.say(part("The answer is 42."), edits) is None


@pytest.mark.requirement("P3")
async def test_an_edit_that_may_have_been_made_is_made_again_and_not_sent_anew() -> None:
    stayed = Stayed()
    stayed.leave(HERE, "7", "The answer", stands=False)
    with pytest.raises(TemporaryFailure):
        await stayed.say(part("The answer is 42."), Edits(TemporaryFailure("later")))
    edits = Edits()
    assert await stayed.say(part("The answer is 42."), edits) is not None
    assert edits.made == [("7", "The answer is 42.")]


@pytest.mark.requirement("P1")
async def test_a_later_answer_that_begins_alike_is_not_put_into_an_old_preview() -> None:
    now = [0.0]
    stayed, edits = Stayed(lambda: now[0]), Edits()
    stayed.leave(HERE, "7", "The", stands=True)
    now[0] = 61.0
    assert await stayed.say(part("The next answer"), edits) is None
    stayed.leave(HERE, "8", "The", stands=True)
    assert await stayed.say(part("Another answer"), edits) is None
    assert await stayed.say(part("The one after that"), edits) is None
    assert not edits.made
