"""A clock that jumps: order, answers and the audit log hold, whatever the machine's clock does."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from storage.audit import AuditLog
from tests.slices.harness import running, write_config

pytestmark = pytest.mark.slow


@dataclass
class Clock:
    """The machine's clock, and by how much somebody has set it wrong."""

    off: timedelta = field(default_factory=timedelta)

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.off


@pytest.mark.requirement("P2")
@pytest.mark.parametrize("hours", [-3, 3, -30_000], ids=["back", "forth", "years back"])
async def test_answers_keep_their_order_over_a_jump_of_the_clock(tmp_path: Path, hours: int) -> None:
    clock = Clock()
    async with running(write_config(tmp_path), clock=clock) as threadmill:
        await threadmill.post("room", "say Before the jump")
        await threadmill.heard("room", "Before the jump")
        await threadmill.post("room", "spawn researcher as alpha: (wait 0.3s then say Found)\njoin\nsay Over the jump")
        await threadmill.until(lambda: threadmill.application.engine.awake, "the child runs")
        clock.off = timedelta(hours=hours)
        await threadmill.heard("room", "Over the jump")
        await threadmill.post("room", "say After the jump")
        await threadmill.heard("room", "After the jump")
        await threadmill.settled()
        rows = await threadmill.rows(
            "select d.text from timeline t join deliveries d on d.n = t.delivery where t.place = 'api:/main/room'"
            " order by t.n"
        )
        said = "\n".join(text for (text,) in rows)
        assert said.index("Before the jump") < said.index("Over the jump") < said.index("After the jump")
        assert await threadmill.rows("select count(*) from mail where kind = 'result'") == [(1,)]
        verified = await AuditLog(threadmill.database).verify()
        assert verified.broken is None, verified
