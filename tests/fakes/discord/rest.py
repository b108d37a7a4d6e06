"""The loopback REST interface."""

from __future__ import annotations

import asyncio
import json
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from tests.fakes.discord.about import About
from tests.fakes.discord.faults import Faults
from tests.fakes.discord.gateway import Gateway
from tests.fakes.discord.limits import RateLimits
from tests.fakes.discord.rules import Refusal, changed, check_message, check_response, minutes_of, posted
from tests.fakes.discord.world import DIRECT, EPHEMERAL, FORUM, LOADING, THREADS, Json, World, now

_API = "/api/v10"
_NONCE_SECONDS = 180.0
REQUIRE_TAG = 1 << 4  # a flag of forums
Handler = Callable[[web.Request], Awaitable[Json | list[Any] | None]]


class Rest:
    """Routes over a world. `calls` is the journal of requests: (method, path)."""

    def __init__(self, world: World, faults: Faults, limits: RateLimits, gateway: Gateway) -> None:
        self._world = world
        self._faults = faults
        self._limits = limits
        self._gateway = gateway
        self._nonces: dict[str, tuple[float, Json]] = {}
        self.calls: list[tuple[str, str]] = []
        self.bodies: list[Json] = []  # of messages posted and edited
        self.interaction_seconds = 3.0
        self.token_seconds = 900.0

    def routes(self) -> list[web.RouteDef]:
        channel, message = f"{_API}/channels/{{channel}}", f"{_API}/channels/{{channel}}/messages/{{message}}"
        about = About(self._world, self._gateway)
        hook = f"{_API}/webhooks/{{application}}/{{token}}"
        table: list[tuple[str, str, str, Handler]] = [
            ("GET", f"{_API}/gateway", "open", about.gateway),
            ("GET", f"{_API}/gateway/bot", "", about.gateway_bot),
            ("GET", f"{_API}/users/@me", "", about.me),
            ("GET", f"{_API}/users/@me/guilds", "", about.guilds),
            ("GET", f"{_API}/guilds/{{guild}}", "", about.guild),
            ("GET", f"{_API}/guilds/{{guild}}/members/{{user}}", "", about.member),
            ("GET", f"{_API}/oauth2/applications/@me", "", about.application),
            ("GET", f"{_API}/applications/{{application}}/commands", "", about.declared),
            ("PUT", f"{_API}/applications/{{application}}/commands", "", about.declare),
            ("POST", f"{_API}/users/@me/channels", "", about.direct),
            ("GET", channel, "", self._channel),
            ("PATCH", channel, "", self._edit_channel),
            ("GET", f"{channel}/messages", "history", self._history),
            ("POST", f"{channel}/messages", "post", self._post),
            ("GET", message, "", self._message),
            ("PATCH", message, "edit", self._edit),
            ("DELETE", message, "delete", self._delete),
            ("PUT", f"{message}/reactions/{{emoji}}/@me", "react", self._react),
            ("DELETE", f"{message}/reactions/{{emoji}}/@me", "react", self._unreact),
            ("POST", f"{channel}/typing", "", self._typing),
            ("POST", f"{message}/threads", "", self._thread_under),
            ("POST", f"{channel}/threads", "", self._thread),
            ("PUT", f"{channel}/thread-members/@me", "", self._join),
            ("POST", f"{_API}/interactions/{{interaction}}/{{token}}/callback", "open", self._callback),
            ("POST", hook, "open", self._follow_up),
            ("PATCH", f"{hook}/messages/{{message}}", "open", self._edit_answer),
            ("DELETE", f"{hook}/messages/{{message}}", "open", self._delete_answer),
        ]
        found = [web.route(method, path, self._served(bucket, handler)) for method, path, bucket, handler in table]
        return [*found, web.get("/attachments/{channel}/{file}/{name}", self._file)]

    def _served(self, bucket: str, handler: Handler) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def serve(request: web.Request) -> web.StreamResponse:
            self.calls.append((request.method, request.path.removeprefix(_API)))
            if bucket != "open" and request.headers.get("Authorization") != f"Bot {self._world.token}":
                return _refused(Refusal(401, 0, "401: Unauthorized"))
            headers, wait, everything = self._limits.take(bucket, request.match_info.get("channel", ""))
            if wait:
                return _too_many(headers, wait, everything=everything)
            try:
                planned = await self._planned(bucket)
                if planned is not None:
                    return planned
                answer = await handler(request)
            except Refusal as refusal:
                return _refused(refusal)
            if bucket == "post" and self._lost:
                self._lost = False
                assert request.transport is not None
                request.transport.abort()
            if answer is None:
                return web.Response(status=204, headers=headers)
            return _json(answer, headers=headers)

        return serve

    _lost = False

    async def _planned(self, bucket: str) -> web.StreamResponse | None:
        plan: deque[str] = deque()
        if bucket == "post":
            plan = self._faults.next_posts
        elif bucket == "history":
            plan = self._faults.next_histories
            if self._faults.histories_wait_for is not None:
                await self._faults.histories_wait_for.wait()
        match plan.popleft() if plan else None:
            case "429" | "429-global" as kind:
                headers = {"X-RateLimit-Scope": "shared", "X-RateLimit-Reset-After": "1"}
                wait = self._faults.retry_after_seconds
                return _too_many(headers, wait, everything=kind == "429-global")
            case "500" | "502" | "503" as status:
                return web.Response(status=int(status), text="<html>upstream error</html>", content_type="text/html")
            case "refused":
                raise Refusal(403, 50013, "Missing Permissions")
            case "unknown":
                raise Refusal(404, 10003, "Unknown Channel")
            case "lost":
                self._lost = True
        return None

    # --- channels ----------------------------------------------------------------------------

    def _seen(self, request: web.Request) -> Json:
        """The channel of a request, if the bot may see it."""
        channel_id = request.match_info["channel"]
        channel = self._world.channels.get(channel_id)
        if channel is None:
            raise Refusal(404, 10003, "Unknown Channel")
        if channel_id in self._world.may_not_see or channel.get("parent_id") in self._world.may_not_see:
            raise Refusal(403, 50001, "Missing Access")
        return channel

    def _writable(self, request: web.Request) -> Json:
        """The channel, if the bot may write there. Writing brings an archived thread back, unless it is locked."""
        channel = self._seen(request)
        if channel["id"] in self._world.may_not_post or channel.get("parent_id") in self._world.may_not_post:
            raise Refusal(403, 50013, "Missing Permissions")
        if channel["type"] == DIRECT and channel["recipients"][0]["id"] in self._world.takes_no_direct_messages:
            raise Refusal(403, 50007, "Cannot send messages to this user")
        if channel["type"] == FORUM:
            raise Refusal(400, 50008, "Cannot send messages in a non-text channel")
        if channel["type"] in THREADS and channel["thread_metadata"]["locked"]:
            archived = channel["thread_metadata"]["archived"]
            raise Refusal(403, 50083, "Thread is archived") if archived else Refusal(403, 160005, "Thread is locked")
        return channel

    def _active(self, request: web.Request) -> Json:
        """The channel, if it may be changed: in an archived thread messages can be deleted, and nothing else."""
        channel = self._seen(request)
        if channel["type"] in THREADS and channel["thread_metadata"]["archived"]:
            raise Refusal(400, 50083, "Thread is archived")
        return channel

    async def _channel(self, request: web.Request) -> Json:
        return self._seen(request)

    async def _edit_channel(self, request: web.Request) -> Json:
        channel = self._seen(request)
        if channel["type"] in THREADS and channel["thread_metadata"]["locked"]:
            raise Refusal(403, 50013, "Missing Permissions")
        changes = await request.json()
        if "archived" in changes and channel["type"] in THREADS:
            self._world.archives(channel["id"], archived=bool(changes["archived"]))
        return channel

    async def _typing(self, request: web.Request) -> None:
        self._active(request)
        self._world.typing.append(self._writable(request)["id"])

    async def _join(self, request: web.Request) -> None:
        channel = self._seen(request)
        if channel["thread_metadata"]["archived"]:
            raise Refusal(400, 50083, "Thread is archived")
        self._world.thread_members.setdefault(channel["id"], set()).add(self._world.bot)

    async def _thread_under(self, request: web.Request) -> Json:
        channel = self._seen(request)
        if channel["type"] != 0:
            raise Refusal(400, 50024, "Cannot execute action on this channel type")
        anchor = self._found(request)
        if anchor["id"] in self._world.channels:
            raise Refusal(400, 160004, "A thread has already been created for this message")
        asked = await request.json()
        title = str(asked["name"])
        if not 1 <= len(title) <= 100:
            raise Refusal(400, 50035, "Invalid Form Body")
        thread = self._world.opens_thread(channel["id"], title, thread_id=anchor["id"], minutes=minutes_of(asked))
        self._world.thread_members[thread] = {self._world.bot}
        return self._world.channels[thread]

    async def _thread(self, request: web.Request) -> Json:
        channel = self._seen(request)
        asked = await request.json()
        if channel["type"] not in (0, FORUM):
            raise Refusal(400, 50024, "Cannot execute action on this channel type")
        if channel["type"] == FORUM and channel.get("flags", 0) & REQUIRE_TAG and not asked.get("applied_tags"):
            raise Refusal(400, 40067, "A tag is required to create a forum post in this channel")
        kind, minutes = int(asked.get("type", 11)), minutes_of(asked)
        thread = self._world.opens_thread(channel["id"], str(asked["name"]), kind=kind, minutes=minutes)
        self._world.channels[thread]["applied_tags"] = asked.get("applied_tags", [])
        if channel["type"] == FORUM:
            check_message(asked["message"])
            self._world.add_message(thread, self._world.bot, **posted(asked["message"]))
        return self._world.channels[thread]

    # --- messages ----------------------------------------------------------------------------

    def _found(self, request: web.Request) -> Json:
        try:
            return self._world.message(self._seen(request)["id"], request.match_info["message"])
        except LookupError:
            raise Refusal(404, 10008, "Unknown Message") from None

    def _ours(self, request: web.Request) -> Json:
        message = self._found(request)
        if message["author"]["id"] != self._world.bot:
            raise Refusal(403, 50005, "Cannot edit a message authored by another user")
        return message

    def _history_closed(self, channel: Json) -> bool:
        return not self._world.may_not_read_history.isdisjoint((channel["id"], channel.get("parent_id")))

    async def _message(self, request: web.Request) -> Json:
        if self._history_closed(self._seen(request)):
            raise Refusal(403, 50001, "Missing Access")
        return self._found(request)

    async def _history(self, request: web.Request) -> list[Any]:
        channel = self._seen(request)
        if self._history_closed(channel):
            return []  # as documented: no error
        messages = self._world.messages[channel["id"]]
        limit = int(request.query.get("limit", 50))
        if not 1 <= limit <= 100:
            raise Refusal(400, 50035, "Invalid Form Body")
        if "after" in request.query:
            found = [m for m in messages if int(m["id"]) > int(request.query["after"])][:limit]
        else:
            before = int(request.query.get("before", 1 << 63))
            found = [m for m in messages if int(m["id"]) < before][-limit:]
        return [{key: value for key, value in m.items() if key != "nonce"} for m in reversed(found)]

    async def _post(self, request: web.Request) -> Json:
        channel = self._writable(request)
        if channel["type"] in THREADS and channel["thread_metadata"]["archived"]:
            self._world.archives(channel["id"], archived=False)
        body, files = await self._body(request, channel["id"])
        self.bodies.append(body)
        check_message(body, files=len(files))
        nonce = body.get("nonce")
        if nonce is not None and len(str(nonce)) > 25:
            raise Refusal(400, 50035, "Invalid Form Body")
        if nonce is not None and body.get("enforce_nonce"):
            known = self._nonces.get(str(nonce))
            if known is not None and time.monotonic() - known[0] < _NONCE_SECONDS:
                return known[1]
        reference = body.get("message_reference")
        if reference is not None and self._history_closed(channel):
            raise Refusal(400, 160002, "Cannot reply without permission to read message history")
        if reference is not None and reference.get("fail_if_not_exists", True):
            ids = {message["id"] for message in self._world.messages[channel["id"]]}
            if reference["message_id"] not in ids:
                raise Refusal(400, 50035, "Invalid Form Body")
        more = {"nonce": nonce} if nonce is not None else {}
        message = self._world.add_message(channel["id"], self._world.bot, **posted(body), attachments=files, **more)
        if nonce is not None:
            self._nonces[str(nonce)] = (time.monotonic(), message)
        return message

    async def _body(self, request: web.Request, channel_id: str) -> tuple[Json, list[Json]]:
        if not request.content_type.startswith("multipart/"):
            body = await request.json()
            return body, []
        form = await request.post()
        described_as = form["payload_json"]
        body = json.loads(described_as if isinstance(described_as, str | bytes | bytearray) else "")
        files = []
        for described in body.get("attachments", []):
            field = form[f"files[{described['id']}]"]
            assert isinstance(field, web.FileField)
            content = await asyncio.to_thread(field.file.read)
            if len(content) > 10 * 1024 * 1024:
                raise Refusal(413, 40005, "Request entity too large")
            files.append(self._world.attach(channel_id, described["filename"], content))
        return body, files

    async def _edit(self, request: web.Request) -> Json:
        self._active(request)
        self._writable(request)
        message = self._ours(request)
        body = await request.json()
        self.bodies.append(body)
        check_message({**message, **body}, files=len(message["attachments"]))
        message |= {**changed(message, body), "edited_timestamp": now()}
        self._world.tell("MESSAGE_UPDATE", self._world.seen_by_gateway(message))
        return message

    async def _delete(self, request: web.Request) -> None:
        self._world.deletes(self._seen(request)["id"], self._found(request)["id"])

    async def _react(self, request: web.Request) -> None:
        self._active(request)
        message, emoji = self._found(request), request.match_info["emoji"]
        if emoji.isascii():
            raise Refusal(400, 10014, "Unknown Emoji")
        self._world.bot_reacts(request.match_info["channel"], message["id"], emoji)

    async def _unreact(self, request: web.Request) -> None:
        message, emoji = self._found(request), request.match_info["emoji"]
        self._world.reactions.get(message["id"], {}).pop(emoji, None)

    # --- interactions ------------------------------------------------------------------------

    def _interaction(self, request: web.Request) -> Json:
        state = self._world.interactions.get(request.match_info["token"])
        if state is None:
            raise Refusal(404, 10015, "Unknown Webhook")
        if time.monotonic() - state["made"] > self.token_seconds:
            raise Refusal(401, 50027, "Invalid Webhook Token")
        return state

    async def _callback(self, request: web.Request) -> None:
        state = self._interaction(request)
        if time.monotonic() - state["made"] > self.interaction_seconds:
            raise Refusal(404, 10062, "Unknown interaction")
        if state["response"] is not None:
            raise Refusal(400, 40060, "Interaction has already been acknowledged.")
        body = await request.json()
        check_response(state["type"], body)
        state["response"] = body
        if body["type"] == 5:
            flags = LOADING | (body.get("data", {}).get("flags", 0) & EPHEMERAL)
            state["original"] = self._answer_message(state, {"content": "", "flags": flags}, [])

    async def _follow_up(self, request: web.Request) -> Json:
        state = self._interaction(request)
        if state["response"] is None:
            raise Refusal(404, 10015, "Unknown Webhook")
        body, files = await self._body(request, state["channel_id"])
        check_message(body, files=len(files))
        return self._answer_message(state, body, files)

    async def _edit_answer(self, request: web.Request) -> Json:
        state = self._interaction(request)
        wanted = request.match_info["message"]
        original = state["original"] or state["message"]
        if state["response"] is None or original is None:
            raise Refusal(404, 10008, "Unknown Message")
        message = original if wanted == "@original" else self._world.message(state["channel_id"], wanted)
        body, files = await self._body(request, state["channel_id"])
        check_message({**message, **body}, files=len(files) + len(message["attachments"]))
        ephemeral = message["flags"] & EPHEMERAL
        message |= {**changed(message, body), "attachments": [*message["attachments"], *files]}
        message["flags"] = (message["flags"] & ~LOADING) | ephemeral
        return message

    async def _delete_answer(self, request: web.Request) -> None:
        state = self._interaction(request)
        original = state["original"]
        if original is not None:
            self._world.messages[state["channel_id"]].remove(original)
            state["original"] = None

    def _answer_message(self, state: Json, body: Json, files: list[Json]) -> Json:
        return self._world.add_message(
            state["channel_id"],
            self._world.bot,
            **posted(body),
            attachments=files,
            type=20,
            webhook_id=self._world.application_id,
            for_user=state["user_id"],
        )

    # --- files -------------------------------------------------------------------------------

    async def _file(self, request: web.Request) -> web.StreamResponse:
        if self._faults.files_wait_for is not None:
            await self._faults.files_wait_for.wait()
        content = self._world.files.get(request.match_info["file"])
        if content is None:
            return web.Response(status=404, text="This content is no longer available.")
        return web.Response(body=content)


def _json(body: Any, *, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    """As Discord answers: the content type without a charset, and by way of a proxy. Clients look at both."""
    shown = {"Via": "1.1 loopback", **(headers or {})}
    return web.Response(body=json.dumps(body).encode(), status=status, headers=shown, content_type="application/json")


def _refused(refusal: Refusal) -> web.Response:
    return _json({"message": refusal.text, "code": refusal.code}, status=refusal.status)


def _too_many(headers: dict[str, str], wait: float, *, everything: bool) -> web.Response:
    body = {"message": "You are being rate limited.", "retry_after": round(wait, 3), "global": everything}
    return _json(body, status=429, headers={**headers, "Retry-After": str(max(1, round(wait)))})
