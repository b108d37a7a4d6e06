"""The page in a real Chromium: live, by keyboard, narrow and dark, without one error or policy violation."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import pytest_asyncio

from agents.base import SessionId
from tests.slices.harness import AGENTS, write_config
from tests.slices.harness import TOKEN as APPLICATION_TOKEN
from tests.slices.harness import running as application
from tests.web.rig import TOKEN, UPLOAD_BYTES, Rig, running

CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
]

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(not CHROMIUM.exists(), reason=f"there is no Chromium at {CHROMIUM}"),
]
PLACE = "web:/main/hello"


class Browser:
    """Opens pages, and remembers whatever went wrong on any of them."""

    def __init__(self, browser: Any, rig: Rig) -> None:
        self._browser = browser
        self._rig = rig
        self.trouble: list[str] = []

    async def open(
        self,
        path: str,
        *,
        width: int = 1440,
        height: int = 900,
        dark: bool = False,
        token: str = TOKEN,
        **more: Any,
    ) -> Any:
        scheme = "dark" if dark else "light"
        context = await self._browser.new_context(
            viewport={"width": width, "height": height}, color_scheme=scheme, reduced_motion="reduce", **more
        )
        page = await context.new_page()
        page.set_default_timeout(10_000)
        page.on("console", lambda told: self._console(told.type, told.text))
        page.on("pageerror", lambda error: self.trouble.append(str(error)))
        page.on("request", lambda request: self._request(request.url))
        sign = "&" if "?" in path else "?"
        await page.goto(f"{self._rig.url}{path}{sign}token={token}")
        assert token not in page.url
        return page

    def _console(self, kind: str, text: str) -> None:
        if kind in ("error", "warning"):
            self.trouble.append(text)

    def _request(self, url: str) -> None:
        if not url.startswith(self._rig.url):
            self.trouble.append(f"asked for {url}")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def chromium() -> AsyncIterator[Any]:
    """One Chromium for the whole file: starting it takes longer than any test."""
    from playwright.async_api import async_playwright

    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(executable_path=str(CHROMIUM), args=ARGUMENTS)
        yield chromium
        await chromium.close()


@pytest_asyncio.fixture(loop_scope="module")
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    async with running(tmp_path) as rig:
        yield rig


@pytest_asyncio.fixture(loop_scope="module")
async def browser(chromium: Any, rig: Rig) -> AsyncIterator[Browser]:
    browser = Browser(chromium, rig)
    yield browser
    for context in chromium.contexts:
        await context.close()
    assert browser.trouble == []


async def test_a_conversation_from_the_first_word_to_the_streamed_answer(rig: Rig, browser: Browser) -> None:
    page = await browser.open("/")
    await page.get_by_label("What should be done?").fill("Say hello to <b>Ada</b>")
    await page.keyboard.press("Enter")
    await page.wait_for_url(re.compile(r"/t/say-hello-to-b-ada-b-[0-9a-f]{4}"))
    place = rig.core.came[0].event.where.key
    await page.locator(".message.in .body", has_text="Say hello to <b>Ada</b>").wait_for()

    session = await rig.core.session("s1", place, state="running", doing="thinking")
    rig.hub.publish(session, "turn", {"turn": "t1"})
    rig.hub.publish(session, "tool", {"call_id": "c", "name": "web_fetch", "arguments": {"url": "https://x.example"}})
    await page.locator("#live .tool.running", has_text="web_fetch").wait_for()
    rig.hub.publish(session, "tool_done", {"call_id": "c", "name": "web_fetch", "error": False})
    rig.hub.publish(session, "taken", {"text": "and be nice", "by": "Ada", "what": "person"})
    await page.locator("#live .taken", has_text="and be nice").wait_for()
    rig.hub.publish(session, "text", {"text": "Hello **A"})
    rig.hub.publish(session, "text", {"text": "da**, welcome"})
    await page.locator("#live strong", has_text="Ada").wait_for()
    await page.locator("#facts h2", has_text="assistant-s1").wait_for()

    rig.hub.publish(session, "cost", {"cost_usd": 0.01, "tokens": 10})
    await rig.core.say(place, "Hello **Ada**, welcome", "k1", "s1")
    rig.hub.publish(session, "turn_done", {"outcome": "done"})
    await page.locator("#timeline .message.out strong", has_text="Ada").wait_for()
    await page.locator("#live .now").wait_for(state="detached")
    assert await page.locator("#scroll").get_by_text("welcome").count() == 1


async def test_what_is_sent_shows_once_and_is_sent_once(rig: Rig, browser: Browser) -> None:
    rig.core.answer = lambda stored: f"heard {stored.event.text}"
    page = await browser.open("/t/hello")
    box = page.locator("#text")
    for text in ("one", "two\nlines"):
        await box.fill(text)
        await box.press("Enter")
    await page.locator(".message.out", has_text="heard two").wait_for()
    await page.wait_for_function("document.querySelectorAll('.mine').length === 0")
    bodies = await page.locator("#timeline .message.in .body").all_inner_texts()
    assert [body.strip() for body in bodies] == ["one", "two\nlines"]
    assert [stored.event.text for stored in rig.core.came] == ["one", "two\nlines"]
    assert await box.input_value() == ""


async def test_a_lost_connection_is_said_and_nothing_is_lost(rig: Rig, browser: Browser) -> None:
    page = await browser.open("/t/hello")
    await rig.core.say(PLACE, "before", "k1")
    await page.locator(".message", has_text="before").wait_for()
    await page.context.set_offline(True)
    rig.hub.close()
    await page.locator(".connection.off", has_text="Offline").wait_for()
    rig.hub.closed = False
    await rig.core.say(PLACE, "meanwhile", "k2")
    await page.locator("#text").fill("kept text")
    await page.locator("#text").press("Enter")
    await page.locator(".toast", has_text="Your text is kept").wait_for()
    assert await page.locator("#text").input_value() == "kept text"
    await page.context.set_offline(False)
    await page.locator(".message", has_text="meanwhile").wait_for()
    assert await page.locator(".connection.off").count() == 0
    assert await page.locator(".message", has_text="before").count() == 1
    browser.trouble = [text for text in browser.trouble if "ERR_INTERNET_DISCONNECTED" not in text]


async def test_keys_lead_everywhere(rig: Rig, browser: Browser) -> None:
    await rig.core.say("web:/main/other", "there", "k0")
    await rig.core.session("s1", PLACE, state="running")
    await rig.core.say(PLACE, "here", "k1", "s1")
    page = await browser.open("/t/hello")
    box = page.locator("#text")
    await box.fill("/s")
    await page.locator("#palette li[aria-selected=true]", has_text="/spawn").wait_for()
    await box.press("ArrowDown")
    await box.press("Tab")
    assert await box.input_value() == "/steer "
    await box.fill("a draft")
    await box.press("Escape")
    await page.get_by_text("Esc once more stops the running turn").wait_for()
    await page.keyboard.press("Escape")
    await asyncio.wait_for(rig.core.arrived.wait(), 10)
    assert rig.core.came[0].event.text == "/stop s1"
    await page.evaluate("document.activeElement.blur()")
    await page.keyboard.press("?")
    await page.locator("#keys[open]").wait_for()
    await page.keyboard.press("Escape")
    await page.evaluate("document.activeElement.blur()")
    await page.keyboard.press("j")
    await page.wait_for_url("**/t/other")
    await page.evaluate("document.activeElement.blur()")
    await page.keyboard.press("k")
    await page.wait_for_url("**/t/hello")
    assert await box.input_value() == "a draft"
    await page.evaluate("document.activeElement.blur()")
    await page.keyboard.press("n")
    await page.wait_for_url("**/#new")


async def test_a_child_is_steered_opened_and_killed_from_the_tree(rig: Rig, browser: Browser) -> None:
    await rig.core.session("s1", PLACE, state="waiting")
    await rig.core.session("s2", label="researcher-1", parent="s1", root="s1", depth=1, state="running")
    page = await browser.open("/t/hello")
    rig.core.answer = lambda _: "Noted."
    await page.get_by_label("Steer, stop or kill researcher-1").click()
    await page.locator(".menu[open] .act summary", has_text="Steer").click()
    rig.hub.publish(SessionId("s2"), "state", {"state": "running"})  # the tree is drawn anew, and stays open
    await page.locator(".menu[open] .act[open] textarea").fill("look left")
    await page.locator(".menu[open] .act[open] form button").click()
    await page.locator("#timeline", has_text="Noted.").wait_for()
    assert rig.core.came.pop().event.text == "/steer s2 look left"
    await page.locator(".tree a", has_text="researcher-1").click()
    await page.wait_for_url("**/sessions/s2")
    await page.locator(".facts-body > .actions .act summary", has_text="Kill").click()
    await page.get_by_text("Ends researcher-1 and everything below it").wait_for()
    assert rig.core.came == []
    rig.core.answer = lambda _: "Killed **researcher-1**."
    await page.locator(".act[open] form button").click()
    await page.locator(".toast", has_text="Killed").wait_for()
    assert rig.core.came[0].event.text == "/kill s2"


async def test_other_threads_show_that_something_is_new(rig: Rig, browser: Browser) -> None:
    await rig.core.say("slack:T1/C2/1.5", "old", "k0")
    page = await browser.open("/t/hello")
    assert await page.locator(".row.unread").count() == 0
    await rig.core.say("slack:T1/C2/1.5", "news from Slack", "k1")
    await page.locator(".row.unread", has_text="news from Slack").wait_for()
    await page.wait_for_function("document.title.startsWith('(1)')")
    await page.locator(".row.unread").click()
    await page.wait_for_url("**/t/slack:**")
    await page.locator(".row.current").wait_for()
    assert await page.locator(".row.unread").count() == 0


@pytest.mark.parametrize(("width", "dark"), [(390, False), (390, True), (1024, True)])
async def test_narrow_and_dark(rig: Rig, browser: Browser, width: int, dark: bool) -> None:
    await rig.core.session("s1", PLACE, state="running")
    await rig.core.say(PLACE, "A table:\n\n|" + "column|" * 30 + "\n|" + "-|" * 30 + "\n\n" + "x" * 300, "k1", "s1")
    page = await browser.open("/t/hello", width=width, height=800, dark=dark)
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    ground = await page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(int(part) for part in re.findall(r"\d+", ground)) < 200) is dark
    await page.locator(".facts-open").click()
    await page.locator("#facts h2").wait_for()
    await page.locator("#facts .close").click()
    await page.locator("#facts h2").wait_for(state="hidden")
    if width < 760:
        await page.locator(".bar .open").first.click()
        await page.locator(".row.current").wait_for()
    await page.locator("[data-theme-toggle]").click()
    after = await page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert after != ground
    await page.reload()
    assert await page.evaluate("getComputedStyle(document.body).backgroundColor") == after


async def test_without_script_one_reads_and_writes(rig: Rig, browser: Browser) -> None:
    rig.core.answer = lambda stored: f"heard {stored.event.text}"
    page = await browser.open("/t/hello", java_script_enabled=False)
    await page.locator("#text").fill("plain")
    await page.get_by_role("button", name="Send").click()
    await page.wait_for_url("**/t/hello#end")
    await page.reload()
    assert await page.locator(".message.out", has_text="heard plain").count() == 1


async def test_every_page_opens_without_an_error(rig: Rig, browser: Browser) -> None:
    await rig.core.session("s1", PLACE, state="running")
    await rig.core.say(PLACE, "hello", "k1", "s1")
    page = await browser.open("/")
    for path in ("sessions", "sessions/s1", "deliveries", "monitors", "cost", "audit", "health", "threads", "t/hello"):
        await page.goto(f"{rig.url}/{path}")
        assert await page.locator("main h1").first.is_visible(), path
        unnamed = await page.evaluate(
            "[...document.querySelectorAll('a, button, input:not([type=hidden]), textarea')].filter(node =>"
            " !(node.textContent.trim() || node.getAttribute('aria-label') || node.title || node.labels?.length"
            " || node.getAttribute('aria-labelledby'))).length"
        )
        assert unnamed == 0, path


async def test_files_go_along_however_they_come_into_the_page(rig: Rig, browser: Browser, tmp_path: Path) -> None:
    page = await browser.open("/")
    notes = tmp_path / "notes.txt"
    notes.write_text("milk")
    large = tmp_path / "large.bin"
    large.write_bytes(b"x" * (UPLOAD_BYTES + 1))
    await page.get_by_label("Attach files").wait_for()
    await page.locator("#pick").set_input_files([notes, large])
    await page.locator("#uploads li.there", has_text="notes.txt").wait_for()
    await page.locator("#uploads li.failed", has_text="too large").wait_for()
    await page.locator("#text").press("Enter")
    assert rig.core.came == [], "what failed is not left out silently"
    await page.get_by_label("Remove large.bin").click()
    await page.locator("#text").press("Enter")
    await page.wait_for_url(re.compile(r"/t/notes-txt-[0-9a-f]{4}"))
    await page.locator(".message.in .files a", has_text="notes.txt").wait_for()
    assert [file.name for file in rig.core.came[0].event.attachments] == ["notes.txt"]

    await page.locator("#text").fill("look")
    await page.evaluate(
        """name => {
            const brought = new DataTransfer();
            brought.items.add(new File([new Uint8Array(2_000_000)], name, { type: "image/png" }));
            document.dispatchEvent(new DragEvent("dragover", { dataTransfer: brought, cancelable: true }));
            document.dispatchEvent(new DragEvent("drop", { dataTransfer: brought, cancelable: true }));
            document.querySelector("[data-composer]").requestSubmit();
        }""",
        "photo.png",
    )
    await page.locator("#timeline .message.in .files a", has_text="photo.png").wait_for()
    (photo,) = rig.core.came[1].event.attachments
    assert (rig.core.came[1].event.text, photo.size_bytes, photo.media_type) == ("look", 2_000_000, "image/png")
    assert await page.locator("#uploads li").count() == 0
    assert await page.locator("#text").input_value() == ""


async def test_a_question_is_answered_by_its_button(chromium: Any, tmp_path: Path) -> None:
    """The whole of Threadmill behind the page, as people start it."""
    agents = AGENTS.replace('tools = ["spawn", "send"]', 'tools = ["ask_human"]', 1)
    async with application(write_config(tmp_path, agents=agents)) as threadmill:
        rig: Any = SimpleNamespace(url=str(threadmill.client.base_url).rstrip("/"))
        browser = Browser(chromium, rig)
        page = await browser.open("/t/paint", token=APPLICATION_TOKEN)
        await page.locator("#text").fill('tool ask_human {"question": "Blue or red?", "choices": ["Blue", "Red"]}')
        await page.locator("#text").press("Enter")
        question = page.locator(".message.out", has_text="Blue or red?")
        await question.get_by_role("button", name="Red").click()
        await page.locator(".message.out", has_text="Answer from the owner: Red").wait_for()
        await question.get_by_text("Answered by the owner: Red").wait_for()
        assert await question.get_by_role("button").count() == 0
        await page.reload()
        assert await question.get_by_role("button").count() == 0
        assert browser.trouble == []
