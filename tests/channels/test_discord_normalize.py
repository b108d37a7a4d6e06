"""What Discord sends, in our nouns. The payloads are in the form that Discord's documents show."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from channels.base import ChannelName, CommandOption, CommandSpec, Kind, Suggestion
from channels.discord import commands, normalize
from channels.discord.normalize import Identity
from channels.discord.payloads import Deleted, Interaction, Message, Reaction, Room, made_at
from channels.discord.places import Place, place_of

ME = Identity(channel=ChannelName("discord"), user_id="1", application_id="2", roles=frozenset({"77"}))
ROOM = Place(space="10", room="20")
THREAD = Place(space="10", room="20", thread="30")
DIRECT = Place(room="40")
NOW = datetime(2026, 11, 21, tzinfo=UTC)
AUTHOR = {"id": "99", "username": "ada", "global_name": "Ada L.", "discriminator": "0", "avatar": None}


def recorded(**changes: Any) -> dict[str, Any]:
    return {
        "id": "1303740270123456789",
        "channel_id": "20",
        "guild_id": "10",
        "author": AUTHOR,
        "member": {"nick": "Countess", "roles": [], "joined_at": "2024-01-01T00:00:00+00:00"},
        "content": "hello",
        "timestamp": "2026-11-21T08:00:00.123000+00:00",
        "edited_timestamp": None,
        "tts": False,
        "mention_everyone": False,
        "mentions": [],
        "mention_roles": [],
        "attachments": [],
        "embeds": [],
        "pinned": False,
        "type": 0,
        **changes,
    }


def said(at: Place = ROOM, **changes: Any) -> Any:
    return normalize.message(Message.model_validate(recorded(**changes)), at, ME)


def test_a_message_says_who_what_where_and_when() -> None:
    event = said(THREAD)
    assert event.id == "message:1303740270123456789"
    assert event.kind is Kind.MESSAGE
    assert event.where.key == "discord:10/20/30"
    assert (event.sender.account, event.sender.name, event.sender.is_bot) == ("discord:99", "Countess", False)
    assert (event.text, event.message_id, event.mentioned, event.direct) == ("hello", event.id[8:], False, False)
    assert event.sent_at == datetime(2026, 11, 21, 8, 0, 0, 123000, tzinfo=UTC)


def test_direct_messages_are_direct() -> None:
    assert said(DIRECT, guild_id=None, member=None).direct
    assert said(DIRECT, guild_id=None, member=None).where.key == "discord:40"


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"content": "<@1> do it", "mentions": [{"id": "1", "username": "bot"}]}, "do it"),
        ({"content": "do <@!1> it"}, "do  it"),
        ({"content": "<@&77> do it", "mention_roles": ["77"]}, "do it"),
        ({"content": "do it", "referenced_message": {"author": {"id": "1"}, "content": "?"}}, "do it"),
    ],
)
def test_the_bot_is_addressed_by_mention_by_its_role_and_by_a_reply(changes: dict[str, Any], text: str) -> None:
    event = said(**changes)
    assert event.mentioned
    assert event.text == text


def test_other_people_are_named_in_the_text() -> None:
    event = said(content="ask <@5> and <@6>", mentions=[{"id": "5", "username": "bob", "global_name": "Bob"}])
    assert event.text == "ask @Bob and <@6>"
    assert not event.mentioned


def test_a_reply_names_its_message_but_a_forward_does_not() -> None:
    assert said(type=19, message_reference={"type": 0, "message_id": "8", "channel_id": "20"}).reply_to == "8"
    forwarded = said(
        content="",
        message_reference={"type": 1, "message_id": "8", "channel_id": "9"},
        message_snapshots=[{"message": {"content": "old\nnews", "attachments": [{"id": "3", "url": "https://x/y"}]}}],
    )
    assert forwarded.reply_to is None
    assert forwarded.text == "[forwarded]\n> old\n> news"
    assert len(forwarded.attachments) == 1


def test_stickers_polls_and_files_alone_are_told() -> None:
    assert said(content="", sticker_items=[{"id": "4", "name": "wave", "format_type": 1}]).text == "[sticker: wave]"
    poll = {"question": {"text": "Tea?"}, "answers": [{"poll_media": {"text": "Yes"}}, {"poll_media": {"text": "No"}}]}
    assert said(content="", poll=poll).text == "[poll: Tea?]\n- Yes\n- No"
    file = {"id": "5", "filename": "voice.ogg", "size": 9, "content_type": "audio/ogg", "url": "https://cdn/x"}
    (attachment,) = said(content="", attachments=[file]).attachments
    assert (attachment.name, attachment.media_type, attachment.size_bytes) == ("voice.ogg", "audio/ogg", 9)
    assert attachment.source == "20/1303740270123456789/5 https://cdn/x"


@pytest.mark.parametrize(
    "changes",
    [
        {"author": {"id": "1", "username": "threadmill", "bot": True}},  # ourselves
        {"type": 7},  # somebody joined
        {"type": 18},  # a thread was opened
        {"type": 21},  # the first post of a thread, repeated
        {"author": None},
    ],
)
def test_our_own_posts_and_notices_are_nothing(changes: dict[str, Any]) -> None:
    assert said(**changes) is None


def test_other_bots_and_webhooks_are_bots() -> None:
    assert said(author={**AUTHOR, "bot": True}).sender.is_bot
    assert said(webhook_id="5").sender.is_bot


def test_missing_and_broken_fields_cost_no_message() -> None:
    bare = {"id": 7, "channel_id": 20, "author": {"id": 99}, "attachments": [{"id": 1}, "x", None], "mentions": "?"}
    event = normalize.message(
        Message.model_validate({**bare, "content": None, "timestamp": "soon", "new": {}}), ROOM, ME
    )
    assert event is not None
    assert (event.text, event.sender.name, event.attachments) == ("", "99", ())
    assert event.sent_at == made_at("7")


def test_an_edit_is_told_once_for_each_change_and_a_preview_is_none() -> None:
    changed = Message.model_validate(recorded(content="new", edited_timestamp="2026-11-21T08:01:00+00:00"))
    event = normalize.edit(changed, ROOM, ME)
    assert event is not None
    assert (event.kind, event.text, event.message_id) == (Kind.EDIT, "new", "1303740270123456789")
    assert event.id == "edit:1303740270123456789:2026-11-21T08:01:00+00:00"
    assert normalize.edit(Message.model_validate(recorded(embeds=[{}])), ROOM, ME) is None


def test_deletions_name_each_message_and_its_author_when_known() -> None:
    author = normalize.sender_of(Message.model_validate(recorded()).author, ME)  # type: ignore[arg-type]
    raw = Deleted.model_validate({"ids": ["5", "6"], "channel_id": "20", "guild_id": "10"})
    first, second = normalize.deletions(raw, ROOM, ME, {"5": author}, NOW)
    assert (first.id, first.kind, first.message_id, first.sender) == ("delete:5", Kind.DELETE, "5", author)
    assert second.sender == normalize.platform(ME)


def test_a_reaction_names_its_message_and_emoji() -> None:
    raw = {
        "user_id": "99",
        "channel_id": "20",
        "message_id": "5",
        "guild_id": "10",
        "emoji": {"id": None, "name": "👍"},
    }
    event = normalize.reaction(Reaction.model_validate({**raw, "member": {"user": AUTHOR}}), ROOM, ME, NOW)
    assert event is not None
    assert (event.kind, event.payload, event.message_id) == (Kind.REACTION, "👍", "5")
    assert event.sender.name == "Ada L."
    assert normalize.reaction(Reaction.model_validate({**raw, "user_id": "1"}), ROOM, ME, NOW) is None


def test_a_thread_is_told_of_when_it_is_archived_or_brought_back_and_not_when_it_is_renamed() -> None:
    def update(archived: bool) -> Room:
        metadata = {"archived": archived, "archive_timestamp": "2026-11-21T08:00:00+00:00", "locked": False}
        return Room.model_validate({"id": "30", "type": 11, "parent_id": "20", "thread_metadata": metadata})

    active, archived = place_of(update(False), "10"), place_of(update(True), "10")
    assert archived.ref(ME.channel).key == "discord:10/20/30"
    parked = normalize.thread_changed(update(True), active, archived, ME, NOW)
    assert parked is not None
    assert parked.kind is Kind.THREAD_ARCHIVED
    back = normalize.thread_changed(update(False), archived, active, ME, NOW)
    assert back is not None
    assert back.kind is Kind.THREAD_UNARCHIVED
    assert normalize.thread_changed(update(False), active, active, ME, NOW) is None


def test_a_room_in_a_category_is_a_room() -> None:
    assert place_of(Room.model_validate({"id": "20", "type": 0, "parent_id": "3"}), "10") == ROOM


# --- interactions --------------------------------------------------------------------------------

COMMANDS = (
    CommandSpec(
        name="steer",
        description="Give a running turn new direction",
        options=(
            CommandOption(name="session", description="Which"),
            CommandOption(name="text", description="What", required=True),
        ),
    ),
    CommandSpec(name="spawn", description="Start a session"),
    CommandSpec(
        name="model",
        description="x" * 200,
        options=(CommandOption(name="name", description="", choices=tuple(map(str, range(40)))),),
    ),
)


def interaction(kind: int, data: dict[str, Any], **more: Any) -> Any:
    raw = {"id": "555", "application_id": "2", "type": kind, "token": "a/b.c", "channel_id": "20", "guild_id": "10"}
    raw |= {"member": {"nick": None, "user": AUTHOR}, "data": data, **more}
    return commands.interaction(Interaction.model_validate(raw), ROOM, ME, COMMANDS, NOW)


def test_a_slash_command_is_text_in_the_grammars_own_order() -> None:
    options = [{"name": "text", "type": 3, "value": "look at B"}, {"name": "session", "type": 3, "value": "r1"}]
    event = interaction(2, {"name": "steer", "type": 1, "options": options})
    assert (event.kind, event.text, event.id) == (Kind.COMMAND, "/steer r1 look at B", "interaction:555")
    handle = commands.AnswerHandle.parse(event.answer_with)
    assert handle is not None
    assert (handle.token, handle.user_id, handle.command) == ("a/b.c", "99", True)


def test_a_button_is_its_id() -> None:
    event = interaction(3, {"custom_id": "opaque", "component_type": 2}, message=recorded())
    assert (event.kind, event.payload, event.message_id) == (Kind.BUTTON, "opaque", "1303740270123456789")


def test_the_stop_button_is_the_stop_command() -> None:
    event = interaction(3, {"custom_id": commands.STOP_BUTTON, "component_type": 2}, message=recorded())
    assert (event.kind, event.text) == (Kind.COMMAND, "/stop")


def test_a_message_is_handed_to_an_agent_with_its_text_and_files() -> None:
    file = {"id": "5", "filename": "a.txt", "size": 9, "url": "https://cdn/x"}
    target = recorded(content="<@5> fix this", attachments=[file])
    data = {
        "name": commands.HAND_OVER,
        "type": 3,
        "target_id": target["id"],
        "resolved": {"messages": {target["id"]: target}},
    }
    event = interaction(2, data)
    assert (event.text, event.message_id, len(event.attachments)) == ("/spawn -- <@5> fix this", target["id"], 1)


def test_the_declaration_keeps_discords_rules_and_changes_its_fingerprint_only_with_its_content() -> None:
    declared = commands.declared(COMMANDS)
    steer, _, model, menu = declared
    assert [option["name"] for option in steer["options"]] == ["text", "session"]
    assert len(model["description"]) == 100
    assert model["options"][0] == {
        "name": "name",
        "type": 3,
        "description": "name",
        "required": False,
        "autocomplete": True,
    }
    assert menu == {"name": commands.HAND_OVER, "type": 3}
    assert commands.fingerprint(declared, "2") == commands.fingerprint(commands.declared(COMMANDS), "2")
    assert commands.fingerprint(declared, "2") != commands.fingerprint(declared[:1], "2")


def test_suggestions_begin_with_what_was_typed() -> None:
    data = {"name": "model", "options": [{"name": "name", "type": 3, "value": "3", "focused": True}]}
    raw = Interaction.model_validate({"id": "5", "type": 4, "token": "t", "data": data})
    assert raw.data is not None
    typed = commands.typed(raw, COMMANDS)
    assert typed is not None
    found = [choice["value"] for choice in commands.choices(typed.fitting)]
    assert found[0] == "3"
    assert set(found) == {str(number) for number in range(40) if "3" in str(number)}
    unknown = raw.data.model_copy(update={"name": "nothing of ours"})
    assert commands.typed(raw.model_copy(update={"data": unknown}), COMMANDS) is None


def test_choices_are_within_discords_rules() -> None:
    found = [Suggestion(value="x" * 101, label="too long to be chosen"), Suggestion(value="", label="nothing")]
    found += [Suggestion(value=f"s{number}", label="🧵" * 99) for number in (*range(40), 0)]
    offered = commands.choices(found)
    assert [choice["value"] for choice in offered] == [f"s{number}" for number in range(25)]
    assert {len(choice["name"].encode("utf-16-le")) // 2 for choice in offered} == {99}
