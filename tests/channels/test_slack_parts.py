"""Long answers in parts or as a file, and a corpus of documents: nothing refused, nothing lost."""

from __future__ import annotations

import html
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from channels.base import Attachment, Button, ChannelName, DeliveryKey, Outbound, ThreadRef
from channels.markdown import parse, plain
from channels.slack.parts import carried, split
from channels.slack.render import TEXT_UNITS, blocks, harmless, mrkdwn, units
from tests.channels.markdown_corpus import corpus, kept
from tests.conformance.rig_slack import SlackRig, rig
from tests.fakes.slack.workspace import calls_in, content_of

ROOM = ThreadRef(channel=ChannelName("slack"), space="T1", room="C1")
FILE = Attachment(name="a.txt", media_type="text/plain", size_bytes=1, source="sha256:00")


def message(text: str) -> Outbound:
    return Outbound(
        key=DeliveryKey("k"),
        to=ROOM,
        text=text,
        attachments=(FILE,),
        buttons=(Button(id="b", label="Yes"),),
        reply_to="1.0",
    )


def test_a_message_that_fits_stays_as_it_is():
    short = message("hello")
    assert split(short) == (short,)


def test_parts_have_keys_of_their_own_and_the_last_carries_what_hangs_on_the_message():
    parts = split(message("\n\n".join(f"Paragraph {number}. " + "word " * 60 for number in range(80))))
    assert [part.key for part in parts] == [f"k#{index}" for index in range(len(parts))]
    assert 1 < len(parts) <= 4
    assert [bool(part.buttons) for part in parts] == [False] * (len(parts) - 1) + [True]
    assert [bool(part.attachments) for part in parts] == [False] * (len(parts) - 1) + [True]
    assert parts[0].reply_to == "1.0"
    assert all(part.reply_to is None for part in parts[1:])


def test_what_is_longer_than_four_parts_goes_as_a_file_with_its_beginning():
    text = "\n\n".join(f"Paragraph {number} with ümlauts. " + "word " * 60 for number in range(300))
    [part] = split(message(text))
    whole, other = part.attachments
    assert carried(whole) == text.encode()
    assert (whole.name, whole.size_bytes) == ("message.md", len(text.encode()))
    assert other is FILE
    assert carried(FILE) is None
    assert part.text.startswith("Paragraph 0 ")
    assert len(part.text) < 2600
    assert part.key == "k"


@pytest.fixture
async def slack(tmp_path: Path) -> AsyncIterator[SlackRig]:
    async with rig(tmp_path) as joined:
        yield joined


async def test_a_very_long_answer_arrives_as_a_file_under_its_beginning(slack: SlackRig):
    text = "A long story. " * 5000
    [part] = slack.channel.split(Outbound(key=DeliveryKey("k"), to=slack.room, text=text))
    await slack.channel.send(part)
    [shown] = await slack.shown(slack.room)
    assert shown.files == (("message.md", text.encode()),)
    assert shown.text.startswith("A long story.")


@pytest.mark.slow
def test_five_hundred_documents_are_taken_whole_and_call_nobody():
    worst_native = worst_older = 1.0
    for text in (text for text in corpus() if text.strip()):
        parts = split(Outbound(key=DeliveryKey("k"), to=ROOM, text=text))
        older = [mrkdwn(part.text) for part in parts]
        for part, fallback in zip(parts, older, strict=True):
            sent = content_of({"text": fallback, "blocks": blocks(part.text)})
            assert units(harmless(part.text)) <= TEXT_UNITS
            assert calls_in(sent) == []
            assert calls_in({"text": sent["text"]}) == []
        if parts[0].attachments:
            assert carried(parts[0].attachments[0]) == text.encode()
            continue
        if len(parts) > 1:
            worst_native = min(worst_native, kept(text, [plain(parse(part.text)) for part in parts]))
        else:
            assert parts[0].text == text
        worst_older = min(worst_older, kept(text, [html.unescape(part) for part in older]))
    assert worst_native >= 0.999
    assert worst_older >= 0.999
