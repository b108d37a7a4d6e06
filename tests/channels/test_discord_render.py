"""Discord's dialect of Markdown, and long texts in parts."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from channels.base import Attachment, Button, ChannelName, DeliveryKey, Outbound, ThreadRef
from channels.discord import render as render_module
from channels.discord.render import render, units
from channels.discord.speaker import shown_text
from channels.discord.split import MESSAGE_UNITS, file_content, pieces, split
from tests.channels.markdown_corpus import corpus, kept
from tests.fakes.discord.rules import check_message

ROOM = ThreadRef(channel=ChannelName("discord"), space="1", room="2")
FILE = Attachment(name="a.txt", media_type="text/plain", size_bytes=1, source="sha256:00")


def message(text: str, **more: object) -> Outbound:
    return Outbound(key=DeliveryKey("k"), to=ROOM, text=text, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("markdown", "shown"),
    [
        ("**bold** *it* ~~no~~ ||hidden||", "**bold** *it* ~~no~~ ||hidden||"),
        ("__bold__ _it_", "**bold** *it*"),  # two underscores would underline
        ("### three\n#### four", "### three\n\n**four**"),
        ("a\nb", "a\nb"),
        ("[text](https://e.org/a_(b))", "[text](https://e.org/a_%28b%29)"),
        ("[here](/path) [mail](mailto:a@b.c)", "here (/path) mail (mailto:a@b.c)"),
        ("![alt](https://e.org/i.png)", "[alt](https://e.org/i.png)"),
        ("https://e.org/a_b*c_d", "https://e.org/a_b*c_d"),
        ("2 * 3 \\_x\\_ snake_case", "2 \\* 3 \\_x\\_ snake_case"),
        ("\\# one\n\\-# two\n\\> three\n1\\. four", "\\# one\n\\-# two\n\\> three\n1\\. four"),
        ("---", "───"),
        ("- a\n  - b\n\n1) c", "- a\n  - b\n\n1. c"),
        ("> a\n>\n> b", "> a\n> \n> b"),
        ("```py\nx = '''```'''\n```", None),
        ("| a | b |\n|---|---|\n| 1 | 2 |", "```\na │ b\n──┼──\n1 │ 2\n```"),
        ("| a |\n|---|\n| [x](https://e.org) |", "- **a**: [x](https://e.org)"),
        ("<b>raw</b> &lt;i&gt;", "<b>raw</b> <i>"),
        ("- x\n\n  ```sh\n  ls\n  ```\n- y", "- x\n\n```sh\nls\n```\n\n- y"),
    ],
)
def test_markdown_is_shown_in_discords_dialect(markdown: str, shown: str | None) -> None:
    rendered = render(markdown)
    if shown is not None:
        assert rendered == shown
    assert render(rendered) == rendered


@given(st.text(st.sampled_from("aZé日 .,:;-+=()1/\\'\"@%"), min_size=1, max_size=30))
def test_the_short_way_for_plain_lines_shows_what_the_long_way_shows(text: str) -> None:
    blocks = render_module.blocks(text)
    assert render(text) == "".join(
        (block.gap if number else "") + render_module.block_text(block) for number, block in enumerate(blocks)
    )


def test_a_fence_inside_code_does_not_end_the_code() -> None:
    assert render("````\n```\ninner\n```\n````").count("```") == 2


def test_an_empty_fence_is_still_a_fence() -> None:
    assert render("```\n```") == "```\n \n```"


def test_a_message_that_fits_is_one_part_as_it_is() -> None:
    short = message("a" * 2000)
    assert split(short) == (short,)


def test_parts_carry_numbered_keys_and_the_last_one_carries_what_hangs_on() -> None:
    parts = split(message("word " * 900, attachments=(FILE,), buttons=(Button(id="b", label="B"),), reply_to="7"))
    assert [part.key for part in parts] == ["k#0", "k#1", "k#2"]
    assert [len(part.attachments) + len(part.buttons) for part in parts] == [0, 0, 2]
    assert [part.reply_to for part in parts] == ["7", None, None]


def test_fences_are_closed_and_opened_again_with_their_language() -> None:
    parts = split(message("intro\n\n```python\n" + "x = 1  # comment\n" * 200 + "```\n\nend"))
    assert len(parts) == 2
    assert parts[0].text.startswith("intro\n\n```python\n")
    assert all(part.text.count("```") == 2 for part in parts)
    assert parts[1].text.startswith("```python\nx = 1")
    assert parts[1].text.endswith("end")


def test_links_and_emphasis_are_whole_in_each_part() -> None:
    linked = " ".join(f"[number {n}](https://example.org/{n})" for n in range(120))
    for part in split(message(f"**{'bold ' * 300}end** {linked}")):
        assert part.text.count("**") % 2 == 0
        assert part.text.count("[") == part.text.count("](https://example.org/") == part.text.count(")")


def test_graphemes_are_whole_in_each_part() -> None:
    family = "👨‍👩‍👧‍👦"
    parts = pieces(family * 400, MESSAGE_UNITS)
    assert len(parts) > 1
    assert all(set(part.replace(family, "")) == set() for part in parts)


def test_a_quote_stays_a_quote_in_each_part() -> None:
    for part in split(message("> " + "word " * 900)):
        assert part.text.startswith("> ")


def test_what_would_be_many_messages_is_one_with_a_file() -> None:
    text = "paragraph " * 100 + "\n\n"
    (only,) = split(message(text * 12, attachments=(FILE,)))
    assert units(render(only.text)) <= MESSAGE_UNITS
    assert only.key == "k#0"
    assert [attachment.name for attachment in only.attachments] == ["message.md", "a.txt"]
    assert file_content(only.attachments[0]) == (text * 12).encode()


def test_an_answer_to_an_interaction_is_always_one_message() -> None:
    (only,) = split(message("word " * 900, answer_with="command/1/2/3/token"))
    assert only.attachments[0].media_type == "text/markdown"


_WORDS = st.sampled_from(
    [
        "word",
        "two words",
        "ünïcødé",
        "日本語のテキスト",
        "👩‍💻",
        "a*b",
        "snake_case_name",
        "C:\\path",
        "x" * 2100,
        "||",
        "~",
        "`",
    ]
)
_INLINE = st.one_of(
    _WORDS,
    st.builds("**{}**".format, _WORDS),
    st.builds("*{}*".format, _WORDS),
    st.builds("[{}](https://example.org/a_b)".format, _WORDS),
    st.builds("`{}`".format, _WORDS),
    st.builds("@{} <@1234>".format, _WORDS),
)
_LINE = st.lists(_INLINE, min_size=1, max_size=12).map(" ".join)
_BLOCK = st.one_of(
    _LINE,
    st.builds("{} {}".format, st.sampled_from(["#", "##", "####", "-", "1.", ">", "> >", "- -", "-#", "+"]), _LINE),
    st.lists(_LINE, min_size=1, max_size=40).map(lambda lines: "```python\n" + "\n".join(lines) + "\n```"),
    st.lists(_LINE, min_size=1, max_size=8).map(lambda lines: "\n".join(f"- {line}\n  - {line}" for line in lines)),
    st.builds("| a | b |\n|---|---|\n| {} | {} |".format, _WORDS, _WORDS),
)
_DOCUMENT = st.lists(_BLOCK, min_size=1, max_size=12).map("\n\n".join)


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(_DOCUMENT)
def test_every_part_of_any_document_is_taken_by_discord_and_no_text_is_lost(document: str) -> None:
    parts = pieces(document, MESSAGE_UNITS)
    for part in parts:
        check_message({"content": part})
    assert kept(document, parts) >= 0.999


@settings(max_examples=40, deadline=None)
@given(st.text(max_size=6000))
def test_any_text_at_all_is_taken(text: str) -> None:
    for part in split(message(text or "x")):
        assert units(shown_text(part)) <= MESSAGE_UNITS


@pytest.mark.slow
def test_a_corpus_of_500_documents_is_taken_whole() -> None:
    """None refused, and 99.9% of what can be read is kept."""
    shares = []
    for document in corpus():
        parts = split(message(document))
        for part in parts:
            if document.strip():
                check_message({"content": shown_text(part)})
        files = [file_content(attachment) for part in parts for attachment in part.attachments]
        shown = [content.decode() for content in files if content] or [shown_text(part) for part in parts]
        shares.append(kept(document, shown))
    assert sum(shares) / len(shares) >= 0.999


def test_a_source_that_is_longer_than_what_it_shows_is_one_part_that_fits() -> None:
    (only,) = split(message("**a** " * 100 + "\n\n" + "[x](https://e.org)  \n" * 10 + "&amp;" * 400))
    assert units(only.text) <= MESSAGE_UNITS
    assert only.key == "k#0"
