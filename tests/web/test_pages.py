"""The pages without any script: everything can be read and done by plain forms, and nothing breaks out of its place."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from html.parser import HTMLParser
from urllib.parse import quote

import httpx
import pytest

from bot.web import markdown
from storage.database import Database
from tests.stored import MONITOR, US, add_session, hear, insert
from tests.web.rig import TOKEN, Rig

HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "'-alert(1)-'",
    "javascript:alert(1)",
    "</textarea><svg/onload=alert(1)>",
    "{{ 7*7 }}{% raw %}",
    "</script><script>alert(1)</script>",
    "\u202egnp.exe\u2066",
    "<!--<script>",
    "&lt;b&gt; &amp;amp;",
)
PAGES = ("/", "/sessions?state=all", "/deliveries", "/monitors", "/cost", "/audit", "/health", "/threads")


class Shape(HTMLParser):
    """What a browser would make of it: the elements, and whether anything would run."""

    allowed = frozenset(
        re.findall(
            r"\w+",
            """html head meta title link script body a nav header img b ul li span div section h1 h2 h3 h4 h5 h6 p
            footer button main article strong time form input textarea label details summary aside dl dt dd dialog kbd
            small code pre table thead tbody tr th td i em s ol br blockquote hr progress""",
        )
    )

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def check(self, own_images: bool = True) -> None:
        for tag, attributes in self.elements:
            assert tag in self.allowed, tag
            for name, value in attributes.items():
                assert not name.startswith("on"), (tag, name)
                assert name != "style", tag
                if name in ("href", "src", "action"):
                    assert re.match(r"(/(?!/)|#|\?|https?:|mailto:)", value or ""), (tag, value)
            if tag == "script":
                assert (attributes.get("src") or "").startswith("/static/") or attributes.get(
                    "type"
                ) == "application/json"
            if tag == "img":
                assert own_images
                assert (attributes.get("src") or "").startswith("/static/")


@pytest.fixture
async def page(rig: Rig) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"accept": "text/html", "origin": rig.url}
    async with httpx.AsyncClient(base_url=rig.url, headers=headers, timeout=20, follow_redirects=True) as client:
        assert (await client.get("/", params={"token": TOKEN})).status_code == 200
        yield client


async def poison(database: Database, text: str) -> str:
    """The same hostile text in every field that a page shows. Returns a place."""
    place = f"slack:T/{quote(text, safe='')}/{quote(text, safe='')}"

    def work(tx) -> None:
        fields = {"label": text, "agent": text, "owner": text, "owner_name": text, "task": text, "model": text}
        ends = {"doing": text, "result": text, "home": place}
        add_session(tx, "s1", state="running", **fields, **ends)
        add_session(tx, "s2", parent="s1", root="s1", depth=1, **{**fields, "label": text + "2"}, doing=text)
        insert(tx, "bindings", place=place, session="s1", created_at=US)
        files = [{"name": text, "media_type": text, "size_bytes": 5, "source": "sha256:" + "0" * 64}]
        import json

        hear(tx, text, "e1", place, sender_name=text, account=text, attachments=json.dumps(files))
        hear(tx, "/" + text, "e2", place, sender_name=text, kind="command", state="refused", decision=text)
        body = json.dumps({"buttons": [[text, text, True]], "attachments": files})
        for number, state in enumerate(("sent", "pending", "dead", "unknown")):
            values = {"key": f"{text}{number}", "lane": place, "place": place, "session": "s1", "text": text}
            n = insert(tx, "deliveries", **values, state=state, body=body, error=text, created_at=US)
            if state == "sent":
                insert(tx, "timeline", place=place, delivery=n, at=US)
        mail = {"mail": [{"n": 1, "kind": text, "text": text, "name": text}]}
        blocks = {"blocks": [{"text": text}, {"name": text, "arguments": {text: text}}]}
        result = {"call_id": "c", "name": text, "text": text, "error": True}
        call = {"call_id": "c", "name": text, "arguments": {text: text}}
        kinds = {"input": mail, "model": blocks, "result": result, "call": call, "note": {"text": text}, "summary": {}}
        for kind, step in kinds.items():
            step_body = json.dumps(step)
            insert(tx, "steps", session="s1", kind=kind, body=step_body, model=text, started_at=US, ended_at=US)
        insert(tx, "monitors", name=text, definition=MONITOR, source=text, anchor_at=US, changed_at=US, last_error=text)
        words = {"actor": text, "action": text, "resource": text, "hash": text}
        insert(tx, "audit", at=US, detail=json.dumps({text: text}), previous="", **words)
        insert(tx, "spending", day="2099-01-01", agent=text, account=text, model=text, calls=1, tokens=1, cost_nano=1)

    await database.write(work)
    return place


@pytest.mark.parametrize("text", [" ".join(HOSTILE), "".join(reversed(HOSTILE)), HOSTILE[1], HOSTILE[6]])
async def test_hostile_text_in_any_field_stays_text(rig: Rig, page: httpx.AsyncClient, text: str) -> None:
    place = await poison(rig.database, text)
    rig.hub.publish("s1", "tool", {"call_id": "c", "name": text, "arguments": {text: text}})  # type: ignore[arg-type]
    rig.hub.publish("s1", "text", {"text": text})  # type: ignore[arg-type]
    for path in (*PAGES, f"/t/{quote(place, safe='')}", f"/t/{quote(place, safe='')}/facts", "/sessions/s1"):
        answer = await page.get(path)
        assert answer.status_code == 200, (path, answer.text[:300])
        Shape(answer.text).check()
        assert "49" not in re.findall(r"\{\{.*?\}\}|\b49\b", answer.text)
    from bot.web import fragments

    live = fragments.live(rig.hub, "s1", text)  # type: ignore[arg-type]
    Shape(live).check(own_images=False)
    for row in await rig.views.messages(place):
        Shape(str(fragments.message(row)["html"])).check(own_images=False)


@pytest.mark.parametrize(
    ("text", "shown", "hidden"),
    [
        ("[x](javascript:alert(1))", "javascript:alert(1)", "href"),
        ("[x](data:text/html,<script>1</script>)", "data:text/html", "href"),
        ("[x](vbscript:a)", "vbscript", "href"),
        ("<javascript:alert(1)>", "javascript:alert(1)", "href"),
        ("![x](http://evil.example/pixel.png)", 'href="http://evil.example/pixel.png"', "<img"),
        ("<b onclick=x>b</b>", "&lt;b onclick=x&gt;", "<b"),
        ('```a"><script>\nx\n```', "a&quot;&gt;&lt;script&gt;", "<script"),
        ('[a](http://x.example/"onclick="y)', "onclick", 'onclick="'),
        ("| a |\n|:-:|\n| b |", 'class="center"', "style"),
        ("||secret||", 'class="spoiler"', "||"),
        ("[x]: javascript:alert(1)\n\n[x]", "x", 'href="javascript'),
    ],
)
def test_markdown_is_rendered_without_anything_that_runs(text: str, shown: str, hidden: str) -> None:
    html = markdown.render(text)
    assert shown in html
    assert hidden not in html
    Shape(html).check(own_images=False)


def test_markdown_is_rendered_as_people_mean_it() -> None:
    assert markdown.render("a\nb") == "<p>a<br>b</p>"
    assert markdown.render("# Big") == "<h3>Big</h3>"
    assert markdown.render("3. x\n4. y") == '<ol start="3"><li>x</li><li>y</li></ol>'
    assert '<span class="language">python</span>' in markdown.render("```python\nx = 1\n```")
    assert markdown.render("[a](https://example.org)") == (
        '<p><a href="https://example.org" rel="noopener noreferrer nofollow" target="_blank">a</a></p>'
    )


async def test_a_thread_is_begun_read_and_written_by_forms_alone(rig: Rig, page: httpx.AsyncClient) -> None:
    rig.core.answer = lambda stored: f"**heard** {stored.event.text}"
    begun = await page.post("/threads", data={"text": "Compare tea and coffee,\r\nplease", "id": "i1"})
    assert begun.status_code == 200
    assert re.fullmatch(r"/t/compare-tea-and-coffee-please-[0-9a-f]{4}", begun.url.path)
    assert rig.core.came[0].event.text == "Compare tea and coffee,\nplease"
    await rig.answered()
    again = await page.get(begun.url.path)
    assert "<strong>heard</strong>" in again.text
    sent = await page.post(f"{begun.url.path}/messages", data={"text": "more", "id": "i2"})
    assert sent.url.path == begun.url.path
    await page.post(f"{begun.url.path}/messages", data={"text": "more", "id": "i2"})
    assert [stored.event.text for stored in rig.core.came] == ["Compare tea and coffee,\nplease", "more"]


async def test_names_that_are_hard_to_write_lead_to_their_thread(rig: Rig, page: httpx.AsyncClient) -> None:
    for name in ("a/b", "a b", "50%", "a:b", "ü?#&", "../x", "..", "."):
        answer = await page.post("/threads", data={"text": "hi", "name": name, "id": quote(name)})
        assert answer.status_code == 200, name
        assert rig.core.came[-1].event.where.thread == name
        row = (await rig.views.places())[0]
        assert (await page.get(f"/t/{quote(row.place, safe='')}")).status_code == 200


async def test_the_buttons_of_a_session_become_commands_in_the_thread(rig: Rig, page: httpx.AsyncClient) -> None:
    await rig.core.session("s1", "web:/main/hello", state="running")
    for command, text in (("steer", "left,\r\nthen right"), ("send", "hello"), ("stop", ""), ("kill", "")):
        fields = {"command": command, "session": "s1", "text": text, "place": "web:/main/hello"}
        answer = await page.post("/command", data=fields)
        assert answer.url.path == "/t/hello"
    texts = [(stored.event.where.key, stored.event.kind.value, stored.event.text) for stored in rig.core.came]
    assert texts == [
        ("web:/main/hello", "command", "/steer s1 left,\nthen right"),
        ("web:/main/hello", "command", "/send s1 hello"),
        ("web:/main/hello", "command", "/stop s1"),
        ("web:/main/hello", "command", "/kill s1"),
    ]
    for fields in ({"command": "approve", "session": "s1"}, {"command": "kill", "session": "a b"}, {"x": "y"}):
        assert (await page.post("/command", data=fields)).status_code == 422


async def test_beside_a_platforms_thread_commands_are_said_at_the_desk(rig: Rig, page: httpx.AsyncClient) -> None:
    place = "slack:T1/C2/1.5"
    await rig.core.session("s1", place)
    await rig.core.say(place, "Hello", "k1", "s1")
    answer = await page.post(f"/t/{quote(place, safe='')}/messages", data={"text": "from the page", "id": "i"})
    assert answer.url.path == "/t/slack:T1/C2/1.5"
    assert rig.core.came[0].event.where.key == "web:/main/desk"
    assert rig.core.came[0].event.text == "/send s1 from the page"
    asked = {"accept": "application/json"}
    done = await page.post("/command", data={"command": "stop", "session": "s1", "place": place}, headers=asked)
    assert (done.status_code, done.json()["thread"]) == (202, "desk")
    assert (await page.post("/t/slack:T1%2FC9%2F9/messages", data={"text": "x"})).status_code == 409


async def test_a_button_under_a_message_is_pressed_by_a_form(rig: Rig, page: httpx.AsyncClient) -> None:
    body = '{"buttons": [["b1", "Yes", false]]}'
    await rig.core.say("web:/main/hello", "Go on?", "k1", body=body)
    assert 'value="b1"' in (await page.get("/t/hello")).text
    await page.post("/t/hello/button", data={"button": "b1"})
    event = rig.core.came[0].event
    assert (event.kind.value, event.payload, event.where.key) == ("button", "b1", "web:/main/hello")


async def test_long_threads_and_histories_go_page_by_page(rig: Rig, page: httpx.AsyncClient) -> None:
    await rig.core.session("s1", "web:/main/hello")
    for number in range(130):
        await rig.core.say("web:/main/hello", f"message-{number}.", f"k{number}", "s1")
    seen: list[str] = []
    path = "/t/hello"
    while True:
        text = (await page.get(path)).text
        seen = re.findall(r"message-(\d+)\.</p>", text) + seen
        earlier = re.search(r'href="(\?before=\d+)"', text)
        if earlier is None:
            break
        path = f"/t/hello{earlier[1]}"
    assert seen == [str(number) for number in range(130)]


async def test_failures_are_pages_for_people(rig: Rig, page: httpx.AsyncClient) -> None:
    for path, status, says in (
        ("/nothing", 404, "nothing at /nothing"),
        ("/sessions/nobody", 404, "No session is called"),
        ("/t/:", 400, "is not a place"),
        ("/t/hello?before=x", 400, "whole number"),
    ):
        answer = await page.get(path)
        assert answer.status_code == status, path
        assert says in answer.text.replace("&#39;", "'")
        assert answer.headers["content-type"].startswith("text/html")
        Shape(answer.text).check()
    assert (await page.post("/threads", content=b"\xff", headers={"content-type": "text/plain"})).status_code == 415
    too_long = await page.post("/threads", data={"text": "x" * 100_001})
    assert too_long.status_code == 422


async def test_dead_letters_are_tried_again_from_the_page(rig: Rig, page: httpx.AsyncClient) -> None:
    assert (await page.post("/deadletters/7/retry")).url.path == "/deliveries"
    assert (await page.post("/deadletters/8/drop")).status_code == 404
    assert (await page.post("/deadletters/7/explode")).status_code == 404
    assert rig.letters.asked == [("retry", "7"), ("drop", "8")]


async def test_empty_pages_teach(page: httpx.AsyncClient) -> None:
    assert "This is a rehearsal" in (await page.get("/")).text
    assert "/spawn agent task" in (await page.get("/sessions")).text
    assert "[[monitors]]" in (await page.get("/monitors")).text
    assert "Nothing said here yet" in (await page.get("/t/new-one")).text
