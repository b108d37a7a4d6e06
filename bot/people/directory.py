"""Who is behind an account: the people of the configuration, and the accounts that were linked or let in by a code.

Only immutable account ids count. A display name is cleaned for showing and is never compared with anything, so
calling oneself "ada" gives nothing. People that exist only because an operator let an account in are named by that
account (`slack:T1/U5`); a person of the configuration cannot have such a name, so neither can pass for the other.

The configuration wins over the store: an account listed there belongs to that person whatever was linked, and
a link to a person who was removed from it gives nothing.

Looking up is in memory; `configure` and `refresh` replace the whole picture at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from bot.access import Principal, Role
from channels.base import Account, ChannelName
from storage.people import Link

NAME_CHARACTERS = 80


class ListedPerson(Protocol):
    """A person as the configuration lists her (`bot.config.parts.Person`)."""

    @property
    def name(self) -> str: ...
    @property
    def accounts(self) -> tuple[Account, ...]: ...
    @property
    def role(self) -> Role: ...
    @property
    def reach(self) -> tuple[tuple[ChannelName, Account], ...]:
        """Where to reach her, in order. Empty: at any of her accounts."""


class Links(Protocol):
    """`storage.people` fulfils it."""

    async def links(self) -> Sequence[Link]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """A person with everything that is hers."""

    name: str
    role: Role
    accounts: tuple[Account, ...]  # in the order of the configuration, then as they were linked
    reach: tuple[tuple[ChannelName, Account], ...]

    @property
    def together(self) -> frozenset[Account]:
        return frozenset(self.accounts)


def channel_of(account: Account) -> ChannelName:
    return ChannelName(account.partition(":")[0])


def shown_name(name: str, account: Account) -> str:
    """A display name made safe to show in one line: nothing invisible, nothing that turns the writing
    direction, at most 80 characters; the account when nothing is left."""
    if not name.isprintable():
        name = "".join(letter if letter.isprintable() else " " for letter in name)
    return " ".join(name.split())[:NAME_CHARACTERS].rstrip() or account


class Directory:
    """All people, as they are now."""

    def __init__(self, store: Links) -> None:
        self._store = store
        self._listed: tuple[ListedPerson, ...] = ()
        self._links: Sequence[Link] = ()
        self._default_role = Role.NONE
        self._token_channels: frozenset[ChannelName] = frozenset()
        self._known: Mapping[Account, _Known] = {}

    def configure(
        self,
        people: Iterable[ListedPerson],
        *,
        default_role: Role = Role.NONE,
        token_channels: frozenset[ChannelName] = frozenset(),
    ) -> None:
        """Take over a configuration. `token_channels` are those that only somebody with the bearer token reaches
        (page, console, HTTP): he runs the bot, so he is its owner, there and with accounts linked from there.

        Raises ValueError with a sentence, and keeps the old picture, when two people have one account or a
        name could be taken for an account.
        """
        listed = tuple(people)
        known = _resolve(listed, self._links, default_role, token_channels)
        self._listed, self._default_role, self._token_channels = listed, default_role, token_channels
        self._known = known

    async def refresh(self) -> None:
        """Read the links anew, after the store changed. Raises StorageError."""
        links = await self._store.links()
        self._known = _resolve(self._listed, links, self._default_role, self._token_channels)
        self._links = links

    def principal(self, account: Account, name: str, is_bot: bool = False) -> Principal:
        known = self._known.get(account)
        role = known.role if known else self._default_role
        by_token = bool(self._token_channels) and channel_of(account) in self._token_channels
        if by_token:
            role = Role.OWNER
        return Principal(
            account=account,
            person=known.name if known else None,
            name=shown_name(name, account),
            role=role,
            accounts=known.together if known else frozenset((account,)),
            is_bot=is_bot,
            by_token=by_token,
        )

    def reach_of(self, account: Account) -> tuple[tuple[ChannelName, Account], ...]:
        """The places to reach the person behind an account, best first. Without a `reach` in the configuration:
        this account, then her others. Somebody unknown is reached at this account only."""
        known = self._known.get(account)
        if known is not None and known.reach:
            return known.reach
        others = (other for other in known.accounts if other != account) if known else ()
        return tuple((channel_of(one), one) for one in (account, *others))

    def accounts_named(self, name: str) -> tuple[tuple[Account, ...], ...]:
        """The accounts of the person of this name, or of each person who has this role or a higher one; empty when
        there is nobody."""
        people = {known.name: known for known in self._known.values()}
        if name in people:
            return (people[name].accounts,)
        try:
            least = Role.named(name)
        except ValueError:
            return ()
        return tuple(known.accounts for known in people.values() if known.role >= least > Role.NONE)

    def names(self) -> tuple[str, ...]:
        """The people of the configuration."""
        return tuple(person.name for person in self._listed)

    def reach_of_role(self, least: Role) -> tuple[tuple[tuple[ChannelName, Account], ...], ...]:
        """How to reach each person of at least this role: operators to be told, owners to be asked."""
        found = {known.name: known for known in self._known.values() if known.role >= least}
        return tuple(self.reach_of(known.accounts[0]) for known in found.values())

    def operators_at(self, channel: ChannelName) -> tuple[Account, ...]:
        """The accounts of operators and owners at a channel."""
        found = (account for account, known in self._known.items() if known.role >= Role.OPERATOR)
        return tuple(account for account in found if account.startswith(f"{channel}:"))


def _resolve(
    people: Sequence[ListedPerson],
    links: Sequence[Link],
    default_role: Role,
    token_channels: frozenset[ChannelName],
) -> Mapping[Account, _Known]:
    """Every known account with its person."""
    names: dict[Account, str] = {}
    for person in people:
        if ":" in person.name:
            raise ValueError(f"[people.{person.name}]: a person's name cannot have a colon, that is an account's form")
        for account in person.accounts:
            if names.setdefault(account, person.name) != person.name:
                raise ValueError(
                    f"[people]: the account {account} belongs to {names[account]} and to {person.name}: leave it to one"
                )
    listed = {person.name: person for person in people}
    roles: dict[str, Role] = {}  # of the people whom only the store knows
    for link in links:
        if link.account in names:
            continue
        if link.person in listed:
            names[link.account] = link.person
        elif ":" in link.person and names.get(Account(link.person), link.person) == link.person:
            names[link.account] = link.person
            with_token = channel_of(Account(link.person)) in token_channels
            roles.setdefault(link.person, Role.OWNER if with_token else default_role)
            if link.account == link.person and link.role is not None:
                roles[link.person] = Role.named(link.role)
    for name in roles:  # one who linked accounts without having been let in: the default role was enough
        names.setdefault(Account(name), name)
    accounts: dict[str, list[Account]] = {}
    for account, name in names.items():
        accounts.setdefault(name, []).append(account)
    known = {
        name: _Known(
            name=name,
            role=listed[name].role if name in listed else roles[name],
            accounts=tuple(hers),
            reach=listed[name].reach if name in listed else (),
        )
        for name, hers in accounts.items()
    }
    return {account: known[name] for account, name in names.items()}
