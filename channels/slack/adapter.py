"""Slack as a Channel: receives through Socket Mode or HTTP, says through the Web API.

Commit before acknowledge: bolt's first middleware hands the payload to the intake, and bolt's answer is the
acknowledgement; when nothing was committed it goes without, and Slack sends the event again. Every message
carries its delivery's key as metadata, so that one whose answer was lost can be looked up (`find`).
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self

import aiohttp
from slack_sdk.web.async_client import AsyncWebClient

from channels.base import (
    Account,
    Attachment,
    Capability,
    ChannelContext,
    ChannelError,
    ChannelName,
    ChannelState,
    Health,
    Inbound,
    Intake,
    Kind,
    Limits,
    LiveText,
    Mark,
    OpenThread,
    Outbound,
    Receipt,
    Rejected,
    TemporaryFailure,
    ThreadRef,
    Unavailable,
)
from channels.slack import DOCUMENTED_PER_SECOND, Settings, marks
from channels.slack.arrivals import Payload
from channels.slack.calls import Calls, dict_of
from channels.slack.files import download
from channels.slack.manifest import SCOPES
from channels.slack.names import Names
from channels.slack.normalize import normalize
from channels.slack.pace import Pace
from channels.slack.parts import split
from channels.slack.reader import Identity, Reader, people_in
from channels.slack.reception import Reception
from channels.slack.render import BUTTONS, TEXT_UNITS
from channels.slack.speech import BURST, Speech
from channels.slack.web import new_client, new_session

logger = logging.getLogger(__name__)

ATTACHMENT_BYTES = 1_000_000_000
MOST_ASKERS = 5000
DOUBT_SECONDS = 5.0


class SlackChannel:
    """See `channels.base.Channel` for what each method promises."""

    capabilities = (
        Capability.THREADS
        | Capability.EDIT
        | Capability.BUTTONS
        | Capability.ATTACHMENTS_IN
        | Capability.ATTACHMENTS_OUT
        | Capability.TYPING
        | Capability.DIRECT
        | Capability.RECONCILE
        | Capability.EPHEMERAL
        | Capability.BACKFILL
        | Capability.STREAM
        | Capability.REACT
    )

    def __init__(self, settings: Settings, context: ChannelContext) -> None:
        self.name: ChannelName = context.name
        self.limits = Limits(
            text_units=TEXT_UNITS,
            attachment_bytes=ATTACHMENT_BYTES,
            per_thread_per_second=settings.posts_per_second or DOCUMENTED_PER_SECOND,
            burst_per_thread=BURST,
            button_count=BUTTONS,
        )
        self._settings = settings
        self._context = context
        self._health = Health(state=ChannelState.CONNECTING, since=_now(), detail="not started yet")
        self._calls = Calls(self._locked_out)
        self._commands = frozenset(command.name.lstrip("/") for command in context.commands)
        self._me = Identity(team="", user="")
        self._names = Names(self._look_up_name)
        self._askers: OrderedDict[ThreadRef, str] = OrderedDict()
        self._directs: dict[str, ThreadRef] = {}
        self._doubted = asyncio.Event()  # whether Slack still knows us
        self._session: aiohttp.ClientSession | None = None
        self._client: AsyncWebClient | None = None
        self._speech: Speech | None = None

    def health(self) -> Health:
        return self._health

    async def __aenter__(self) -> Self:
        self._session = new_session()
        self._client = new_client(
            self._session,
            token=self._settings.bot_token.get_secret_value(),
            base_url=self._settings.base_url,
            user_agent=self._context.user_agent,
        )
        self._speech = Speech(
            self._client,
            self._session,
            self._calls,
            self._context.files,
            pace=Pace(
                interval_seconds=1.0 / (self._settings.posts_per_second or DOCUMENTED_PER_SECOND),
                burst=BURST,
                known=self._settings.pace_is_known,
            ),
            commands=self._commands,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._speech is not None:
            await self._speech.aclose()
        if self._session is not None:
            await self._session.close()
        self._session = self._client = self._speech = None

    # Receiving ----------------------------------------------------------------------------------------------

    async def run(self, intake: Intake) -> None:
        client, session = self._opened()
        self._be(ChannelState.CONNECTING, "connecting to Slack")
        try:
            await self._identify(client)
            self._doubted.clear()
            reception = Reception(
                self._settings,
                client,
                session,
                self._calls,
                me=self._me.user,
                read=self._read,
                be=self._be,
                locked_out=self._locked_out,
                commands=self._context.commands,
            )
            async with asyncio.TaskGroup() as group:
                group.create_task(self._speaking().status.watch())
                group.create_task(self._speaking().clear(intake))
                group.create_task(self._leave_when_locked_out(client))
                await reception.serve(intake, group)
        except* ChannelError as errors:
            error = next(_leaves(errors))
            self._be(ChannelState.DOWN, str(error))
        else:
            return
        if isinstance(error, Rejected | Unavailable):
            raise error
        raise Unavailable(str(error)) from error

    async def _read(self, payloads: Sequence[Payload]) -> list[list[Inbound]]:
        people = {person for payload in payloads for person in people_in(payload)} - {self._me.user}
        names = await self._names.of(people)
        reader = Reader(channel=self.name, me=self._me, names=names, commands=self._commands)
        found = [_readable(payload, reader) for payload in payloads]
        for event in (event for events in found for event in events):
            self._remember(event)
        return found

    def _remember(self, event: Inbound) -> None:
        """What the outgoing half is to know: Slack streams an answer to the person who asked, a thread is called by
        what was asked first, and Slack leaves it to the app to say that a session was stopped."""
        if event.kind not in {Kind.MESSAGE, Kind.COMMAND} or event.sender.is_bot:
            return
        if event.kind is Kind.COMMAND and event.text == "/stop":  # where it is refused, the turn says so again soon
            self._speaking().rest(event.where, in_silence=True)
        user = event.sender.account.rpartition("/")[2]
        roots = {event.where, replace(event.where, thread=event.where.thread or event.message_id)}
        for place in roots:
            self._askers[place] = user
            self._askers.move_to_end(place)
            if event.kind is Kind.MESSAGE and event.message_id:
                self._speaking().thinking.asked(place, event.message_id)
        while len(self._askers) > MOST_ASKERS:
            self._askers.popitem(last=False)
        if event.where.thread is None and event.message_id and event.kind is Kind.MESSAGE:
            self._speaking().status.name(replace(event.where, thread=event.message_id), event.text)

    async def _identify(self, client: AsyncWebClient) -> None:
        answer = await self._calls.ask("say who the bot is", client.auth_test())
        team, user, bot = (str(answer.get(key) or "") for key in ("team_id", "user_id", "bot_id"))
        if user and not bot:  # what we post may come back under it alone
            bot = await self._bot_id(client, user)
        self._me = Identity(team=team, user=user, bot=bot)
        self._speaking().screen.me = self._me
        granted = {name.lower(): value for name, value in answer.headers.items()}.get("x-oauth-scopes")
        if granted and "reactions:write" not in {scope.strip() for scope in str(granted).split(",")}:
            self.capabilities &= ~Capability.REACT  # an app from before: marks are not worth an error each
        if granted and (missing := sorted(set(SCOPES) - {scope.strip() for scope in str(granted).split(",")})):
            logger.warning("the Slack app of %s lacks permissions: %s", self.name, ", ".join(missing))

    async def _bot_id(self, client: AsyncWebClient, user: str) -> str:
        try:
            answer = await self._calls.ask("describe the bot", client.users_info(user=user))
        except ChannelError:
            return ""
        return str(dict_of(dict_of(answer, "user"), "profile").get("bot_id") or "")

    async def _leave_when_locked_out(self, client: AsyncWebClient) -> None:
        """Raises Rejected once Slack does not know us any more. One call's refusal is only a hint: some methods refuse
        kinds of tokens that others take."""
        while True:
            await self._doubted.wait()
            self._doubted.clear()
            try:
                await self._calls.ask("say who the bot is", client.auth_test())
            except (TemporaryFailure, Unavailable):
                await asyncio.sleep(DOUBT_SECONDS)
                self._doubted.set()
            else:
                if self._health.state is ChannelState.DOWN:
                    self._be(ChannelState.CONNECTED, "")
                await asyncio.sleep(DOUBT_SECONDS)

    async def _look_up_name(self, user: str) -> str:
        client, _ = self._opened()
        if user.startswith("B"):
            return ""
        try:
            answer = await self._calls.ask("look up a name", client.users_info(user=user))
        except ChannelError:
            return ""
        found = dict_of(answer, "user")
        profile = dict_of(found, "profile")
        name = profile.get("display_name") or profile.get("real_name") or found.get("real_name") or found.get("name")
        return name if isinstance(name, str) else ""

    # Saying -------------------------------------------------------------------------------------------------

    def split(self, message: Outbound) -> Sequence[Outbound]:
        return split(message)

    async def send(self, part: Outbound) -> Receipt:
        return await self._speaking().send(part, me=self._me)

    async def edit(self, part: Outbound, message_id: str) -> None:
        await self._speaking().edit(part, message_id)

    async def react(self, where: ThreadRef, message_id: str, mark: Mark | None, instead_of: Mark | None = None) -> None:
        client, _ = self._opened()
        await marks.put(client, self._calls, where, message_id, mark, instead_of)

    def confined(self, where: ThreadRef) -> bool:  # noqa: ARG002
        return False  # whoever sees a channel sees all its threads

    async def link(self, where: ThreadRef) -> str | None:
        if self._client is None:
            return None
        return await marks.link(self._client, self._calls, where)

    async def find(self, part: Outbound, since: datetime) -> Receipt | None:
        return await self._speaking().find(part, since, me=self._me)

    async def open_thread(self, request: OpenThread) -> ThreadRef:
        return await self._speaking().open_thread(request)

    async def direct(self, account: Account) -> ThreadRef:
        client, _ = self._opened()
        channel, _, person = account.partition(":")
        user = person.rpartition("/")[2]
        if channel != self.name or not user:
            raise Rejected(f"{account} is not an account of {self.name}")
        if user not in self._directs:
            answer = await self._calls.ask("open a direct conversation", client.conversations_open(users=[user]))
            room = dict_of(answer, "channel").get("id")
            if not isinstance(room, str) or not room:
                raise Rejected(f"Slack opened no direct conversation with {account}")
            self._directs[user] = ThreadRef(channel=self.name, space=self._me.team, room=room)
        return self._directs[user]

    async def typing(self, where: ThreadRef) -> None:
        if self._speech is not None:
            await self._speech.status.working(where, self._askers.get(where))

    async def fetch(self, attachment: Attachment, limit_bytes: int) -> AsyncIterator[bytes]:
        client, session = self._opened()
        chunks = download(client, session, attachment, limit_bytes)
        while True:
            async with self._calls.guarded("give a file"):
                try:
                    chunk = await anext(chunks)
                except StopAsyncIteration:
                    return
            yield chunk

    async def live(self, where: ThreadRef, reply_to: str | None = None) -> LiveText:  # noqa: ARG002
        asker = self._askers.get(where)
        return self._speaking().previews.open(where, asker)

    # State --------------------------------------------------------------------------------------------------

    def _opened(self) -> tuple[AsyncWebClient, aiohttp.ClientSession]:
        if self._client is None or self._session is None:
            raise Unavailable(f"the channel {self.name} is not open")
        return self._client, self._session

    def _speaking(self) -> Speech:
        if self._speech is None:
            raise Unavailable(f"the channel {self.name} is not open")
        return self._speech

    def _locked_out(self, sentence: str) -> None:
        self._be(ChannelState.DOWN, sentence)
        self._doubted.set()

    def _be(self, state: ChannelState, detail: str) -> None:
        if (state, detail) != (self._health.state, self._health.detail):
            self._health = Health(state=state, since=_now(), detail=detail)


def _readable(payload: Payload, reader: Reader) -> list[Inbound]:
    """What a payload says. One that trips us must not keep its neighbours from being committed."""
    try:
        return normalize(payload, reader, now=_now())
    except Exception:
        logger.exception("a payload of type %s could not be read and is passed over", payload.get("type"))
        return []


def _leaves(group: BaseExceptionGroup[ChannelError]) -> Any:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error


def _now() -> datetime:
    return datetime.now(UTC)
