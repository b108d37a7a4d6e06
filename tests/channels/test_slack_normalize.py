"""Slack's payloads, as its references and recordings show them, and what they mean to us."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from channels.base import ChannelName, Inbound, Kind, ThreadRef
from channels.slack.entities import readable, without_mention
from channels.slack.normalize import normalize
from channels.slack.pressed import HAND_OVER
from channels.slack.reader import Identity, Reader, order_of, people_in, room_of

NOW = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)
READER = Reader(
    channel=ChannelName("slack"),
    me=Identity(team="T1", user="UBOT", bot="BBOT"),
    names={"U1": "Ada"},
    commands=frozenset({"kill", "spawn"}),
)


def wrapped(event: dict[str, Any], event_id: str = "Ev1") -> dict[str, Any]:
    return {
        "token": "XXYYZZ",
        "team_id": "T1",
        "api_app_id": "A1",
        "event": event,
        "type": "event_callback",
        "authorizations": [{"enterprise_id": None, "team_id": "T1", "user_id": "UBOT", "is_bot": True}],
        "event_id": event_id,
        "event_time": 1234567890,
    }


def message(**more: Any) -> dict[str, Any]:
    event = {
        "type": "message",
        "channel": "C1",
        "user": "U1",
        "text": "Hello world",
        "ts": "1355517523.000005",
        "event_ts": "1355517523.000005",
        "channel_type": "channel",
        "team": "T1",
        "client_msg_id": "0837851c-2d34-4d4d-804c-7aed753c3421",
    }
    return wrapped(event | more)


def read(payload: dict[str, Any], reader: Reader = READER) -> list[Inbound]:
    return normalize(payload, reader, now=NOW)


def only(payload: dict[str, Any], reader: Reader = READER) -> Inbound:
    [event] = read(payload, reader)
    return event


def test_a_post_in_a_room_has_no_thread_and_its_ts_as_id():
    event = only(message())
    assert event.kind is Kind.MESSAGE
    assert event.where == ThreadRef(channel=ChannelName("slack"), space="T1", room="C1")
    assert event.where.key == "slack:T1/C1"
    assert (event.id, event.message_id) == ("message:C1/1355517523.000005", "1355517523.000005")
    assert (event.sender.account, event.sender.name, event.sender.is_bot) == ("slack:T1/U1", "Ada", False)
    assert event.sent_at == datetime(2012, 12, 14, 20, 38, 43, 5, tzinfo=UTC)
    assert not event.mentioned
    assert not event.direct


def test_a_reply_is_in_the_thread_of_its_root():
    event = only(message(thread_ts="1355517000.000001"))
    assert event.where.thread == "1355517000.000001"


def test_a_root_that_has_replies_is_still_a_post_of_the_room():
    event = only(message(thread_ts="1355517523.000005", reply_count=2, latest_reply="1355517600.000001"))
    assert event.where.thread is None


@pytest.mark.requirement("P3")
def test_message_and_app_mention_of_one_post_are_one_event():
    text = "<@UBOT> please look"
    as_message = only(message(text=text))
    mention = {"type": "app_mention", "user": "U1", "text": text, "ts": "1355517523.000005", "channel": "C1"}
    as_mention = only(wrapped(mention | {"event_ts": "1355517523.000005"}, "Ev2"))
    assert as_message == as_mention
    assert as_message.mentioned
    assert as_message.text == "please look"


def test_a_message_without_the_mention_is_not_addressed_to_the_bot():
    assert not only(message(text="<@U2> please look")).mentioned


def test_a_reply_under_the_bots_own_post_is_addressed_to_it():
    assert only(message(thread_ts="1355517000.000001", parent_user_id="UBOT")).mentioned
    assert not only(message(thread_ts="1355517000.000001", parent_user_id="U2")).mentioned


def test_a_direct_message_is_direct():
    event = only(message(channel="D7", channel_type="im"))
    assert event.direct
    assert not only(message(channel="G7", channel_type="mpim")).direct


@pytest.mark.parametrize(
    "own",
    [{"user": "UBOT"}, {"user": "UBOT", "bot_id": "BBOT"}, {"bot_id": "BBOT", "subtype": "bot_message", "user": None}],
)
def test_the_bot_does_not_hear_itself(own):
    assert read(message(**own)) == []


def test_another_bot_is_heard_as_a_bot():
    event = only(message(subtype="bot_message", user=None, bot_id="B9", username="CI"))
    assert (event.sender.account, event.sender.name, event.sender.is_bot) == ("slack:T1/B9", "CI", True)


@pytest.mark.parametrize(
    "subtype", ["channel_join", "channel_topic", "bot_add", "pinned_item", "message_replied", "reminder_add", "new_one"]
)
def test_notices_of_the_room_are_nothing(subtype):
    assert read(message(subtype=subtype)) == []


def test_a_reply_that_is_also_sent_to_the_room_belongs_to_its_thread():
    event = only(message(subtype="thread_broadcast", thread_ts="1355517000.000001", root={"ts": "1355517000.000001"}))
    assert event.where.thread == "1355517000.000001"


def test_files_become_attachments():
    event = only(
        message(
            subtype="file_share",
            text="",
            files=[
                {
                    "id": "F1",
                    "name": "tulip.jpg",
                    "mimetype": "image/jpeg",
                    "size": 1234,
                    "mode": "hosted",
                    "url_private": "https://files.slack.com/files-pri/T1-F1/tulip.jpg",
                    "url_private_download": "https://files.slack.com/files-pri/T1-F1/download/tulip.jpg",
                },
                {"id": "F2", "mode": "tombstone"},
                {"id": "F3", "mode": "hidden_by_limit"},
                {"id": "F4", "file_access": "check_file_info"},
            ],
        )
    )
    assert event.text == ""
    first, second = event.attachments
    assert (first.name, first.media_type, first.size_bytes) == ("tulip.jpg", "image/jpeg", 1234)
    assert first.source == "https://files.slack.com/files-pri/T1-F1/download/tulip.jpg"
    assert second.source == "file:F4"


def changed(before: dict[str, Any] | None, after: dict[str, Any]) -> dict[str, Any]:
    event = {
        "type": "message",
        "subtype": "message_changed",
        "hidden": True,
        "channel": "C1",
        "ts": "1358878755.000001",
    }
    event |= {"event_ts": "1358878755.000001", "channel_type": "channel", "message": after}
    return wrapped(event if before is None else event | {"previous_message": before}, "Ev7")


SAID = {"type": "message", "user": "U1", "text": "Hello world", "ts": "1355517523.000005"}


def test_an_edit_names_the_message_and_its_new_text():
    after = SAID | {"text": "Goodbye &amp; thanks", "edited": {"user": "U1", "ts": "1358878755.000001"}}
    event = only(changed(SAID, after | {"thread_ts": "1355517000.000001"}))
    assert (event.kind, event.id, event.message_id) == (
        Kind.EDIT,
        "edit:C1/1355517523.000005/1358878755.000001",
        "1355517523.000005",
    )
    assert event.text == "Goodbye & thanks"
    assert event.where.thread == "1355517000.000001"


def test_an_edit_without_the_message_before_counts_when_it_says_that_it_was_edited():
    after = SAID | {"text": "Hello, world!", "edited": {"user": "U1", "ts": "1358878755.000001"}}
    assert only(changed(None, after)).text == "Hello, world!"
    assert read(changed(None, SAID)) == []


def test_a_change_that_only_adds_a_preview_or_a_reply_count_is_nothing():
    unfurled = SAID | {"attachments": [{"from_url": "https://example.org", "text": "Example"}]}
    assert read(changed(SAID, unfurled)) == []
    assert read(changed(SAID, SAID | {"reply_count": 1, "thread_ts": SAID["ts"]})) == []


def test_the_bots_own_edits_are_nothing():
    own = SAID | {"user": "UBOT", "bot_id": "BBOT"}
    assert read(changed(own, own | {"text": "more", "edited": {"user": "UBOT", "ts": "1.0"}})) == []


def test_a_deletion_names_the_message():
    event = {
        "type": "message",
        "subtype": "message_deleted",
        "hidden": True,
        "channel": "C1",
        "ts": "1358878755.000001",
    }
    event |= {"deleted_ts": "1355517523.000005", "previous_message": SAID | {"thread_ts": "1355517000.000001"}}
    found = only(wrapped(event, "Ev8"))
    assert (found.kind, found.message_id, found.where.thread) == (Kind.DELETE, "1355517523.000005", "1355517000.000001")
    assert found.sender.account == "slack:T1/U1"


def test_a_root_with_replies_that_is_deleted_becomes_a_tombstone_and_counts_as_deleted():
    tombstone = {"type": "message", "subtype": "tombstone", "user": "USLACKBOT", "text": "This message was deleted."}
    found = only(changed(SAID, tombstone | {"ts": SAID["ts"], "thread_ts": SAID["ts"], "hidden": True}))
    assert (found.kind, found.message_id, found.text) == (Kind.DELETE, SAID["ts"], "")
    assert found.sender.account == "slack:T1/U1"


def test_a_deletion_without_the_message_before_still_names_it():
    event = {"type": "message", "subtype": "message_deleted", "channel": "C1", "deleted_ts": "1.5", "event_ts": "2.0"}
    assert only(wrapped(event)).message_id == "1.5"


@pytest.mark.parametrize(
    ("text", "more", "line"),
    [
        ("!kill all", {"thread_ts": "1355517000.000001"}, "/kill all"),
        ("<@UBOT> !steer faster", {}, "/steer faster"),
        ("!status", {"channel": "D7", "channel_type": "im"}, "/status"),
    ],
)
def test_text_with_an_exclamation_mark_is_a_command_where_slash_commands_do_not_work(text, more, line):
    event = only(message(text=text, **more))
    assert (event.kind, event.text) == (Kind.COMMAND, line)
    assert event.answer_with == (None if event.direct else "user:U1")


@pytest.mark.parametrize("text", ["!!!", "! wait", "well !kill", "!"])
def test_other_exclamation_marks_are_text(text):
    assert only(message(text=text, thread_ts="1.0")).kind is Kind.MESSAGE


def test_a_post_of_a_room_is_no_command():
    assert only(message(text="!kill all")).kind is Kind.MESSAGE


def slash(**more: str) -> dict[str, Any]:
    return {
        "token": "gIkuvaNzQIHg97ATvDxqgjtO",
        "team_id": "T1",
        "team_domain": "example",
        "channel_id": "C1",
        "channel_name": "general",
        "user_id": "U1",
        "user_name": "steve",
        "command": "/threadmill",
        "text": "kill all",
        "response_url": "https://hooks.slack.com/commands/1234/5678",
        "trigger_id": "13345224609.738474920.8088930838d88f008e0",
        "api_app_id": "A1",
    } | more


@pytest.mark.parametrize(
    ("command", "text", "line"),
    [
        ("/threadmill", "kill all", "/kill all"),
        ("/threadmill", "", "/help"),
        ("/threadmill", "/spawn research: &lt;this&gt;", "/spawn research: <this>"),
        ("/kill", "all", "/kill all"),
        ("/kill", "", "/kill"),
    ],
)
def test_slash_commands_come_in_the_one_grammar(command, text, line):
    event = only(slash(command=command, text=text))
    assert (event.kind, event.text) == (Kind.COMMAND, line)
    assert event.answer_with == "https://hooks.slack.com/commands/1234/5678"
    assert event.id == "command:13345224609.738474920.8088930838d88f008e0"
    assert event.where.thread is None


def interaction(**more: Any) -> dict[str, Any]:
    return {
        "type": "block_actions",
        "user": {"id": "U1", "username": "ada", "name": "ada", "team_id": "T1"},
        "api_app_id": "A1",
        "container": {"type": "message", "message_ts": "1500000001.000100", "channel_id": "C1", "is_ephemeral": False},
        "trigger_id": "12321423423.333649436676.d8c1bb837935619ccad0f624c448ffb3",
        "team": {"id": "T1", "domain": "example"},
        "channel": {"id": "C1", "name": "general"},
        "message": {"type": "message", "user": "UBOT", "ts": "1500000001.000100", "thread_ts": "1500000000.000001"},
        "response_url": "https://hooks.slack.com/actions/AABA1ABCD/1232321423432/D09sSasdasdAS9091209",
        "actions": [{"action_id": "b1", "block_id": "=qXel", "type": "button", "action_ts": "1548426417.840180"}],
    } | more


def test_a_press_of_a_button_carries_its_id_its_message_and_its_thread():
    event = only(interaction())
    assert (event.kind, event.payload, event.message_id) == (Kind.BUTTON, "b1", "1500000001.000100")
    assert event.where.thread == "1500000000.000001"
    assert event.sender.account == "slack:T1/U1"


def test_two_presses_are_two_events_and_one_press_delivered_twice_is_one():
    again = interaction(actions=[{"action_id": "b1", "type": "button", "action_ts": "1548426418.000001"}])
    assert only(interaction()).id == only(interaction()).id
    assert only(interaction()).id != only(again).id


def test_the_shortcut_in_a_messages_menu_spawns_an_agent_with_its_text():
    shortcut = interaction(
        type="message_action",
        callback_id=HAND_OVER,
        message_ts="1500000001.000100",
        message={"type": "message", "user": "U2", "ts": "1500000001.000100", "text": "the build &gt; 5 min"},
    )
    event = only(shortcut)
    assert (event.kind, event.text) == (Kind.COMMAND, "/spawn -- the build > 5 min")
    assert event.where.thread == "1500000001.000100"
    assert read(shortcut | {"callback_id": "somebody_elses"}) == []


def test_slacks_own_stop_button_is_the_stop_command_in_its_thread():
    stopped = {"type": "agent_session_stopped", "channel": "C1", "thread_ts": "1782234671.392669", "user": "U1"}
    event = only(wrapped(stopped | {"event_ts": "1783536983.783769", "streaming_message_ts": []}))
    assert (event.kind, event.text, event.where.thread) == (Kind.COMMAND, "/stop", "1782234671.392669")


def test_a_reaction_names_the_message_and_the_emoji():
    reaction = {"type": "reaction_added", "user": "U1", "reaction": "thumbsup", "event_ts": "1360782804.083113"}
    event = only(wrapped(reaction | {"item": {"type": "message", "channel": "C1", "ts": "1360782400.498405"}}))
    assert (event.kind, event.message_id, event.payload) == (Kind.REACTION, "1360782400.498405", "thumbsup")
    assert read(wrapped(reaction | {"user": "UBOT", "item": {"type": "message", "channel": "C1", "ts": "1.0"}})) == []


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("channel_archive", Kind.THREAD_ARCHIVED),
        ("group_archive", Kind.THREAD_ARCHIVED),
        ("channel_unarchive", Kind.THREAD_UNARCHIVED),
        ("channel_deleted", Kind.THREAD_DELETED),
    ],
)
def test_what_happens_to_a_room_is_told(kind, expected):
    event = only(wrapped({"type": kind, "channel": "C1", "user": "U1", "event_ts": "1361482916.000004"}))
    assert (event.kind, event.where.key) == (expected, "slack:T1/C1")


def test_a_room_that_gets_a_new_id_moves():
    moved = {"type": "channel_id_changed", "old_channel_id": "G1", "new_channel_id": "C9", "event_ts": "1.0"}
    event = only(wrapped(moved))
    assert (event.kind, event.where.room, event.payload) == (Kind.ROOM_MOVED, "G1", "C9")


@pytest.mark.parametrize(
    "payload",
    [
        {},
        {"type": "event_callback"},
        {"type": "event_callback", "event": {}},
        {"type": "event_callback", "event": {"type": "message"}},
        {"type": "event_callback", "event": {"type": ["message"]}},
        message(channel={"id": "C1"}),
        message(text=7),
        message(files="none"),
        message(ts=None),
        message(user=None),
        message(text=""),
        interaction(actions=[]),
        interaction(user={}),
        interaction(actions=[{"type": "static_select", "action_id": "s"}]),
        slash(channel_id=""),
        {"type": "view_submission", "view": {}},
        {"command": 5},
        changed(SAID, {}),
        wrapped({"type": "message", "subtype": "message_deleted", "channel": "C1"}),
        wrapped({"type": "reaction_added", "item": {"type": "file", "file": "F1"}}),
        wrapped({"type": "team_join", "user": {"id": "U5"}}),
    ],
)
def test_what_does_not_concern_us_or_cannot_be_read_is_nothing(payload):
    assert read(payload) == []
    assert isinstance(room_of(payload), str)
    assert isinstance(people_in(payload), frozenset)
    assert len(order_of(payload)) == 2


def test_unknown_fields_and_nulls_change_nothing():
    plain = only(message())
    odd = only(message(thread_ts=None, files=None, edited=None, blocks=[{"type": "new_kind"}], brand_new={"a": [1]}))
    assert odd == plain


@pytest.mark.parametrize("ts", ["", "nonsense", "99999999999999999999.1", "-5.0"])
def test_a_strange_timestamp_is_taken_for_now(ts):
    reaction = {"type": "reaction_added", "user": "U1", "reaction": "eyes", "event_ts": ts}
    event = only(wrapped(reaction | {"item": {"type": "message", "channel": "C1", "ts": "1.0"}}))
    assert event.sent_at == NOW


@pytest.mark.parametrize(
    ("slack", "text"),
    [
        ("1 &lt; 2 &amp;&amp; 3 &gt; 2", "1 < 2 && 3 > 2"),
        ("&amp;lt; stays", "&lt; stays"),
        ("<@U1> and <@U2> and <@U3|carl>", "@Ada and @U2 and @carl"),
        ("see <#C2|random> and <#C3>", "see #random and #C3"),
        ("<!here> <!channel> <!subteam^S1|@team> <!subteam^S2>", "@here @channel @team @S2"),
        ("<https://example.org>", "https://example.org"),
        ("<https://example.org|example.org>", "https://example.org"),
        ("<https://example.org/a?b=1&amp;c=2|the page>", "[the page](https://example.org/a?b=1&c=2)"),
        ("<mailto:ada@example.org|ada@example.org>", "ada@example.org"),
        ("<!date^1392734382^{date}|February 18>", "February 18"),
        ("a < b and c > d", "a < b and c > d"),
        ("```if a &lt; b:\n  pass```", "```if a < b:\n  pass```"),
    ],
)
def test_brackets_become_readable(slack, text):
    assert readable(slack, {"U1": "Ada"}) == text


@pytest.mark.parametrize(
    ("slack", "text"),
    [
        ("<@UBOT> hello", "hello"),
        ("<@UBOT>: hello", "hello"),
        ("hello <@UBOT|threadmill>, come", "hello come"),
        ("<@UBOT>", ""),
    ],
)
def test_the_mention_of_the_bot_is_taken_out(slack, text):
    assert without_mention(slack, "UBOT") == (text, True)


def test_a_mention_alone_still_arrives():
    event = only(message(text="<@UBOT>"))
    assert (event.text, event.mentioned) == ("", True)


def test_a_forwarded_message_is_read_when_it_stands_alone():
    forwarded = {"is_share": True, "from_url": "https://x.slack.com/archives/C1/p1", "text": "the original"}
    assert only(message(text="", attachments=[forwarded])).text == "the original"


def test_a_forwarded_message_follows_what_is_said_about_it_and_calls_nobody():
    forwarded = {"is_share": True, "from_url": "https://x.slack.com/archives/C1/p1", "text": "<@UBOT> help"}
    preview = {"from_url": "https://example.org", "text": "what the page says"}
    event = only(message(text="what is this?", attachments=[preview, forwarded]))
    assert (event.text, event.mentioned) == ("what is this?\n@UBOT help", False)


ALERT = {"subtype": "bot_message", "user": None, "bot_id": "B9", "text": "Alert: for notifications"}
RICH = {
    "type": "rich_text",
    "elements": [
        {
            "type": "rich_text_section",
            "elements": [
                {"type": "text", "text": "a < b, "},
                {"type": "link", "url": "https://example.org", "text": "see"},
                {"type": "text", "text": " "},
                {"type": "user", "user_id": "U1"},
                {"type": "emoji", "name": "fire"},
            ],
        },
        {
            "type": "rich_text_list",
            "style": "ordered",
            "indent": 1,
            "elements": [{"type": "rich_text_section", "elements": [{"type": "text", "text": "first"}]}],
        },
        {"type": "rich_text_preformatted", "elements": [{"type": "text", "text": "x = 1"}]},
        {"type": "rich_text_quote", "elements": [{"type": "text", "text": "so\nit is"}]},
        {"type": "a_new_one"},
    ],
}


@pytest.mark.parametrize(
    ("blocks", "text"),
    [
        ([{"type": "section", "text": {"type": "mrkdwn", "text": "*Disk* &lt;full&gt;"}}], "*Disk* <full>"),
        (
            [
                {"type": "header", "text": {"type": "plain_text", "text": "Incident"}},
                {"type": "divider"},
                {"type": "section", "fields": [{"text": "host: a"}, {"text": "disk: b"}]},
                {
                    "type": "context",
                    "elements": [{"type": "image", "alt_text": "red"}, {"type": "mrkdwn", "text": "now"}],
                },
                {"type": "actions", "elements": [{"type": "button", "text": {"text": "Ack"}}]},
            ],
            "Incident\nhost: a\ndisk: b\nred now",
        ),
        ([RICH], "a < b, [see](https://example.org) @Ada:fire:\n    1. first\n```\nx = 1\n```\n> so\n> it is"),
        ([{"type": "table", "rows": [[{"type": "raw_text", "text": "a"}, RICH["elements"][0]], "?"]}], "a | \n"),
        ([{"type": "markdown", "text": "# Hi"}], "# Hi"),
        ("nonsense", "Alert: for notifications"),
        (
            [None, 7, {"type": "section", "text": "?"}, {"type": "rich_text", "elements": [{}]}],
            "Alert: for notifications",
        ),
    ],
)
def test_what_an_app_posts_in_blocks_is_read_as_people_see_it(blocks, text):
    assert only(message(**ALERT, blocks=blocks)).text.strip() == text.strip()


def test_a_person_is_read_by_the_text_not_by_its_blocks():
    assert only(message(text="hello", blocks=[RICH])).text == "hello"
    assert only(message(text="", blocks=[{"type": "section", "text": {"text": "only blocks"}}])).text == "only blocks"


def test_older_attachments_of_apps_are_read_whole():
    attachment = {
        "pretext": "New ticket",
        "title": "Login fails",
        "title_link": "https://example.org/7",
        "text": "since &lt;noon&gt;",
        "fields": [{"title": "Priority", "value": "High"}, "?"],
        "fallback": "not this",
    }
    event = only(message(**ALERT | {"text": ""}, attachments=[attachment, {"fallback": "plain"}, 3]))
    assert event.text == "New ticket\n[Login fails](https://example.org/7)\nsince <noon>\nPriority: High\nplain"


def test_blocks_without_end_are_cut_off():
    endless: dict[str, Any] = {"type": "rich_text_list", "elements": []}
    for _ in range(50):
        endless = {"type": "rich_text_list", "elements": [endless]}
    section = {"type": "section", "text": {"text": "word " * 600}}
    event = only(message(**ALERT, blocks=[{"type": "rich_text", "elements": [endless]}, *[section] * 50]))
    assert 40_000 <= len(event.text) < 40_010


def test_people_of_other_workspaces_and_organisations_are_known_by_their_id_alone():
    shared = message(user="W9", user_team="T2", team="T2", source_team="T2", user_profile={"display_name": "Bob"})
    shared |= {"enterprise_id": "E1", "is_ext_shared_channel": True, "context_team_id": "T2", "team_id": "T2"}
    event = only(shared)
    assert (event.sender.account, event.sender.name, event.where.space) == ("slack:T1/W9", "Bob", "T1")
    renamed = Reader(channel=READER.channel, me=READER.me, names={"W9": "Robert"})
    assert only(shared, renamed).sender.account == event.sender.account
    assert only(shared, renamed).sender.name == "Robert"


def test_a_room_that_the_bot_was_taken_out_of_is_parked():
    left = {"type": "channel_left", "channel": "C1", "actor_id": "U2", "event_ts": "1360782804.083113"}
    event = only(wrapped(left))
    assert (event.kind, event.where.room, event.sender.account) == (Kind.THREAD_ARCHIVED, "C1", "slack:T1/U2")
