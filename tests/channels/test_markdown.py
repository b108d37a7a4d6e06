"""The shared Markdown tree, and long texts divided along it."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from channels.markdown import display_width, grid, parse, plain, safe_cut, table_rows
from channels.split import divide, divided
from tests.channels.markdown_corpus import corpus, kept

FAMILY, FLAG, THUMB, ACCENT = "👩‍👩‍👧‍👦", "🇩🇪", "👍🏽", "e\u0301"


def types(text: str) -> list[str]:
    return [node.type for node in parse(text).walk()]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("||hidden||", True),
        ("a ||b|| c", True),
        ("||**bold** in it||", True),
        ("a || b || c", False),
        ("if (a||b) { x||y }", True),  # closed on both sides like emphasis: code belongs in backticks
        ("`a||b||c`", False),
        ("||", False),
        ("|| ||", False),
        ("||||", False),
        ("\\|\\|a||", False),
    ],
)
def test_a_spoiler_stands_close_to_what_it_hides(text, expected):
    assert ("spoiler" in types(text)) is expected


def test_raw_html_stays_text():
    assert plain(parse("<b>x</b>\n\n<div>\ny\n</div>")) == "<b>x</b>\n<div>\ny\n</div>"


def test_addresses_that_no_link_uses_are_not_lost():
    text = plain(parse("see [a]\n\n[a]: https://example.org/a\n[b]: https://example.org/b 'B'"))
    assert text == "see a\n[b]: https://example.org/b B"


def test_nesting_without_end_loses_nothing():
    for text in (">" * 300 + " deep", "- " * 200 + "deep", "*" * 300 + "deep" + "*" * 300, "[" * 20_000 + "deep"):
        assert "deep" in plain(parse(text))


def test_tables_are_rows_of_cells():
    table = parse("| a | b |\n|---|---|\n| 1 | **2** |").children[0]
    assert [[plain(cell) for cell in row] for row in table_rows(table)] == [["a", "b"], ["1", "2"]]


def test_a_grid_is_aligned_by_what_is_seen():
    assert grid([["a", "日本"], ["long", "x"], ["y"]]) == "a    │ 日本\n─────┼─────\nlong │ x\ny    │"
    assert grid([]) == ""
    assert [display_width(text) for text in ("ab", "日本", ACCENT, "a\u200b")] == [2, 4, 1, 1]


def test_one_long_cell_does_not_multiply_by_the_rows():
    rows = [["a", "b"], *[["x", "y"]] * 99, ["long " * 200, "z"]]
    assert len(grid(rows)) < 20_000 < 100 * 1000
    assert "long " * 200 + " │ z" in grid(rows)


@pytest.mark.parametrize("grapheme", [FAMILY, FLAG, THUMB, ACCENT, "\r\n", "ही"])
def test_no_cut_falls_inside_a_grapheme(grapheme):
    text = grapheme * 4
    assert {safe_cut(text, index) % len(grapheme) for index in range(len(grapheme), len(text))} == {0}


def test_a_run_of_joined_characters_can_still_be_cut():
    assert safe_cut("\u0301" * 50, 10) == 10


# --- dividing ------------------------------------------------------------------------------------


def parts(text: str, limit: int = 120) -> list[str]:
    divided_text = divide(text, len, limit)
    assert all(len(part) <= limit for part in divided_text)
    return divided_text


def test_a_text_that_fits_stays_as_it_is():
    assert parts("  **a**  \n") == ["  **a**  \n"]


def test_blocks_go_together_as_long_as_they_fit():
    assert parts("one\n\ntwo\n\n" + "x" * 115) == ["one\n\ntwo", "x" * 115]


def test_a_fence_is_closed_and_opened_again():
    code = parts("```python\n" + "line = 1\n" * 30 + "```")
    assert all(part.startswith("```python\n") and part.endswith("\n```") for part in code)
    assert "".join(part[10:-3] for part in code) == "line = 1\n" * 30


def test_a_fence_that_holds_fences_gets_a_longer_one():
    for part in parts("~~~~md\n" + "```\nx\n```\n" * 20 + "~~~~"):
        [node] = parse(part).children
        assert (node.type, node.info) == ("fence", "md")


def test_a_numbered_list_counts_on():
    numbered = parts("\n".join(f"1. item {number}" for number in range(30)))
    starts = [int(str(parse(part).children[0].attrs.get("start", 1))) for part in numbered]
    assert starts[0] == 1
    assert starts[1:] == [
        sum(part.count("item") for part in numbered[: index + 1]) + 1 for index in range(len(starts) - 1)
    ]


def test_a_table_repeats_its_header():
    for part in parts("| a | b |\n|---|---|\n" + "| value | other |\n" * 30):
        [table] = parse(part).children
        assert [plain(cell) for cell in table_rows(table)[0]] == ["a", "b"]


def test_a_quote_stays_quoted():
    for part in parts("> " + "quoted words and more of them. " * 20):
        assert [node.type for node in parse(part).children] == ["blockquote"]


def test_prose_is_cut_after_sentences_and_never_inside_a_link_or_emphasis():
    text = "One sentence here. " + "Another **bold claim** with [a long link](https://example.org/x). " * 12
    for part in parts(text):
        assert part.endswith(".")
        assert plain(parse(part)).count("*") == plain(parse(part)).count("[") == 0


def test_every_part_has_the_link_definitions_that_it_uses():
    text = "\n\n".join(f"Paragraph {number} with [link {number}][ref] in it." for number in range(10))
    for part in parts(text + "\n\n[ref]: https://example.org/x\n[unused]: https://example.org/unused"):
        links = [str(node.attrs["href"]) for node in parse(part).walk() if node.type == "link"]
        assert links.count("https://example.org/x") == plain(parse(part)).count("Paragraph")
    assert "https://example.org/unused" in part


def test_only_what_is_asked_for_is_divided():
    asked = 0

    def size(part: str) -> int:
        nonlocal asked
        asked += 1
        return len(part)

    assert 50 < len(next(divided("word " * 100_000, size, 100))) <= 100
    assert asked < 10


PIECES = (
    "# ", "> ", "- ", "* ", "1. ", "`", "```", "~~~", "|", "---|---", "[", "](", ")", "![", "**", "_", "~~", "||",
    "word", "longer words here", "é", "    ", "\n", "\n\n",
    "👍🏽", "<x>", "&", "@a", "\\", "https://e.org", "[r]: https://e.org",
)  # fmt: skip


@settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.sampled_from(PIECES), min_size=5, max_size=80).map("".join))
def test_any_text_is_divided_into_parts_that_fit_and_keep_its_letters(text):
    texts = divide(text, len, 60)
    assert all(len(part) <= 60 for part in texts)
    assert kept(text, [plain(parse(part)) for part in texts]) == 1.0


@pytest.mark.slow
def test_documents_of_all_kinds_are_divided_without_loss():
    for document in corpus()[::4]:
        texts = divide(document, len, 2000)
        assert all(len(part) <= 2000 for part in texts)
        assert kept(document, [plain(parse(part)) for part in texts]) >= 0.999, document[:80]
