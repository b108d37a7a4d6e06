"""Files that people sent.

Discord names a file by an address that anybody could forge in a payload and that expires after a day. So only hosts
that serve Discord's files are asked, no redirect is followed, no more than the limit is read, and an expired
address is renewed from the message that the file belongs to.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import aiohttp

from channels.base import Attachment, Rejected, TemporaryFailure
from channels.discord.errors import spoken
from channels.discord.payloads import Message
from channels.discord.rest import Rest

_OFFICIAL_HOSTS = frozenset({"cdn.discordapp.com", "media.discordapp.net"})
_CHUNK_BYTES = 64 * 1024
_EXPIRED = frozenset({403, 404, 410})


class Downloads:
    """Reads attachments by the `source` that `normalize` made: `channel/message/file address`."""

    def __init__(self, session: aiohttp.ClientSession, rest: Rest, *, base_url: str, official: bool) -> None:
        self._session = session
        self._rest = rest
        self._hosts = _OFFICIAL_HOSTS if official else frozenset({urlsplit(base_url).hostname})
        self._schemes = {"https"} if official else {urlsplit(base_url).scheme, "https"}

    async def fetch(self, attachment: Attachment, limit_bytes: int) -> AsyncIterator[bytes]:
        """The content in chunks. Raises Rejected when there is more than `limit_bytes` of it."""
        if attachment.size_bytes is not None and attachment.size_bytes > limit_bytes:
            raise Rejected(f"{attachment.name} has {attachment.size_bytes} bytes; at most {limit_bytes} are taken")
        ids, _, address = attachment.source.partition(" ")
        for renewed in (False, True):
            if renewed:
                address = await self._renewed(ids, attachment)
            self._check(address, attachment)
            async with self._session.get(address, allow_redirects=False) as response:
                if response.status in _EXPIRED and not renewed:
                    continue
                if response.status >= 500 or response.status == 429:
                    raise TemporaryFailure(f"Discord does not give {attachment.name} now (HTTP {response.status})")
                if response.status != 200:
                    raise Rejected(f"Discord does not give {attachment.name} (HTTP {response.status})")
                read = 0
                async for chunk in response.content.iter_chunked(_CHUNK_BYTES):
                    read += len(chunk)
                    if read > limit_bytes:
                        raise Rejected(f"{attachment.name} is larger than {limit_bytes} bytes")
                    yield chunk
                return

    async def _renewed(self, ids: str, attachment: Attachment) -> str:
        channel_id, _, rest = ids.partition("/")
        message_id, _, file_id = rest.partition("/")
        if not channel_id.isdecimal() or not message_id.isdecimal():
            raise Rejected(f"{attachment.name} is gone from Discord")
        with spoken("find an attachment again"):
            message = Message.model_validate(await self._rest.get_message(channel_id, message_id))
        for file in message.attachments:
            if file.id == file_id:
                return file.url
        raise Rejected(f"{attachment.name} is gone from its message")

    def _check(self, address: str, attachment: Attachment) -> None:
        parts = urlsplit(address)
        if parts.hostname not in self._hosts or parts.scheme not in self._schemes:
            raise Rejected(f"{attachment.name} is not on one of Discord's file servers")
