"""How a stranger is let in, and how a person joins a second account: with short-lived codes.

Two kinds of code, with opposite directions, and never one in place of the other. A *pairing* code is given to the
stranger, who shows it to an operator, who enters it: it is worth nothing to anybody else. A *link* code is given to
somebody who is known, who enters it from his other account: whoever has it becomes him, so it is only told in a
private place.

A code has 8 characters of an alphabet in which no two look alike, and lives an hour. At most 3 wait for an account
and 100 for all strangers together; five wrong codes in an hour, and an account's codes are not looked at any more.
A stranger is answered once an hour; that hour is kept in the store and survives a restart.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from bot.access import Action, Principal, Role, authorise, may_grant
from bot.people.directory import Directory, shown_name
from channels.base import Account, ThreadRef
from storage.inbox import Stored
from storage.people import LINK, Asked, Limits, LockedOut, Pairing, People, WrongCode

ALPHABET = "23456789ABCDEFGHJKMNPQRSTVWXYZ"  # without 0 O, 1 I L, and U, which looks like V
LENGTH = 8
LIFE = timedelta(hours=1)
LIMITS = Limits(
    pending_an_account=3,
    pending_strangers=100,
    wrong_codes=5,
    window=timedelta(hours=1),
    after_denial=timedelta(hours=24),
)
_CODE = re.compile(f"[{ALPHABET}]{{{LENGTH}}}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came of it, as a sentence for the person. `account` is whom it was about, to tell him too."""

    done: bool
    text: str
    account: Account | None = None
    place: ThreadRef | None = None


def new_code() -> str:
    return "".join(secrets.choice(ALPHABET) for _ in range(LENGTH))


def code_in(text: str) -> str | None:
    """The code that a person typed, however he wrote it (`k7mq-2xzd`); None when it cannot be one."""
    code = re.sub(r"[\s`-]", "", text[:40]).upper()
    return code if _CODE.fullmatch(code) else None


def shown(code: str) -> str:
    """In two halves, easier to read out."""
    return f"{code[: LENGTH // 2]}-{code[LENGTH // 2 :]}"


class PairingDesk:
    """Where codes are given out and taken in. Asks the gate itself."""

    def __init__(self, store: People, directory: Directory) -> None:
        self._store = store
        self._directory = directory

    async def greeting(self, stored: Stored, answer: str, now: datetime) -> str | None:
        """What to tell a stranger who addressed the bot. None: he was told within the hour, or too many wait."""
        sender = stored.event.sender
        code = await self._ask(sender.account, sender.name, "pair", stored.event.where, now)
        if isinstance(code, Asked):
            return None
        return (
            f"{answer} Give them this code within the hour: `{shown(code)}`"
            f" (they answer with `/approve {shown(code)}`)."
        )

    async def offer_link(self, by: Principal, where: ThreadRef, *, private: bool, now: datetime) -> Answer:
        """A code with which `by` joins another account of his."""
        verdict = authorise(by, Action.LINK)
        if not verdict.allowed or by.role is Role.NONE:
            return Answer(done=False, text=verdict.reason or "Only people who are known here can link accounts.")
        if not private:
            return Answer(
                done=False,
                text="Write /link to me directly: whoever reads the code here could link his account to yours.",
            )
        code = await self._ask(by.account, by.name, LINK + (by.person or by.account), where, now)
        if isinstance(code, Asked):
            text = "You have as many codes open as are allowed. Use one of them, or wait an hour."
            return Answer(done=False, text=text)
        return Answer(
            done=True,
            text=f"From your other account, write to me within the hour: `/link {shown(code)}`. Give the code to"
            " nobody: whoever enters it has your rights here.",
        )

    async def link(self, typed: str, by: Principal, now: datetime) -> Answer:
        """Enter a link code from the account that is to be joined."""
        code = code_in(typed)
        verdict = authorise(by, Action.LINK)
        if not verdict.allowed:
            return Answer(done=False, text=verdict.reason)
        if code is None:
            return _no_code(typed)
        if by.role is Role.OWNER or (by.person is not None and ":" not in by.person):
            # Otherwise whoever talks an owner into entering a code would share in what is his.
            return Answer(
                done=False,
                text=f"This account already belongs to {by.person or 'the owner'}. To join others to it, write /link"
                " without a code and enter the code that you get from the other account.",
            )
        found = await self._store.join(code, by.account, now)
        if not isinstance(found, Pairing):
            return _refused(found)
        if found.made_by(by.account):
            return Answer(done=False, text="This code is entered from your other account, not from this one.")
        await self._directory.refresh()
        role = self._directory.principal(by.account, by.name).role.word
        return Answer(
            done=True,
            text=f"Done: this account and {found.account} are one person here, with the role {role}.",
            account=found.account,
            place=found.place,
        )

    async def approve(self, typed: str, by: Principal, role: Role, now: datetime) -> Answer:
        """Let a stranger in. `role` is what he gets."""
        code, verdict = code_in(typed), may_grant(by, role)
        if not verdict.allowed:
            return Answer(done=False, text=verdict.reason)
        if code is None:
            return _no_code(typed)
        found = await self._store.approve(code, role.word, by.account, now)
        if not isinstance(found, Pairing):
            return _refused(found)
        await self._directory.refresh()
        return Answer(
            done=True,
            text=f"{found.account} (calls himself “{shown_name(found.name, found.account)}”) is let in"
            f" with the role {role.word}.",
            account=found.account,
            place=found.place,
        )

    async def deny(self, typed: str, by: Principal, now: datetime) -> Answer:
        code, verdict = code_in(typed), authorise(by, Action.PAIRINGS)
        if not verdict.allowed:
            return Answer(done=False, text=verdict.reason)
        if code is None:
            return _no_code(typed)
        found = await self._store.deny(code, by.account, now)
        if not isinstance(found, Pairing):
            return _refused(found)
        return Answer(
            done=True, text=f"{found.account} is not let in, and not answered for a day.", account=found.account
        )

    async def pending(self, now: datetime) -> Sequence[Pairing]:
        """Strangers who wait to be let in, oldest first."""
        return [request for request in await self._store.pending(now) if request.purpose == "pair"]

    async def _ask(self, account: Account, name: str, purpose: str, where: ThreadRef, now: datetime) -> str | Asked:
        """A stored code, or why there is none."""
        asked = Asked.TAKEN
        for _ in range(3):  # of 30^8 codes, a second try is already a wonder
            request = Pairing(
                code=new_code(),
                account=account,
                name=shown_name(name, account),
                purpose=purpose,
                place=where,
                created_at=now,
                expires_at=now + LIFE,
            )
            asked = await self._store.ask(request)
            if asked is Asked.STORED:
                return request.code
            if asked is not Asked.TAKEN:
                break
        return asked


def _no_code(typed: str) -> Answer:
    told = shown_name(typed[:40], Account("this"))
    return Answer(
        done=False, text=f"“{told}” is not a code: a code has {LENGTH} letters and digits, such as K7MQ-2XZD."
    )


def _refused(refusal: WrongCode | LockedOut) -> Answer:
    if isinstance(refusal, LockedOut):
        return Answer(
            done=False,
            text="Too many wrong codes came from your account, so none is looked at before"
            f" {refusal.until:%H:%M} UTC. Ask for a new code after that.",
        )
    left = f"{refusal.left} more {'try' if refusal.left == 1 else 'tries'}" if refusal.left else "no more tries"
    return Answer(
        done=False,
        text=f"No request waits with this code: codes live an hour and work once. You have {left} this hour.",
    )
