"""The chain: retries, fallback, breakers, what is declared void, and what an answer costs."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator
from datetime import timedelta

import pytest

from agents.models.base import (
    ContextTooLong,
    Event,
    Finished,
    Message,
    Model,
    ModelError,
    ModelName,
    ModelRefused,
    ModelUnavailable,
    Request,
    Restarted,
    Stop,
    Text,
    TextDelta,
    Thinking,
    Usage,
)
from agents.models.breaker import FAILURES_TO_OPEN
from agents.models.chain import ModelChain, build
from agents.models.settings import ModelSettings

MAIN, SPARE = ModelName("main"), ModelName("spare")
USAGE = Usage(input_tokens=1_000_000, output_tokens=100_000, cache_read_tokens=2_000_000, cache_write_tokens=500_000)


def finished(text: str = "ok", *, model: str = "m") -> Finished:
    return Finished(blocks=(Text(text=text),), stop=Stop.END, usage=USAGE, model=model)


class Scripted:
    """A model that does one act after the other, the last one again and again. An error ends its act."""

    def __init__(self, *acts: list[Event | ModelError]) -> None:
        self._acts = list(acts)
        self.requests: list[Request] = []
        self.closed_early = 0
        self.context_tokens: int | None = 1000

    async def stream(self, request: Request) -> AsyncGenerator[Event, None]:
        self.requests.append(request)
        act = self._acts.pop(0) if len(self._acts) > 1 else self._acts[0]
        try:
            for event in act:
                if isinstance(event, ModelError):
                    raise event
                yield event
        except GeneratorExit:
            self.closed_early += 1
            raise

    async def preload(self) -> None: ...

    async def close(self) -> None: ...


class Time:
    """A clock that sleeping moves."""

    def __init__(self) -> None:
        self.now = 0.0
        self.sleeps: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.now += seconds


def settings(**values: object) -> ModelSettings:
    return ModelSettings.model_validate({"kind": "anthropic", "model": "claude-sonnet-4-5", "api_key": "k", **values})


def chain(main: Scripted, spare: Scripted | None = None, *, time: Time | None = None, **values: object) -> ModelChain:
    time = time or Time()
    models: dict[ModelName, Model] = {MAIN: main}
    configured = {MAIN: settings(fallback=["spare"] if spare else [], **values)}
    if spare is not None:
        models[SPARE] = spare
        configured[SPARE] = settings(model="gpt-5", kind="openai")
    return ModelChain(configured, models, clock=lambda: time.now, sleep=time.sleep, jitter=lambda: 1.0)


async def ask(models: ModelChain, *messages: Message) -> list[Event]:
    return [event async for event in models.stream(MAIN, Request(system="", messages=messages))]


async def test_an_answer_passes_through_with_its_model_and_its_price() -> None:
    models = chain(Scripted([TextDelta(text="o"), TextDelta(text="k"), finished(model="claude-sonnet-4-5-20250929")]))
    *deltas, last = await ask(models)
    assert deltas == [TextDelta(text="o"), TextDelta(text="k")]
    assert isinstance(last, Finished)
    assert last.name == "main"
    assert last.cost_known
    # More than 200,000 tokens are in the list's upper tier: 6, 0.6, 7.5 and 22.5 dollars a million.
    assert last.cost_usd == pytest.approx(6.0 + 2 * 0.6 + 0.5 * 7.5 + 0.1 * 22.5)


async def test_a_configured_price_overrides_the_list() -> None:
    models = chain(Scripted([finished()]), price_usd_per_million={"input": 1.0, "output": 10.0, "cache_read": 0.1})
    last = (await ask(models))[-1]
    assert isinstance(last, Finished)
    assert last.cost_usd == pytest.approx(1.0 + 1.0 + 0.2 + 0.5)
    assert models.estimate_usd(MAIN, Request(system="x" * 3_500_000, messages=[])) == pytest.approx(1.0)


@pytest.mark.slow
async def test_a_model_without_a_price_is_free_marked_and_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    models = chain(Scripted([finished(model="homemade")]), model="homemade")
    for _ in range(2):
        last = (await ask(models))[-1]
        assert isinstance(last, Finished)
        assert (last.cost_usd, last.cost_known) == (0.0, False)
    assert [record.message.count("homemade") for record in caplog.records] == [1]


async def test_an_attempt_that_breaks_off_is_made_again_and_its_text_is_void() -> None:
    time = Time()
    main = Scripted(
        [TextDelta(text="Par"), ModelUnavailable("broke off")], [TextDelta(text="Paris"), finished("Paris")]
    )
    events = await ask(chain(main, time=time))
    assert events[:3] == [
        TextDelta(text="Par"),
        Restarted(reason="broke off", name=MAIN),
        TextDelta(text="Paris"),
    ]
    assert time.sleeps == [0.5]


async def test_waits_between_attempts_grow_and_are_capped() -> None:
    time = Time()
    with pytest.raises(ModelUnavailable):
        await ask(chain(Scripted([ModelUnavailable("down")]), time=time, attempts=4))
    assert time.sleeps == [0.5, 1.0, 2.0]


async def test_a_stream_that_ends_without_an_end_is_a_failure() -> None:
    with pytest.raises(ModelUnavailable, match="broke off"):
        await ask(chain(Scripted([TextDelta(text="half")]), attempts=1))


async def test_the_fallback_answers_when_the_first_does_not() -> None:
    main = Scripted([TextDelta(text="x"), ModelUnavailable("down")])
    events = await ask(chain(main, Scripted([finished("from spare")]), attempts=2))
    assert len(main.requests) == 2
    assert [event.name for event in events if isinstance(event, Restarted)] == [MAIN, SPARE]
    last = events[-1]
    assert isinstance(last, Finished)
    assert (last.name, last.blocks) == (SPARE, (Text(text="from spare"),))


async def test_a_refusal_is_not_tried_again_but_the_fallback_is_asked() -> None:
    main = Scripted([ModelRefused("wrong key")])
    events = await ask(chain(main, Scripted([finished()])))
    assert len(main.requests) == 1
    assert isinstance(events[-1], Finished)
    with pytest.raises(ModelRefused, match="wrong key"):
        await ask(chain(main))


async def test_when_all_fail_all_reasons_are_told() -> None:
    models = chain(Scripted([ModelRefused("wrong key")]), Scripted([ModelUnavailable("spare is down")]))
    with pytest.raises(ModelUnavailable, match="wrong key; spare is down"):
        await ask(models)


@pytest.mark.slow
async def test_a_short_retry_after_is_obeyed_and_a_long_one_goes_to_the_fallback_at_once() -> None:
    time = Time()
    limited = ModelUnavailable("limited", retry_after=timedelta(seconds=20))
    await ask(chain(Scripted([limited], [finished()]), time=time))
    assert time.sleeps == [20.0]

    time, main = Time(), Scripted([ModelUnavailable("limited", retry_after=timedelta(hours=1))])
    events = await ask(chain(main, Scripted([finished("spare")]), time=time))
    assert time.sleeps == []
    assert isinstance(events[-1], Finished)
    assert events[-1].name == SPARE


async def test_an_hour_s_retry_after_without_a_fallback_fails_now_and_says_when() -> None:
    time = Time()
    models = chain(Scripted([ModelUnavailable("limited", retry_after=timedelta(hours=1))]), time=time)
    with pytest.raises(ModelUnavailable) as caught:
        await ask(models)
    assert caught.value.retry_after == timedelta(hours=1)
    assert time.sleeps == []


@pytest.mark.requirement("P6")
async def test_a_model_that_keeps_failing_is_left_alone_and_tried_again_later() -> None:
    time = Time()
    down: list[Event | ModelError] = [ModelUnavailable("down")]
    main = Scripted(*[down] * FAILURES_TO_OPEN, [finished("back")])
    models = chain(main, time=time, attempts=1)
    for _ in range(FAILURES_TO_OPEN):
        with pytest.raises(ModelUnavailable, match="down"):
            await ask(models)
    assert not models.info(MAIN).available
    assert models.info(MAIN).detail == "down"
    with pytest.raises(ModelUnavailable, match="left alone") as caught:
        await ask(models)
    assert caught.value.retry_after is not None
    assert len(main.requests) == FAILURES_TO_OPEN
    time.now += 60.0
    assert isinstance((await ask(models))[-1], Finished)
    assert models.info(MAIN).available
    assert models.info(MAIN).detail == ""


async def test_a_conversation_that_is_too_long_goes_back_to_the_caller_at_once() -> None:
    spare = Scripted([finished()])
    with pytest.raises(ContextTooLong):
        await ask(chain(Scripted([ContextTooLong("too long")]), spare))
    assert spare.requests == []


async def test_a_fallback_that_it_is_too_long_for_is_passed_over() -> None:
    with pytest.raises(ModelUnavailable, match="down; too long"):
        await ask(chain(Scripted([ModelUnavailable("down")]), Scripted([ContextTooLong("too long")]), attempts=1))


async def test_reasoning_of_another_model_is_dropped() -> None:
    mine = Thinking(text="mine", signature="s", model="claude-sonnet-4-5")
    other = Thinking(text="other", signature="s", model="gpt-5")
    history = [
        Message(role="assistant", blocks=(mine, Text(text="a"))),
        Message(role="assistant", blocks=(other,)),
        Message(role="user", blocks=(Text(text="b"),)),
    ]
    main, spare = Scripted([ModelUnavailable("down")]), Scripted([finished()])
    await ask(chain(main, spare, attempts=1), *history)
    assert [message.blocks for message in main.requests[0].messages] == [(mine, Text(text="a")), (Text(text="b"),)]
    assert [message.blocks for message in spare.requests[0].messages] == [
        (Text(text="a"),),
        (other,),
        (Text(text="b"),),
    ]


async def test_closing_the_stream_early_closes_the_call_and_counts_as_no_failure() -> None:
    main = Scripted([TextDelta(text="a"), TextDelta(text="b"), finished()])
    models = chain(main)
    stream = models.stream(MAIN, Request(system="", messages=[]))
    assert await anext(stream) == TextDelta(text="a")
    await stream.aclose()
    assert main.closed_early == 1
    assert models.info(MAIN).available


class Hanging(Scripted):
    async def stream(self, request: Request) -> AsyncGenerator[Event, None]:
        self.requests.append(request)
        yield TextDelta(text="a")
        await asyncio.Event().wait()


@pytest.mark.slow
@pytest.mark.requirement("P8")
async def test_a_call_that_takes_too_long_is_ended() -> None:
    hanging = Hanging([])
    with pytest.raises(ModelUnavailable, match="within"):
        await ask(chain(hanging, timeout_seconds=0.05, attempts=3))
    assert len(hanging.requests) == 1
    last = (await ask(chain(Hanging([]), Scripted([finished("spare")]), timeout_seconds=0.05)))[-1]
    assert isinstance(last, Finished)
    assert last.name == SPARE


@pytest.mark.slow
async def test_time_that_the_reader_takes_is_not_the_model_s() -> None:
    main = Scripted([TextDelta(text="a"), TextDelta(text="b"), finished()])
    seen = []
    async for event in chain(main, timeout_seconds=0.05).stream(MAIN, Request(system="", messages=[])):
        seen.append(event)
        await asyncio.sleep(0.06)
    assert isinstance(seen[-1], Finished)


async def test_an_unknown_name_is_refused_with_those_that_exist() -> None:
    models = chain(Scripted([finished()]))
    with pytest.raises(ModelRefused, match=r"no model 'zzz'.*main"):
        [event async for event in models.stream(ModelName("zzz"), Request(system="", messages=[]))]
    with pytest.raises(ModelRefused):
        models.info(ModelName("zzz"))


async def test_the_context_is_the_configured_one_then_the_provider_s_then_the_list_s_then_a_careful_guess() -> None:
    assert chain(Scripted([])).context_tokens(MAIN) == 1000
    assert chain(Scripted([]), context_tokens=50_000).context_tokens(MAIN) == 50_000
    silent = Scripted([])
    silent.context_tokens = None
    assert chain(silent).context_tokens(MAIN) == 128_000
    assert chain(silent, base_url="http://127.0.0.1:1", model="homemade").context_tokens(MAIN) == 32_000
    models = chain(silent)
    await models.preload()
    assert models.context_tokens(MAIN) == 200_000


async def test_a_chain_is_built_from_settings_without_touching_any_server() -> None:
    models = build(
        {
            MAIN: ModelSettings.model_validate({"kind": "rehearsal", "fallback": ["spare"], "word_delay_seconds": 0.0}),
            SPARE: settings(),
        }
    )
    request = Request(system="", messages=[Message(role="user", blocks=(Text(text="say hello"),))])
    last = [event async for event in models.stream(MAIN, request)][-1]
    assert isinstance(last, Finished)
    assert (last.blocks, last.cost_usd, last.cost_known, last.name) == ((Text(text="hello"),), 0.0, True, MAIN)
    assert [(info.name, info.kind) for info in models.infos()] == [(MAIN, "rehearsal"), (SPARE, "anthropic")]
    await models.close()


@pytest.mark.parametrize(
    ("fallback", "told"),
    [("main", "its own fallback"), ("nobody", "there is no model 'nobody'")],
)
def test_a_fallback_that_cannot_work_is_refused(fallback: str, told: str) -> None:
    with pytest.raises(ValueError, match=r"models\.main\.fallback\[0\]") as caught:
        build({MAIN: settings(fallback=[fallback])})
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"model": ""}, "name the anthropic model"),
        ({"script": "x.toml"}, "only a model of kind"),
        ({"base_url": "localhost:11434"}, "is no address"),
        ({"thinking_tokens": 8192}, "less than max_tokens"),
        ({"context_tokens": 4096}, "more than max_tokens"),
        ({"max_token": 5}, "Extra inputs"),
        ({"timeout_seconds": "60"}, "valid number"),
        ({"kind": "clippy"}, "rehearsal"),
    ],
)
def test_settings_that_cannot_work_are_refused_with_what_to_write(values: dict[str, object], told: str) -> None:
    with pytest.raises(ValueError, match=re.escape(told)):
        settings(**values)


def test_a_key_does_not_show() -> None:
    assert "sk-secret" not in repr(settings(api_key="sk-secret"))
    with pytest.raises(ValueError, match="fallback") as caught:
        settings(api_key="sk-secret", fallback="spare")
    assert "sk-secret" not in str(caught.value)
    with pytest.raises(ValueError, match="copy it again") as caught:
        settings(api_key="sk-secret…")
    assert "sk-secret" not in str(caught.value)
