"""Files both ways. The bot's token goes only to hosts that are Slack's, and a file's content never into a log.

Out: an address to upload to, the bytes, and the sharing in the thread (files.getUploadURLExternal and
files.completeUploadExternal). In: `url_private_download` of the event, or files.info when Slack gave only an id.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from urllib.parse import urljoin, urlsplit

import aiohttp
from slack_sdk.web.async_client import AsyncWebClient

from channels.base import Attachment, Files, Rejected, TemporaryFailure, ThreadRef, Unavailable
from channels.slack.calls import dict_of, list_of
from channels.slack.parts import carried
from channels.slack.web import proxy_for

CHUNK = 64 * 1024
REDIRECTS = 3
TOTAL_SECONDS = 120.0


async def upload(client: AsyncWebClient, session: aiohttp.ClientSession, store: Files, attachment: Attachment) -> str:
    """Bring one file to Slack, not yet shown anywhere; its id. May raise what the SDK and aiohttp raise."""
    content = await _content(store, attachment)
    name = safe_name(attachment.name)
    if not content:
        raise Rejected(f"Slack takes no empty files ({name!r})")
    granted = await client.files_getUploadURLExternal(filename=name, length=len(content))
    address, file_id = granted.get("upload_url"), granted.get("file_id")
    if not isinstance(address, str) or not isinstance(file_id, str):
        raise Unavailable("Slack gave no address to upload to")
    timeout = aiohttp.ClientTimeout(total=25.0)
    async with session.post(address, data=content, proxy=proxy_for(address), timeout=timeout) as answer:
        if answer.status >= 500 or answer.status == 429:
            raise TemporaryFailure(f"Slack did not take the file {name!r} just now (status {answer.status})")
        if answer.status != 200:
            raise Rejected(f"Slack did not take the file {name!r} (status {answer.status})")
    return file_id


async def _content(store: Files, attachment: Attachment) -> bytes:
    made = carried(attachment)
    if made is not None:
        return made
    try:
        return await store.read(attachment)
    except FileNotFoundError as error:
        raise Rejected(f"the file {attachment.name!r} is no longer stored here") from error


async def share(client: AsyncWebClient, to: ThreadRef, files: Sequence[tuple[str, str]], comment: str = "") -> None:
    """Show uploaded files (id and name) in a place, as one message with the comment (mrkdwn) above them."""
    await client.files_completeUploadExternal(
        files=[{"id": file_id, "title": safe_name(name)} for file_id, name in files],
        channel_id=to.room,
        thread_ts=to.thread,
        initial_comment=comment or None,
    )


async def shared_as(client: AsyncWebClient, file_id: str, room: str) -> str:
    """The message that shows a file in a room, if Slack knows it by now: it shares in the background."""
    answer = await client.files_info(file=file_id)
    shares = dict_of(dict_of(answer, "file"), "shares")
    for kind in ("public", "private"):
        for shown in list_of(dict_of(shares, kind), room):
            if isinstance(ts := shown.get("ts"), str):
                return ts
    return ""


def safe_name(name: str) -> str:
    """A file's name without folders, control characters and length that no file system takes."""
    last = name.replace("\\", "/").rsplit("/", 1)[-1]
    kept = "".join(character for character in last if character.isprintable()).strip(" .")
    stem, dot, ending = kept.rpartition(".")
    return (stem[:100] + dot + ending[:16] if dot else kept[:116]) or "file"


async def download(
    client: AsyncWebClient, session: aiohttp.ClientSession, attachment: Attachment, limit_bytes: int
) -> AsyncIterator[bytes]:
    """The content, checked against the limit before and while it comes."""
    if attachment.size_bytes is not None and attachment.size_bytes > limit_bytes:
        raise Rejected(f"the file {attachment.name!r} has {attachment.size_bytes} bytes, more than {limit_bytes}")
    address = attachment.source
    if address.startswith("file:"):
        answer = await client.files_info(file=address.removeprefix("file:"))
        found = answer.get("file") or {}
        address = str(found.get("url_private_download") or found.get("url_private") or "")
    for _ in range(REDIRECTS + 1):
        check_host(address, client.base_url)
        async with session.get(
            address,
            headers={"Authorization": f"Bearer {client.token}"},
            proxy=proxy_for(address),
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(total=TOTAL_SECONDS, sock_connect=8.0, sock_read=20.0),
        ) as response:
            if response.status in {301, 302, 303, 307, 308}:
                address = urljoin(address, response.headers.get("Location", ""))
                continue
            _check_answer(response, attachment, limit_bytes)
            received = 0
            async for chunk in response.content.iter_chunked(CHUNK):
                received += len(chunk)
                if received > limit_bytes:
                    raise Rejected(f"the file {attachment.name!r} is larger than {limit_bytes} bytes")
                yield chunk
            return
    raise Rejected(f"the file {attachment.name!r} is behind too many redirects")


def check_host(address: str, base_url: str) -> None:
    """Raises Rejected for an address that must not see the token."""
    parts, base = urlsplit(address), urlsplit(base_url)
    host = (parts.hostname or "").lower()
    if (parts.scheme, parts.netloc.lower()) == (base.scheme, base.netloc.lower()):
        return
    if parts.scheme == "https" and (host == "slack.com" or host.endswith((".slack.com", ".slack-files.com"))):
        return
    if base.hostname == host and base.scheme == parts.scheme == "http":
        return  # a server on another port of the same machine, as in tests and in relays
    raise Rejected(f"the file lies on {host or 'no host'}, which is not Slack's")


def _check_answer(response: aiohttp.ClientResponse, attachment: Attachment, limit_bytes: int) -> None:
    if response.status >= 500 or response.status == 429:
        raise TemporaryFailure(f"Slack could not give the file {attachment.name!r} (status {response.status})")
    if response.status != 200:
        raise Rejected(f"Slack does not give the file {attachment.name!r} (status {response.status})")
    if response.content_type == "text/html" and attachment.media_type != "text/html":
        raise Rejected(f"Slack asks to sign in for {attachment.name!r}: the app lacks the scope files:read")
    if response.content_length is not None and response.content_length > limit_bytes:
        raise Rejected(f"the file {attachment.name!r} is larger than {limit_bytes} bytes")
