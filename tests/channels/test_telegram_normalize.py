"""Recorded updates of Telegram, and what they mean."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from channels.base import ChannelName, Inbound, Kind, ThreadRef
from channels.telegram.chains import Chains
from channels.telegram.normalize import Me, normalize
from channels.telegram.payloads import Update
from channels.telegram.polling import read_updates

NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
ME = Me(id=5000000001, username="Threadmill_Bot", has_topics=True)
ADA = {
    "id": 42,
    "is_bot": False,
    "first_name": "Ada",
    "last_name": "Lovelace",
    "username": "ada",
    "language_code": "en",
}
BOT = {"id": 5000000001, "is_bot": True, "first_name": "Threadmill", "username": "Threadmill_Bot"}
PRIVATE = {"id": 42, "first_name": "Ada", "type": "private"}
FORUM = {"id": -1002000000001, "title": "Team", "is_forum": True, "type": "supergroup"}
GROUP = {"id": -3001, "title": "Friends", "type": "group", "all_members_are_administrators": True}


def read(**update: Any) -> Inbound | None:
    raw = json.loads(json.dumps({"update_id": 731, **update}))
    return normalize(Update.model_validate(raw), channel=ChannelName("telegram"), me=ME, now=NOW)


def message(chat: dict[str, Any] = PRIVATE, **content: Any) -> dict[str, Any]:
    return {"message_id": 17, "from": ADA, "chat": chat, "date": 1_790_000_000, **content}


def said(chat: dict[str, Any] = PRIVATE, **content: Any) -> Inbound:
    event = read(message=message(chat, **content))
    assert event is not None
    return event


def test_a_private_message_is_direct_and_has_the_updates_id():
    event = said(text="hello")
    assert event == Inbound(
        id=event.id,
        kind=Kind.MESSAGE,
        where=event.where,
        sender=event.sender,
        text="hello",
        sent_at=datetime.fromtimestamp(1_790_000_000, UTC),
        message_id="17",
        direct=True,
    )
    assert event.id == "update:731"
    assert event.where.key == "telegram:42"
    assert (event.sender.account, event.sender.name, event.sender.is_bot) == ("telegram:42", "Ada Lovelace", False)


def test_the_accounts_prefix_is_the_channels_name():
    update = Update.model_validate({"update_id": 1, "message": message(text="x")})
    event = normalize(update, channel=ChannelName("family"), me=ME, now=NOW)
    assert event is not None
    assert (event.sender.account, event.where.key) == ("family:42", "family:42")


def test_a_topic_is_a_thread_and_general_is_the_room():
    topic = said(FORUM, text="x", message_thread_id=9, is_topic_message=True)
    general = said(FORUM, text="x", message_thread_id=1, is_topic_message=True)
    assert topic.where.key == "telegram:/-1002000000001/9"
    assert general.where.key == said(FORUM, text="x").where.key == "telegram:-1002000000001"


def test_a_topic_in_a_private_chat_is_a_thread():
    event = said(PRIVATE, text="x", message_thread_id=5, is_topic_message=True)
    assert event.where.key == "telegram:/42/5"
    assert event.direct


def test_a_topic_is_known_without_its_flag_where_it_can_be():
    created = {"message_id": 9, "from": ADA, "chat": FORUM, "date": 1, "forum_topic_created": {"name": "T"}}
    assert said(FORUM, text="x", message_thread_id=9, reply_to_message=created).where.thread == "9"
    assert said(PRIVATE, text="x", message_thread_id=5).where.thread == "5"
    earlier = {"message_id": 11, "from": ADA, "chat": FORUM, "date": 1, "text": "in General"}
    assert said(FORUM, text="x", message_thread_id=11, reply_to_message=earlier).where.thread is None


def test_a_reply_chain_in_a_group_without_topics_is_a_thread_once_a_session_is_in_it():
    supergroup = {"id": -100500, "title": "S", "type": "supergroup"}
    earlier = {"message_id": 11, "from": ADA, "chat": supergroup, "date": 1_790_000_000, "text": "q"}
    event = said(supergroup, text="a", message_thread_id=11, reply_to_message=earlier)
    assert event.where.thread is None
    assert event.reply_to == "11"
    assert not event.mentioned
    chains, room = Chains(), ThreadRef(channel=event.where.channel, room="-100500")
    answer = Update.model_validate(
        {"update_id": 1, "message": message(supergroup, text="a", message_thread_id=11, reply_to_message=earlier)}
    )
    chains.note([answer])
    assert chains.has_no_topics(room)
    chain = chains.under(room, "17")
    assert chain.key == "telegram:/-100500/reply-11", "the message that the session was begun with is in a chain"
    for known in (chains, Chains()):
        known.know([chain, room])
        read_again = normalize(answer, channel=event.where.channel, me=ME, now=NOW, chains=known)
        assert read_again is not None
        assert read_again.where == chain
    chains.note([Update.model_validate({"update_id": 2, "message": message(supergroup | {"is_forum": True})})])
    assert not chains.has_no_topics(room)


def test_a_reply_to_the_bot_mentions_it():
    answer = {"message_id": 12, "from": BOT, "chat": GROUP, "date": 1_790_000_000, "text": "a"}
    event = said(GROUP, text="and then?", reply_to_message=answer)
    assert event.mentioned
    assert event.reply_to == "12"


def test_what_a_person_chose_of_an_answer_is_quoted_and_never_what_others_wrote():
    def about(writer, text="why?", manual=True):
        answered = {"message_id": 5, "from": writer, "chat": GROUP, "date": 1, "text": "one two three"}
        quote = {"text": "two\nthree", "position": 4, "is_manual": manual}
        return said(GROUP, text=text, reply_to_message=answered, quote=quote).text

    assert about(BOT) == about(ADA) == "why?\n\n> two\n> three"
    assert about(BOT, "/steer look here") == "/steer look here\n\n> two\n> three"
    assert about({"id": 66, "is_bot": False, "first_name": "Eve"}) == about(BOT, manual=False) == "why?"


def test_the_topics_own_service_message_is_no_reply_even_when_the_bot_made_the_topic():
    created = {"message_id": 9, "from": BOT, "chat": FORUM, "date": 1, "forum_topic_created": {"name": "T"}}
    event = said(FORUM, text="x", message_thread_id=9, is_topic_message=True, reply_to_message=created)
    assert not event.mentioned
    assert event.reply_to is None


@pytest.mark.parametrize(
    ("text", "entity", "expected"),
    [
        ("@threadmill_bot what now", {"type": "mention", "offset": 0, "length": 15}, "what now"),
        ("@threadmill_bot, what now", {"type": "mention", "offset": 0, "length": 15}, "what now"),
        ("what now @Threadmill_Bot?", {"type": "mention", "offset": 9, "length": 15}, "what now ?"),
        ("😀 @threadmill_bot hi", {"type": "mention", "offset": 3, "length": 15}, "😀 hi"),
        ("Threadmill hi", {"type": "text_mention", "offset": 0, "length": 10, "user": BOT}, "hi"),
    ],
)
def test_a_mention_of_the_bot_is_told_and_taken_out(text, entity, expected):
    event = said(GROUP, text=text, entities=[entity])
    assert (event.text, event.mentioned) == (expected, True)


def test_a_mention_of_somebody_else_stays():
    event = said(GROUP, text="@ada look", entities=[{"type": "mention", "offset": 0, "length": 4}])
    assert (event.text, event.mentioned) == ("@ada look", False)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/kill@threadmill_bot all", "/kill all"),
        ("/kill all", "/kill all"),
        ("/spawn researcher: compare\nX and Y", "/spawn researcher: compare\nX and Y"),
        ("/START", "/help"),
        ("/start@Threadmill_Bot", "/help"),
    ],
)
def test_commands_come_in_the_one_grammar(text, expected):
    event = said(GROUP, text=text)
    assert (event.kind, event.text) == (Kind.COMMAND, expected)


def test_a_command_behind_a_mention_is_a_command():
    event = said(GROUP, text="@threadmill_bot /kill all", entities=[{"type": "mention", "offset": 0, "length": 15}])
    assert (event.kind, event.text, event.mentioned) == (Kind.COMMAND, "/kill all", True)


def test_a_command_for_another_bot_is_nothing_to_us():
    assert read(message=message(GROUP, text="/kill@other_bot all")) is None


@pytest.mark.parametrize("text", ["/etc/passwd is broken", "see /kill", "/", "//x"])
def test_a_slash_alone_makes_no_command(text):
    assert said(text=text).kind is Kind.MESSAGE


def test_code_and_links_survive_as_markdown():
    text = "run this:\nprint('😀')\nthen ls and see docs"
    entities = [
        {"type": "pre", "offset": 10, "length": 11, "language": "python"},
        {"type": "code", "offset": 27, "length": 2},
        {"type": "text_link", "offset": 38, "length": 4, "url": "https://example.org/a(b)"},
        {"type": "bold", "offset": 0, "length": 3},
    ]
    assert said(text=text, entities=entities).text == (
        "run this:\n```python\nprint('😀')\n```\nthen `ls` and see [docs](<https://example.org/a(b)>)"
    )


def test_a_quote_is_marked_on_every_line():
    event = said(text="a\nb\nmine", entities=[{"type": "blockquote", "offset": 0, "length": 3}])
    assert event.text == "> a\n> b\nmine"


def test_an_edit_names_the_message_and_its_own_time():
    event = read(edited_message=message(text="better", edit_date=1_790_000_100))
    assert event is not None
    assert (event.kind, event.message_id, event.text) == (Kind.EDIT, "17", "better")
    assert event.sent_at == datetime.fromtimestamp(1_790_000_100, UTC)


def test_a_press_is_a_button_with_its_id():
    shown = {"message_id": 30, "from": BOT, "chat": FORUM, "date": 1, "message_thread_id": 9, "is_topic_message": True}
    query = {"id": "9", "from": ADA, "message": shown, "chat_instance": "1", "data": "approve-7"}
    event = read(callback_query=query)
    assert event is not None
    assert (event.kind, event.payload, event.message_id) == (Kind.BUTTON, "approve-7", "30")
    assert event.where.thread == "9"
    assert event.sender.account == "telegram:42"


def test_a_press_under_a_message_that_is_too_old_to_be_told_still_counts():
    query = {"id": "9", "from": ADA, "chat_instance": "1", "data": "x"}
    event = read(callback_query=query | {"message": {"chat": PRIVATE, "message_id": 3, "date": 0}})
    assert event is not None
    assert (event.kind, event.where.key, event.sent_at) == (Kind.BUTTON, "telegram:42", NOW)


@pytest.mark.parametrize(
    "update",
    [
        {"callback_query": {"id": "1", "from": ADA, "message": message(), "chat_instance": "1", "data": "live:stop"}},
        {"stopped_message_generation": {"chat": PRIVATE, "draft_id": 7}},
    ],
)
def test_both_stop_buttons_are_the_stop_command(update):
    event = read(**update)
    assert event is not None
    assert (event.kind, event.text, event.sender.account) == (Kind.COMMAND, "/stop", "telegram:42")
    assert event.direct


def test_a_reaction_names_its_message():
    reaction = {"chat": FORUM, "message_id": 5, "user": ADA, "date": 1_790_000_000, "old_reaction": []}
    event = read(message_reaction=reaction | {"new_reaction": [{"type": "emoji", "emoji": "👍"}]})
    assert event is not None
    assert (event.kind, event.message_id, event.payload) == (Kind.REACTION, "5", "👍")


def test_taking_a_reaction_back_is_nothing_new():
    reaction = {"chat": FORUM, "message_id": 5, "user": ADA, "date": 1, "new_reaction": []}
    assert read(message_reaction=reaction | {"old_reaction": [{"type": "emoji", "emoji": "👍"}]}) is None


@pytest.mark.parametrize(
    ("service", "kind"),
    [({"forum_topic_closed": {}}, Kind.THREAD_ARCHIVED), ({"forum_topic_reopened": {}}, Kind.THREAD_UNARCHIVED)],
)
def test_a_closed_topic_is_parked(service, kind):
    event = said(FORUM, message_thread_id=9, is_topic_message=True, **service)
    assert (event.kind, event.where.thread) == (kind, "9")


@pytest.mark.parametrize(
    ("was", "is_now", "kind"),
    [("member", "kicked", Kind.THREAD_ARCHIVED), ("kicked", "member", Kind.THREAD_UNARCHIVED)],
)
def test_a_person_who_blocks_the_bot_parks_the_chat(was, is_now, kind):
    change = {"chat": PRIVATE, "from": ADA, "date": 1, "old_chat_member": {"status": was, "user": BOT}}
    event = read(my_chat_member=change | {"new_chat_member": {"status": is_now, "user": BOT, "until_date": 0}})
    assert event is not None
    assert (event.kind, event.where.key) == (kind, "telegram:42")


def test_a_new_right_in_the_group_is_no_event():
    change = {"chat": GROUP, "from": ADA, "date": 1, "old_chat_member": {"status": "member", "user": BOT}}
    assert read(my_chat_member=change | {"new_chat_member": {"status": "administrator", "user": BOT}}) is None


def test_a_migration_tells_both_ids():
    event = said(GROUP, migrate_to_chat_id=-1003000000001)
    assert (event.kind, event.where.room, event.payload) == (Kind.ROOM_MOVED, "-3001", "-1003000000001")


def test_an_anonymous_administrator_writes_as_the_group():
    stand_in = {"id": 1087968824, "is_bot": True, "first_name": "Group", "username": "GroupAnonymousBot"}
    event = read(message=message(GROUP, text="x", sender_chat=GROUP) | {"from": stand_in})
    assert event is not None
    assert (event.sender.account, event.sender.name, event.sender.is_bot) == ("telegram:-3001", "Friends", False)


def test_a_post_of_a_channel_has_the_channel_for_sender():
    channel = {"id": -100700, "title": "News", "type": "channel"}
    event = read(channel_post={"message_id": 4, "sender_chat": channel, "chat": channel, "date": 1, "text": "n"})
    assert event is not None
    assert event.sender.account == "telegram:-100700"


def test_the_bot_does_not_hear_itself():
    assert read(message=message(GROUP, text="x") | {"from": BOT}) is None


def test_another_bot_is_known_as_one():
    other = {"id": 8, "is_bot": True, "first_name": "Other"}
    event = read(message=message(GROUP, text="x") | {"from": other})
    assert event is not None
    assert event.sender.is_bot


@pytest.mark.parametrize(
    ("content", "text", "files"),
    [
        (
            {"document": {"file_id": "D1", "file_unique_id": "u", "file_name": "a.pdf", "mime_type": "application/pdf",
                          "file_size": 12}, "caption": "read this"},
            "read this", [("a.pdf", "application/pdf", 12, "D1")],
        ),
        (
            {"photo": [{"file_id": "P1", "width": 90, "height": 90, "file_size": 1}, {"file_id": "P2", "width": 800,
                       "height": 800, "file_size": 9}]},
            "", [("photo.jpg", "image/jpeg", 9, "P2")],
        ),
        ({"voice": {"file_id": "V", "duration": 3}}, "", [("voice.ogg", "audio/ogg", None, "V")]),
        (
            {"sticker": {"file_id": "S", "emoji": "😂", "is_animated": False, "is_video": True, "type": "regular"}},
            "😂", [("sticker.webm", "video/webm", None, "S")],
        ),
        (
            {"animation": {"file_id": "A", "mime_type": "video/mp4"}, "document": {"file_id": "A"}},
            "", [("animation.mp4", "video/mp4", None, "A")],
        ),
        ({"poll": {"question": "Tea?", "options": [{"text": "yes"}, {"text": "no"}]}}, "Poll: Tea?\n- yes\n- no", []),
        ({"location": {"latitude": 52.5, "longitude": 13.4}}, "Location: 52.5, 13.4", []),
        (
            {"venue": {"location": {"latitude": 1.0, "longitude": 2.0}, "title": "Café", "address": "Main St"},
             "location": {"latitude": 1.0, "longitude": 2.0}},
            "Venue: Café, Main St (1.0, 2.0)", [],
        ),
        ({"contact": {"phone_number": "+49", "first_name": "Bo"}}, "Contact: Bo, +49", []),
        ({"dice": {"emoji": "🎲", "value": 4}}, "🎲 4", []),
        ({"checklist": {"title": "To do", "tasks": [{"id": 1, "text": "a"}]}}, "Checklist: To do\n- a", []),
    ],
)  # fmt: skip
def test_messages_without_text_say_what_they_hold(content, text, files):
    event = said(**content)
    assert event.text == text
    assert [(file.name, file.media_type, file.size_bytes, file.source) for file in event.attachments] == files


@pytest.mark.parametrize(
    "content",
    [{"new_chat_members": [BOT]}, {"pinned_message": message(text="p")}, {"forum_topic_created": {"name": "T"}}, {}],
)
def test_service_messages_are_silent(content):
    assert read(message=message(GROUP, **content)) is None


def test_updates_of_kinds_that_do_not_exist_yet_are_passed_by():
    assert read(some_future_update={"x": 1}) is None


def test_odd_optional_fields_count_as_missing():
    event = said(
        text="fine", entities="no list", date="never", reply_to_message=5, document=["x"], is_topic_message="?"
    )
    assert (event.text, event.sent_at, event.reply_to, event.attachments) == ("fine", NOW, None, ())


def test_half_a_surrogate_pair_does_not_lose_the_text():
    raw = json.loads(
        '{"update_id": 1, "message": {"message_id": 1, "chat": {"id": 42}, "from": {"id": 42}, "text": "a\\ud83d b"}}'
    )
    event = normalize(Update.model_validate(raw), channel=ChannelName("telegram"), me=ME, now=NOW)
    assert event is not None
    assert event.text.encode() == "a\ufffd b".encode()


def test_entities_beyond_the_text_do_no_harm():
    entities = [{"type": "pre", "offset": 2, "length": 99}, {"type": "code", "offset": -5, "length": 2}]
    assert said(text="abcd", entities=entities).text == "ab\n```\ncd\n```"


def test_a_batch_is_read_in_order_around_what_cannot_be_read():
    raw = [
        {"update_id": 12, "message": message(text="second")},
        {"update_id": 11, "message": message(text="first")},
        {"no": "update"},
        "nonsense",
        {"update_id": 14, "message": {"chat": "?"}},
        {"update_id": 13, "callback_query": {"id": "77", "from": ADA, "message": message(FORUM), "data": "d"}},
    ]
    batch = read_updates(raw, lambda update: normalize(update, channel=ChannelName("t"), me=ME, now=NOW))
    assert [event.id for event in batch.events] == ["update:11", "update:12", "update:13"]
    assert batch.next_offset == 15
    assert batch.callbacks == ("77",)


def test_an_album_is_whole_once_something_follows_it_or_it_is_full():
    def album(update_id, **more):
        return {"update_id": update_id, "message": message(media_group_id="g", document={"file_id": "f"}, **more)}

    def unfinished(*raw):
        return read_updates(
            list(raw), lambda update: normalize(update, channel=ChannelName("t"), me=ME, now=NOW)
        ).unfinished

    after = {"update_id": 50, "message": message(text="and now")}
    assert unfinished(album(1), album(2)) == 2
    assert unfinished(album(1), album(2), after) == unfinished(after) == 0
    assert unfinished(*[album(number) for number in range(10)]) == 0
