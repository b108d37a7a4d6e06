"""The model of the benchmarks: a Messages API on loopback that answers at once with the time when it was asked.

So one message's way can be cut in two: from its acceptance to the model call, and from the model's end to the reader.
A message with a name in it (`message 17-3`) is answered with words that end in that name, so that one can tell of each
answer what it answers.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import time
from typing import Any

from tests.fakes.anthropic import FakeAnthropic
from tests.fakes.anthropic_answers import Answer, text

_WORDS = " lorem ipsum dolor sit amet consetetur sadipscing elitr sed diam nonumy eirmod tempor invidunt ut labore" * 3
_NAMED = re.compile(r"message (\d+-\d+)")


def _answer(asked: dict[str, Any]) -> Answer:
    names = _NAMED.findall(json.dumps(asked["messages"][-1]))
    end = f" answers {names[-1]}" if names else ""
    return Answer(blocks=(text(f"{time.time_ns()}{_WORDS}{end}"),))


async def _serve(port: int) -> None:
    async with FakeAnthropic(port, record=False) as server:
        server.brain = _answer
        print(server.address, flush=True)
        await asyncio.Event().wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    asyncio.run(_serve(parser.parse_args().port))


if __name__ == "__main__":
    main()
