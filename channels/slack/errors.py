"""Slack's errors in our four kinds. Pure but for the SDK's exception types.

Slack answers most failures with status 200, `ok: false` and a word; the words are listed with each method.
What the connection did tells the rest: before the request had left, nothing was said; after, it may have been.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import aiohttp
from slack_sdk.errors import SlackApiError, SlackClientError

from channels.base import ChannelError, NoThreads, Rejected, TemporaryFailure, Unavailable, UnknownOutcome

LOCKED_OUT = {
    "invalid_auth": "Slack does not know this token: copy the bot token again from OAuth & Permissions",
    "not_authed": "Slack saw no token: set bot_token",
    "token_revoked": "the token was revoked: install the app again and copy its new token",
    "token_expired": "the token has expired: switch token rotation off, or install the app again",
    "account_inactive": "the app was removed from the workspace or its account switched off: install it again",
    "app_uninstalled": "the app was removed from the workspace: install it again",
    "not_allowed_token_type": "the wrong kind of token: bot_token starts with xoxb-, app_token with xapp-",
    "ekm_access_denied": "an administrator has suspended access to the workspace's messages",
    "org_login_required": "the workspace is being moved to an organisation: install the app again when that is done",
    "link_disabled": "Socket Mode is switched off for this app: switch it on in the app's settings",
    "socket_mode_not_enabled": "Socket Mode is switched off for this app: switch it on in the app's settings",
    "forbidden_team": "the app is not allowed in this workspace",
}
"""Words that say that only a person can let us in again, with what to do."""

BUSY = frozenset({"ratelimited", "rate_limited", "message_limit_exceeded"})
PASSING = frozenset({"service_unavailable", "accesslimited", "team_added_to_org", "request_timeout", "update_failed"})
MAYBE_DONE = frozenset({"internal_error", "fatal_error"})
"""Slack's documents: "It's possible some aspect of the operation succeeded before the error was raised"."""

THREADLESS = frozenset(
    {
        "restricted_action_non_threadable_channel",
        "cannot_reply_to_message",
        "thread_locked",
        "channel_type_not_supported",
    }
)
ADVICE = {
    "channel_not_found": "there is no such channel, or it is private and the bot is not in it: invite the bot",
    "not_in_channel": "the bot is not in this channel: invite it",
    "is_archived": "the channel is archived",
    "restricted_action": "a workspace setting forbids the bot to post here",
    "restricted_action_read_only_channel": "this channel is read-only",
    "user_not_found": "there is no such account",
    "cannot_dm_bot": "bots cannot be written to",
    "user_disabled": "this account is switched off",
}
UNFIT = frozenset(
    {
        "invalid_blocks",
        "invalid_blocks_format",
        "msg_blocks_too_long",
        "msg_too_long",
        "invalid_attachments",
        "no_text",
    }
)
"""The form was not taken; the same words may be taken as plain text."""


def word_of(error: SlackApiError) -> str:
    """Slack's word for what went wrong; empty when its answer had none (an error page, say)."""
    data = getattr(error.response, "data", None)
    word = data.get("error") if isinstance(data, dict) else None
    return word if isinstance(word, str) else ""


def translate(error: BaseException, doing: str, *, says: bool) -> ChannelError:
    """`doing` completes "Slack refused to …"; `says` when people would see the effect of the call."""
    if isinstance(error, ChannelError):
        return error
    if isinstance(error, SlackApiError):
        return _answered(error, doing, says=says)
    if isinstance(error, (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)):
        return Unavailable(f"Slack cannot be reached ({type(error).__name__})")
    if isinstance(error, (aiohttp.ClientError, TimeoutError, OSError)):
        if says:
            return UnknownOutcome(f"the connection broke while asking Slack to {doing} ({type(error).__name__})")
        return Unavailable(f"the connection to Slack broke ({type(error).__name__})")
    if isinstance(error, (SlackClientError, ValueError, AttributeError)):
        # The SDK trips over an answer that is not Slack's JSON: a proxy's page, for one.
        if says:
            return UnknownOutcome(f"Slack's answer when asked to {doing} could not be read ({type(error).__name__})")
        return Unavailable(f"Slack's answer could not be read ({type(error).__name__})")
    raise error


def _answered(error: SlackApiError, doing: str, *, says: bool) -> ChannelError:
    word, status = word_of(error), _status(error)
    if status == 429 or word in BUSY:
        return TemporaryFailure(f"Slack asks to {doing} more slowly", retry_after=retry_after(_headers(error)))
    if word in MAYBE_DONE and says:
        return UnknownOutcome(f"Slack failed half-way when asked to {doing} ({word})")
    if word in PASSING or word in MAYBE_DONE or status >= 500:
        return TemporaryFailure(f"Slack could not {doing} just now ({word or f'status {status}'})")
    if word or status in {401, 403, 404, 413}:
        return _refused(error, word or f"status {status}", doing)
    if says and status == 200:
        return UnknownOutcome(f"Slack's answer when asked to {doing} could not be read")
    return Unavailable(f"Slack's answer could not be read (status {status})")


def _refused(error: SlackApiError, word: str, doing: str) -> Rejected:
    if word in THREADLESS:
        return NoThreads(f"Slack refused to {doing}: no threads here ({word})")
    advice = LOCKED_OUT.get(word) or ADVICE.get(word)
    if word == "missing_scope":
        advice = f"the app lacks a permission: add the scope {error.response.data.get('needed')} and install it again"
    return Rejected(f"Slack refused to {doing}: {advice} ({word})" if advice else f"Slack refused to {doing} ({word})")


def locked_out(error: SlackApiError) -> bool:
    return word_of(error) in LOCKED_OUT


def retry_after(headers: Mapping[str, Any]) -> timedelta:
    """Seconds in Retry-After; one second when it is missing or nonsense."""
    for name, value in headers.items():
        if name.lower() == "retry-after":
            try:
                seconds = float(value[0] if isinstance(value, list) else value)
            except (TypeError, ValueError):
                break
            if math.isfinite(seconds) and 0 <= seconds <= 86_400:
                return timedelta(seconds=seconds)
    return timedelta(seconds=1)


def _status(error: SlackApiError) -> int:
    status = getattr(error.response, "status_code", None) or getattr(error.response, "status", None)
    return status if isinstance(status, int) else 0


def _headers(error: SlackApiError) -> Mapping[str, Any]:
    headers = getattr(error.response, "headers", None)
    return headers if isinstance(headers, Mapping) else {}
