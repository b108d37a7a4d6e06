"""Connects everything, and owns the root task group.

What runs, and what it is made of, can be read here from top to bottom: store, models, team, channels, courier,
router, page. Nothing else knows all of them.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import structlog

from agents.engine import EmbeddedEngine
from agents.models.chain import ModelChain, build
from agents.processes import end_orphans
from agents.team import Team
from bot.asking import AnswerDesk
from bot.attachments import AttachmentKeeper
from bot.chat_commands import CommandParts, chat_commands
from bot.closing import Closing
from bot.commands import Commands
from bot.config import Config
from bot.config.kinds import package_of
from bot.config.parts import ConfiguredChannel
from bot.config.watch import ConfigWatch
from bot.connections import Connections
from bot.current import LOCAL_CHANNELS, Current
from bot.dispatcher import Dispatcher, DispatchParts
from bot.events import EventHub
from bot.housekeeping import Housekeeping
from bot.intake import ChannelIntake
from bot.lasting import lasting
from bot.letters import DeadLetters
from bot.measures import measure
from bot.metrics import Metrics
from bot.moved_rooms import MovedRooms, news_of
from bot.people.directory import Directory
from bot.people.operators import Operators
from bot.people.pairing import PairingDesk
from bot.people.reach import Reach
from bot.showing import Showing
from bot.signals import Wiring
from bot.speaker import Speaker
from bot.stores import Stores, on
from bot.suggestions import CommandSuggestions
from bot.thinking import Surroundings, thinking
from bot.watching import Watching
from bot.web.app import create as create_web
from bot.web.parts import AgentCard, WebParts
from bot.web.server import listen
from bot.web.server import serve as serve_web
from bot.web.templates import path_of
from channels.base import Channel, ChannelContext, ChannelName, Outbound, ThreadRef
from channels.delivery import Courier, CourierParts
from channels.local import LocalChannel, Shown
from storage.audit import write_head
from storage.database import Database, opened
from storage.files import FileStore
from storage.retention import RetentionPolicy

log = structlog.get_logger("app")


_PAGE = ChannelName("web")
_LAST_SENDS = timedelta(seconds=5)  # for what is on its way when Threadmill is stopped


def now() -> datetime:
    return datetime.now(UTC)


async def serve(config: Config, *, ready: Callable[[], None] | None = None) -> None:
    """Run Threadmill until cancelled. `ready` is called once the page answers.

    Raises StorageError and `bot.web.server.CannotListen` when it cannot start.
    """
    listener = listen(config.web.host, config.web.port)
    async with AsyncExitStack() as stack:
        stack.enter_context(contextlib.closing(listener))
        database = await stack.enter_async_context(opened(config.bot.data))
        application = await stack.enter_async_context(Application.made(config, database))
        group = await stack.enter_async_context(asyncio.TaskGroup())
        await application.start(group)
        web = application.web
        group.create_task(serve_web(web.asgi, listener, ready=ready, close=web.close), name="web")
        try:
            await asyncio.Event().wait()
        finally:
            await application.courier.stop(within=_LAST_SENDS)


class Application:
    """Everything that runs, connected."""

    is_ready = False  # until what a former run left is taken up
    _suggestions: CommandSuggestions

    def __init__(
        self, config: Config, database: Database, models: ModelChain, clock: Callable[[], datetime] = now
    ) -> None:
        self._clock = clock
        self.models = models
        engine = self.engine = EmbeddedEngine(max_awake=config.limits.awake_sessions)
        wiring = Wiring(engine)
        metrics, self.hub = Metrics(), EventHub()

        # what is remembered
        stores = on(database, config, wiring)
        inbox, outbox, sessions = stores.inbox, stores.outbox, stores.sessions
        self.journal, self._audit, self._audit_head = stores.journal, stores.audit, stores.audit_head
        files = self._files = stores.files

        # who there is
        self.directory = Directory(stores.people)
        desk, commands = PairingDesk(stores.people, self.directory), Commands(self._audit)
        self.rooms = MovedRooms(outbox, wiring.said, self._room_moved)
        self.current = current = Current(config, self.directory, self.rooms.read)

        # what talks
        context = partial(ChannelContext, files=files)
        local = {
            name: LocalChannel(
                context(name=name),
                shown=self._shown,
                reword=None if name == "console" else outbox.reword,  # what a terminal shows stands
                address=_page_address,
            )
            for name in sorted(LOCAL_CHANNELS)
        }
        self.connections = Connections(
            ready=dict(local),
            makers={
                name: partial(
                    _make,
                    configured,
                    lambda name=name: context(  # type: ignore[misc]
                        name=name,
                        commands=(*commands.specs(), *self.current.routed_commands(name)),
                        suggestions=self._suggestions,
                        operators=partial(self.directory.operators_at, name),
                    ),
                )
                for name, configured in config.channels.items()
            },
            disconnected=lambda name, why: self.operators.disconnected(name, why, clock()),
        )
        speaker = Speaker(outbox, wiring.said, self.connections.find, clock)
        self.operators = Operators(self.directory, speaker)
        self.closing, answers = _answering(stores, self.connections, speaker, self.hub, clock)
        self.showing = Showing.on(stores, self.connections.find, speaker, self.hub, clock)
        watching = Watching(self.hub, self.showing, metrics, self.operators, clock)
        self.courier = Courier(
            CourierParts(
                outbox=outbox,
                routes=Reach(self.directory, sessions, self.connections.find),
                channel=self.connections.channel,
                clock=clock,
                fallback_after=config.delivery.fallback_after,
                max_age=config.delivery.max_age,
                follow_room=self.rooms.follow,
                ended=watching.delivered,
                finish_live=self.showing.presence.finish,
            )
        )
        wiring.connect(notify=lambda lane: self.courier.notify(self.rooms.lane(lane)), gone=watching.ended)

        # what thinks
        team = Team(
            sessions=sessions,
            mailbox=stores.mailbox,
            engine=engine,
            profiles=current,
            threads=self.connections,
            clock=clock,
            spawned=self.showing.progress.spawned,
        )
        made = thinking(
            Surroundings(
                config=config,
                database=database,
                stores=stores,
                wiring=wiring,
                engine=engine,
                models=models,
                current=current,
                directory=self.directory,
                connections=self.connections,
                speaker=speaker,
                operators=self.operators,
                live=watching,
                fired=watching.fired,
                clock=clock,
            ),
            team,
        )
        self.runner, self.monitors, self.tool_servers = made.runner, made.monitors, made.tool_servers
        self._housekeeping = Housekeeping(
            database,
            RetentionPolicy.of_days(config.retention_days),
            files,
            made.workspaces,
            self.journal.forget,
            sessions,
            current,
            clock,
        )

        # what decides
        self.dispatcher = Dispatcher(
            DispatchParts(
                inbox=inbox,
                sessions=sessions,
                mailbox=stores.mailbox,
                team=team,
                people=self.directory,
                greeter=desk,
                commands=commands,
                answers=answers,
                speaker=speaker,
                marks=self.showing.marks,
                rooms=self.rooms,
                files=AttachmentKeeper(files, self.connections.find, config.limits.attachment_bytes),
                audit=self._audit,
                routes=current.routes,
                decided=watching.decided,
                clock=clock,
            )
        )
        letters = DeadLetters(stores.views, outbox, inbox, self.dispatcher, self.courier.notify, clock)
        commands.add(
            chat_commands(
                CommandParts(
                    commands=commands,
                    stores=stores,
                    thinking=made,
                    engine=engine,
                    models=models,
                    current=current,
                    connections=self.connections,
                    hub=self.hub,
                    marks=self.showing.marks,
                    desk=desk,
                    answers=answers,
                    speaker=speaker,
                    letters=letters,
                )
            )
        )
        current.knows_commands(commands.names())
        self._suggestions = CommandSuggestions(
            people=self.directory,
            commands=commands.all,
            sessions=sessions,
            profiles=current,
            models=models,
            monitors=self.monitors,
            letters=letters,
            clock=clock,
        )
        self._intakes = {
            name: ChannelIntake(
                name, inbox, self.dispatcher, clock, lambda on: current.routes().rooms_named(on), self.rooms.heard
            )
            for name in (*LOCAL_CHANNELS, *config.channels)
        }

        # what is looked at
        measure(metrics, database, engine, self.runner.room, self.courier, self.dispatcher, self.connections)
        assert config.web.token is not None, "bot.config.token settles it"
        self.web = create_web(
            WebParts(
                views=stores.views,
                hub=self.hub,
                receive={str(name): channel.receive for name, channel in local.items()},
                health=self.connections.health,
                tool_servers=self.tool_servers.health,
                ready=lambda: self.is_ready,
                metrics=metrics.text,
                dead_letters=letters,
                token=config.web.token.get_secret_value(),
                clock=clock,
                hosts=frozenset(config.web.allowed_hosts),
                commands=(*commands.specs(), *current.routed_commands(_PAGE)),
                agents=lambda: [
                    AgentCard(name=each.name, description=each.description, model=each.model)
                    for each in current.config.agents.values()
                ],
                file=partial(_stored_file, files),
                uploads=partial(files.store, limit_bytes=config.limits.attachment_bytes),
                upload_bytes=config.limits.attachment_bytes,
                rehearsal=config.rehearsing,
            )
        )

    def _shown(self, shown: Shown) -> None:
        """What is said is told by the courier, once it stands in the timeline."""
        if shown.kind == "edited":
            self.hub.reworded(shown.where.key, shown.message_id)

    def _room_moved(self, room: ThreadRef, new: ThreadRef) -> None:
        self.current.read_again()
        if news := news_of(room, new, self.current.written):
            self.operators.news(news, f"moved/{room.key}/{new.room}")

    @classmethod
    @asynccontextmanager
    async def made(
        cls, config: Config, database: Database, clock: Callable[[], datetime] = now
    ) -> AsyncIterator[Application]:
        """Made, and given back in good order: turns released, the audit log's head noted, clients closed."""
        async with AsyncExitStack() as stack:
            models = build(config.models)
            stack.push_async_callback(models.close)
            application = cls(config, database, models, clock)
            stack.push_async_callback(application.note_audit_head)
            stack.push_async_callback(application.journal.release)
            await application.directory.refresh()
            await application.rooms.refresh()
            application.current.read_again()
            yield application

    async def start(self, group: asyncio.TaskGroup) -> None:
        """Take up what a former run left, and serve in `group` until cancelled."""
        await self._files.sweep()
        if ended := await asyncio.to_thread(end_orphans):
            log.warning("ended processes of tools that a crash had left", processes=ended)
        group.create_task(self.engine.run(self.runner.activate), name="engine")
        group.create_task(self.courier.run(), name="courier")
        group.create_task(self.connections.run(lambda name: self._intakes[name]), name="channels")
        group.create_task(self.dispatcher.run(), name="dispatcher")
        group.create_task(self.showing.run(), name="showing")
        group.create_task(lasting("operators", self.operators.run), name="operators")
        group.create_task(lasting("closing", self.closing.run), name="closing")
        await self.monitors.configure(self.current.config.monitors)
        group.create_task(self.monitors.run(), name="monitors")
        group.create_task(self.tool_servers.run(), name="tool-servers")
        group.create_task(lasting("alarm", self._wake_due), name="alarm")
        group.create_task(lasting("config", self._follow_edits), name="config")
        group.create_task(lasting("audit", self._keep_audit_head), name="audit")
        group.create_task(lasting("housekeeping", self._housekeeping.run), name="housekeeping")
        for session in await self.journal.to_resume():
            self.engine.wake(session)
        self.is_ready = True

    async def _wake_due(self) -> None:
        """Wake parked turns whose time has come."""
        while True:
            due, _ = await self.journal.due(self._clock())
            for session in due:
                self.engine.wake(session)
            await asyncio.sleep(1.0)

    async def _follow_edits(self) -> None:
        def broken(problems: object) -> None:
            log.error("the edited configuration is broken; the old one stays", problems=str(problems))

        async for change in ConfigWatch(self.current.written, broken=broken).changes():
            try:
                self.current.apply(change.config)
            except ValueError as error:
                broken(error)
                continue
            await self.monitors.configure(self.current.config.monitors)
            log.info("configuration taken over", needs_restart=list(change.needs_restart))

    async def note_audit_head(self) -> None:
        """Write the end of the audit log beside the database, so that a cut is found."""
        head = await self._audit.head()
        await asyncio.to_thread(write_head, self._audit_head, head)

    async def _keep_audit_head(self) -> None:
        while True:
            await asyncio.sleep(60.0)
            await self.note_audit_head()


def _stored_file(files: FileStore, digest: str) -> Path | None:
    try:
        path = files.path(digest)
    except ValueError:
        return None
    return path if path.is_file() else None


def _page_address(where: ThreadRef) -> str | None:
    """Where the page shows a thread of its own. The other local channels have no page."""
    return path_of(where.key) if where.channel == "web" and where.thread is not None else None


def _make(configured: ConfiguredChannel, context: Callable[[], ChannelContext]) -> Channel:
    """Make a platform's adapter; imports its library."""
    package = package_of(configured.kind)
    assert package is not None, "bot.config.parse knows the kind"
    channel: Channel = package.create(configured.settings, context())
    return channel


def _answering(
    stores: Stores, connections: Connections, speaker: Speaker, hub: EventHub, clock: Callable[[], datetime]
) -> tuple[Closing, AnswerDesk]:
    """Where answers to questions are taken in, and what changes the questions' messages then."""

    async def changed(message: Outbound) -> None:
        await stores.outbox.reword(message, message.key)
        hub.reworded(message.to.key, message.key)

    closing = Closing(stores.questions, connections.find, speaker, changed, clock)
    return closing, AnswerDesk(stores.questions, stores.sessions, stores.audit, answered=closing.look)
