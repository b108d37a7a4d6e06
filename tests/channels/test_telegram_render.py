"""Markdown as Telegram shows it, checked by the rules of the loopback server."""

from __future__ import annotations

import pytest

from channels.base import Attachment, Button, DeliveryKey, Outbound, ThreadRef
from channels.telegram.characters import utf16_units
from channels.telegram.live import preview
from channels.telegram.parts import keyboard, split
from channels.telegram.render import CAPTION_UNITS, TEXT_UNITS, Rendered, render, shorten
from tests.channels.markdown_corpus import corpus, kept
from tests.fakes.telegram.rules import check_keyboard, check_text

WHERE = ThreadRef(channel="telegram", room="42")  # type: ignore[arg-type]
FILE = Attachment(name="a.txt", media_type="text/plain", size_bytes=1, source="sha256:00")
BUTTON = Button(id="b", label="B")


def marked(markdown: str) -> list[tuple[str, str]]:
    """The entities, each with the text that it covers."""
    rendered = render(markdown)
    encoded = rendered.text.encode("utf-16-le")
    return [
        (each["type"], encoded[each["offset"] * 2 : (each["offset"] + each["length"]) * 2].decode("utf-16-le"))
        for each in rendered.entities
    ]


def outbound(text: str = "", **more) -> Outbound:
    return Outbound(key=DeliveryKey("k"), to=WHERE, text=text, **more)


@pytest.mark.parametrize(
    ("markdown", "text", "entities"),
    [
        ("plain", "plain", []),
        ("**a** *b* ~~c~~", "a b c", [("bold", "a"), ("italic", "b"), ("strikethrough", "c")]),
        ("||d|| `e`", "d e", [("spoiler", "d"), ("code", "e")]),
        ("# a **b**", "a b", [("bold", "a b")]),
        ("😀 **a**", "😀 a", [("bold", "a")]),
        ("# Title\ntext", "Title\n\ntext", [("bold", "Title")]),
        ("**a `b` c**", "a b c", [("bold", "a "), ("code", "b"), ("bold", " c")]),
        ("||a `b` c||", "a b c", [("spoiler", "a b c")]),
        ("[a `b`](https://e.org)", "a b", [("text_link", "a b")]),
        ("> a\n> **b**", "a\nb", [("blockquote", "a\nb"), ("bold", "b")]),
        ("> a\n>> b", "a\n\n› b", [("blockquote", "a\n\n› b")]),
        ("```python\nprint(1)\n```", "print(1)", [("pre", "print(1)")]),
        ("- a\n  1. b\n- c", "• a\n   1. b\n• c", []),
        ("7. a\n8. b", "7. a\n8. b", []),
        ("a\nb", "a\nb", []),
        ("a\n\n---\n\nb", "a\n\n———\n\nb", []),
        ("<b>a</b>", "<b>a</b>", []),
        ("![alt](https://e.org/i.png)", "alt", [("text_link", "alt")]),
        ("<https://e.org/x>", "https://e.org/x", []),
        ("[mail](mailto:a@e.org)", "mail (mailto:a@e.org)", []),
        ("a || b || c", "a || b || c", []),
    ],
)  # fmt: skip
def test_markdown_becomes_text_and_entities(markdown, text, entities):
    assert render(markdown).text == text
    assert marked(markdown) == entities


@pytest.mark.parametrize(
    ("quoted", "form"),
    [
        ("> short\n> quote", "blockquote"),
        ("> " + "long " * 120, "expandable_blockquote"),
        ("> line\n" * 9, "expandable_blockquote"),
    ],
)
def test_a_long_quote_is_folded(quoted, form):
    rendered = render(quoted + "\n\n**and more**")
    check_text(rendered.text, list(rendered.entities), TEXT_UNITS)
    assert [entity["type"] for entity in rendered.entities] == [form, "bold"]


def test_the_language_of_code_is_told():
    [entity] = render("```c++ title\nx\n```").entities
    assert entity["language"] == "c++"
    [entity] = render("```not\u202ea\nx\n```").entities
    assert "language" not in entity


@pytest.mark.parametrize(
    "markdown", ["@ada", "(@ada)", "**@**ada @ada", "/@ada", "[@ada](https://e.org)", "a@b @c_d", "x\n@ada"]
)
def test_nobody_is_called(markdown):
    text = render(markdown).text
    assert not any(text[index + 1 : index + 2].isalnum() and not text[index - 1 : index].isalnum()
                   for index, character in enumerate(text) if character == "@")  # fmt: skip


def test_addresses_and_mail_keep_their_at_signs():
    assert render("a@b.org https://e.org/@ada/1").text == "a@b.org https://e.org/@ada/1"


@pytest.mark.parametrize("address", ["tg://user?id=42", "javascript:alert(1)", "ftp://e.org"])
def test_only_web_addresses_become_links(address):
    rendered = render(f"[x](<{address}>)")
    assert rendered.entities == ()
    assert rendered.text.startswith("x (") or "javascript" in rendered.text


def test_a_small_table_is_aligned_and_a_wide_one_becomes_records():
    assert marked("| a | b |\n|---|---|\n| 1 | 日本 |") == [("pre", "a │ b\n──┼─────\n1 │ 日本")]
    wide = "| Name | Notes |\n|---|---|\n| x | " + "long " * 20 + "|\n| y | [l](https://e.org) |"
    assert render(wide).text == "Name: x\nNotes: " + ("long " * 20).strip() + "\n\nName: y\nNotes: l"
    assert ("text_link", "l") in marked(wide)


@pytest.mark.parametrize("markdown", ["```\n```", "\u200b", "[](https://e.org)", "&nbsp;", "**"])
def test_something_is_always_visible(markdown):
    assert render(markdown).text


def test_a_preview_shows_the_end_and_what_is_being_done():
    text = "**" + "😀" * 3000 + "** end"
    shown = preview(text, "asking  the\nweb")
    assert shown.text.startswith("…\n😀")
    assert shown.text.endswith("😀 end\n\nasking the web")
    assert TEXT_UNITS - 8 < utf16_units(shown.text) <= TEXT_UNITS
    check_text(shown.text, list(shown.entities), TEXT_UNITS)
    assert preview("", "thinking") == Rendered(
        text="thinking", entities=({"type": "italic", "offset": 0, "length": 8},)
    )


def test_shortening_keeps_entities_on_their_text():
    shown = shorten(render("**a** " * 1500 + "`end`"), 100)
    encoded = shown.text.encode("utf-16-le")
    for entity in shown.entities:
        covered = encoded[entity["offset"] * 2 : (entity["offset"] + entity["length"]) * 2].decode("utf-16-le")
        assert covered == ("a" if entity["type"] == "bold" else "end")
    assert shown.entities[-1]["type"] == "code"


# --- parts ---------------------------------------------------------------------------------------


def test_a_message_that_fits_is_one_part_as_it_is():
    for message in (
        outbound("x", buttons=(BUTTON,)),
        outbound("x", attachments=(FILE,)),
        outbound("", attachments=(FILE,) * 10),
    ):
        assert split(message) == (message,)


def test_buttons_and_files_ride_on_the_last_part():
    message = outbound("word " * 1500, attachments=(FILE,), buttons=(BUTTON,), reply_to="7")
    parts = split(message)
    assert [part.key for part in parts] == [f"k#{index}" for index in range(len(parts))]
    assert [part.reply_to for part in parts] == ["7"] + [None] * (len(parts) - 1)
    assert all(not part.buttons and not part.attachments for part in parts[:-1])
    assert (parts[-1].buttons, parts[-1].attachments) == ((BUTTON,), (FILE,))


def test_an_album_has_no_buttons_so_the_last_file_carries_them():
    parts = split(outbound("x", attachments=(FILE,) * 12, buttons=(BUTTON,)))
    assert [len(part.attachments) for part in parts] == [0, 10, 1, 1]
    assert [len(part.buttons) for part in parts] == [0, 0, 0, 1]


def test_a_text_that_is_too_long_for_a_caption_stands_alone():
    parts = split(outbound("word " * 300, attachments=(FILE,)))
    assert [(bool(part.text), len(part.attachments)) for part in parts] == [(True, 0), (False, 1)]


def test_code_is_closed_and_opened_again_with_its_language():
    parts = split(outbound("before\n\n```python\n" + "x = 1\n" * 1200 + "```\n\nafter"))
    assert len(parts) == 4
    for part in parts[1:-1]:
        [entity] = [each for each in render(part.text).entities if each["type"] == "pre"]
        assert entity["language"] == "python"


def test_short_labels_share_a_row():
    buttons = [Button(id=str(n), label=label) for n, label in enumerate(["Yes", "No", "Maybe", "x" * 30, ""])]
    markup = keyboard(buttons)["reply_markup"]
    assert [len(row) for row in markup["inline_keyboard"]] == [3, 1, 1]
    check_keyboard(markup)
    assert keyboard(()) == {}


@pytest.mark.slow
def test_five_hundred_documents_are_taken_and_arrive_whole():
    documents = corpus()
    assert len(documents) == 500
    losses = []
    for number, document in enumerate(documents):
        shown = []
        for part in split(outbound(document)):
            rendered = render(part.text) if part.text.strip() else Rendered(text="")
            if not rendered.fits(TEXT_UNITS):  # sent as a file
                assert part.text == document
                shown = [document]
                continue
            if part.text.strip():
                check_text(rendered.text, list(rendered.entities), TEXT_UNITS)
            shown.append(rendered.text)
        if kept(document, shown) < 0.999:
            losses.append((number, kept(document, shown), document[:60]))
    assert losses == []


def test_captions_are_counted_by_their_own_limit():
    fitting = "😀" * (CAPTION_UNITS // 2)
    assert len(split(outbound(fitting, attachments=(FILE,)))) == 1
    assert len(split(outbound(fitting + "😀", attachments=(FILE,)))) == 2
