"""Markdown to Slack's two forms, and Slack's pace: pure, so tested as such."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from channels.base import Button
from channels.slack.pace import PATIENCE_SECONDS, Pace
from channels.slack.render import TEXT_UNITS, blocks, harmless, mrkdwn, plain_blocks, quoted, split_text, units
from tests.fakes.slack.workspace import calls_in, content_of


@pytest.mark.parametrize(
    ("markdown", "shown"),
    [
        ("**bold** *it* ~~gone~~ `code`", "*bold* _it_ ~gone~ `code`"),
        ("# Title\n\ntext", "*Title*\n\ntext"),
        ("# A **b** c", "A *b* c"),
        ("- one\n- two\n  - deep", "• one\n• two\n    • deep"),
        ("3. three\n4. four", "3. three\n4. four"),
        ("> quoted\n> twice", "> quoted\n> twice"),
        ("a < b & c > d", "a &lt; b &amp; c &gt; d"),
        ("`a < b`", "`a &lt; b`"),
        ("[label](https://example.org?a=1&b=2)", "<https://example.org?a=1&amp;b=2|label>"),
        ("<https://example.org>", "<https://example.org>"),
        ("[a|b](https://example.org)", "<https://example.org|a¦b>"),
        ("[run](javascript:alert(1))", "[run](javascript:alert(1))"),
        ("![a cat](https://example.org/cat.png)", "<https://example.org/cat.png|a cat>"),
        ("one  \ntwo", "one\ntwo"),
        ("---", "———"),
        ("||hidden||", "hidden"),
    ],
)
def test_markdown_becomes_the_older_markup(markdown, shown):
    assert mrkdwn(markdown) == shown


def test_a_table_keeps_its_columns_in_the_older_markup():
    rendered = mrkdwn("| a | b |\n|---|---|\n| 1 | x < y |")
    assert rendered.startswith("```\n")
    assert "1 │ x &lt; y" in rendered


def test_a_very_long_text_still_fits_the_fallback():
    assert len(mrkdwn("<" * 39_000)) < 40_000


@pytest.mark.parametrize("title", ["a *b* c", "x_y_z", "[a](b)", "`c`", "<!channel>", "# no heading", "a | b"])
def test_a_title_is_shown_as_it_is(title):
    assert harmless(mrkdwn(quoted(title))).replace("\u2060", "") == mrkdwn_escaped(title)


def mrkdwn_escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def test_buttons_keep_slacks_limits():
    many = tuple(Button(id=f"b{number}", label="x" * 200) for number in range(30))
    [row] = blocks("", many)
    assert len(row["elements"]) == 25
    assert all(len(element["text"]["text"]) <= 75 for element in row["elements"])
    assert content_of({"text": "", "blocks": [row]})


def test_an_empty_label_does_not_spoil_the_message():
    assert content_of({"blocks": blocks("hello", (Button(id="b", label=""),))})


def test_a_text_that_fits_is_one_part():
    assert split_text("hello") == ["hello"]
    assert split_text("") == [""]


def test_long_code_is_split_with_its_fence_and_language():
    code = "\n".join(f"line {number} = {number * 7}" for number in range(2000))
    parts = split_text(f"Before.\n\n```python\n{code}\n```\n\nAfter.")
    assert len(parts) > 2
    assert all(units(part) <= TEXT_UNITS for part in parts)
    assert all(part.count("```") % 2 == 0 for part in parts)
    assert parts[1].startswith("```python\n")
    kept = "\n".join(line for part in parts for line in part.split("\n") if line.startswith("line"))
    assert kept == code


def test_length_is_counted_in_utf_16():
    parts = split_text("🙂" * 9000)
    assert len(parts) == 2
    assert "".join(parts) == "🙂" * 9000


def test_mentions_that_are_made_harmless_count():
    parts = split_text("<!channel> " * 1100)
    assert all(units(harmless(part)) <= TEXT_UNITS for part in parts)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.sampled_from(["<!channel>", "<@U1>", "@here", "**", "`", "```\n", "|", "&lt;", "\\", "a", "\n", "[", "](x)"])
    )
)
def test_no_mixture_of_markup_calls_anybody_or_is_refused(pieces):
    text = "".join(pieces)
    for form in (blocks(text), plain_blocks(text, ())):
        message = {"text": mrkdwn(text), "blocks": form}
        assert calls_in(message) == []
        assert calls_in({"text": message["text"]}) == []
        if form:
            content_of(message)


def test_a_room_takes_a_burst_and_then_two_messages_in_three_seconds():
    pace = Pace(interval_seconds=1.0, burst=4)
    assert [pace.wait_seconds("C1", 100.0) for _ in range(3)] == [0, 0, 0]
    assert pace.wait_seconds("C1", 100.0) == 1.5
    assert pace.wait_seconds("C1", 100.0) > PATIENCE_SECONDS
    assert pace.wait_seconds("C1", 103.0) <= 0.1
    assert pace.wait_seconds("C2", 100.0) == 0


def test_ten_seconds_of_a_full_channel_leave_room_for_a_command():
    pace = Pace(interval_seconds=1.0, burst=5)
    went = [tenth for tenth in range(100) if pace.wait_seconds("C1", 100.0 + tenth / 10) <= 0]
    assert len(went) <= 10
    assert pace.wait_seconds("C1", 110.0, control=True) == 0


def test_the_pace_of_an_unknown_server_is_learnt_from_its_complaints():
    pace = Pace(interval_seconds=1.0, burst=3, known=False)
    assert [pace.wait_seconds("C1", 100.0) for _ in range(50)] == [0.0] * 50
    pace.pause("C1", 130.0)
    assert pace.wait_seconds("C1", 101.0) == 29.0
    assert pace.wait_seconds("C2", 101.0) == 0.0
    assert [pace.wait_seconds("C1", 140.0) for _ in range(5)] == [0, 0, 1.0, 2.5, 2.5]
    assert [pace.wait_seconds("C1", 800.0) for _ in range(50)] == [0.0] * 50


def test_a_refused_turn_is_not_counted():
    pace = Pace(interval_seconds=1.0, burst=1)
    for _ in range(1000):
        pace.wait_seconds("C1", 100.0)
    assert pace.wait_seconds("C1", 103.5) == 0


def test_a_reply_to_a_command_goes_ahead_of_ten_thousand_others():
    pace = Pace(interval_seconds=1.0, burst=3)
    for _ in range(10_000):
        pace.wait_seconds("C1", 100.0)
    assert pace.wait_seconds("C1", 100.0, control=True) <= 1.5


def test_a_pause_holds_for_everything_in_that_room():
    pace = Pace(interval_seconds=1.0, burst=3)
    pace.pause("C1", 160.0)
    assert pace.wait_seconds("C1", 100.0) == 60.0
    assert pace.wait_seconds("C1", 100.0, control=True) == 60.0
    assert pace.wait_seconds("C2", 100.0) == 0
    assert pace.wait_seconds("C1", 160.0) == 0


def test_only_so_many_rooms_are_remembered():
    pace = Pace(interval_seconds=1.0, burst=1, rooms=2)
    for room in ("C1", "C2", "C3"):
        pace.wait_seconds(room, 100.0)
    assert pace.wait_seconds("C1", 100.0) == 0


def test_what_may_be_left_out_takes_no_turn_of_what_may_not():
    pace = Pace(interval_seconds=1.0, burst=5)
    assert [pace.take_spare("C1", 100.0) for _ in range(10)] == [True] * 3 + [False] * 7
    assert [pace.wait_seconds("C1", 100.0) for _ in range(3)] == [0, 0.5, 2.0]
    pace.pause("C2", 160.0)
    assert not pace.take_spare("C2", 100.0)
