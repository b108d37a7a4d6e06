"""Discord's rate limits as we keep them: pure arithmetic on a clock that is an argument."""

from __future__ import annotations

from channels.discord.pace import Pace

POST = "POST /channels/{channel_id}/messages"


def headers(remaining: int, reset_after: float, limit: int = 5, name: str = "abc") -> dict[str, str]:
    return {
        "X-RateLimit-Limit": str(limit),
        "X-RateLimit-Remaining": str(remaining),
        "X-RateLimit-Reset-After": str(reset_after),
        "X-RateLimit-Bucket": name,
    }


def learned(remaining: int = 4, reset_after: float = 5.0) -> Pace:
    """A pace after the first answer in room 1."""
    pace = Pace()
    assert pace.wait_for(POST, "1", 0.0) == 0
    pace.answered(POST, "1", headers(remaining, reset_after), 0.0)
    return pace


def test_a_new_route_lets_one_request_go_and_learns_from_its_answer() -> None:
    pace = Pace()
    assert pace.wait_for(POST, "1", 0.0) == 0
    assert pace.wait_for(POST, "1", 0.0) > 0
    pace.answered(POST, "1", headers(4, 5.0), 0.1)
    assert [pace.wait_for(POST, "1", 0.1) for _ in range(3)] == [0, 0, 0]
    assert pace.wait_for(POST, "1", 0.1) == 5.0
    assert pace.wait_for(POST, "1", 0.1, urgent=True) == 0, "the last one of a window is for control replies"
    assert pace.wait_for(POST, "1", 0.1, urgent=True) == 5.0


def test_a_route_without_limits_is_not_held_up() -> None:
    pace = Pace()
    assert pace.wait_for("GET /gateway/bot", "", 0.0) == 0
    pace.answered("GET /gateway/bot", "", {}, 0.0)
    assert [pace.wait_for("GET /gateway/bot", "", 0.0) for _ in range(10)] == [0] * 10


def test_a_first_request_that_is_lost_lets_the_next_one_go() -> None:
    pace = Pace()
    assert pace.wait_for(POST, "1", 0.0) == 0
    pace.lost(POST, "1")
    assert pace.wait_for(POST, "1", 0.0) == 0


def test_rooms_have_windows_of_their_own_with_the_limit_of_the_route() -> None:
    pace = learned(remaining=0)
    assert pace.wait_for(POST, "1", 1.0) == 4.0
    assert [pace.wait_for(POST, "2", 1.0) for _ in range(4)] == [0] * 4
    assert pace.wait_for(POST, "2", 1.0) > 0


def test_a_window_that_ended_is_full_again_but_for_what_is_still_on_its_way() -> None:
    pace = learned()
    for _ in range(4):
        assert pace.wait_for(POST, "1", 1.0, urgent=True) == 0
    assert pace.wait_for(POST, "1", 4.9, urgent=True) > 0
    assert pace.wait_for(POST, "1", 5.0, urgent=True) == 0
    assert pace.wait_for(POST, "1", 5.0, urgent=True) > 0
    pace.lost(POST, "1")
    assert pace.wait_for(POST, "1", 5.0, urgent=True) == 0


def test_a_refusal_holds_its_room_or_everything() -> None:
    pace = learned()
    pace.refused(POST, "1", 30.0, 1.0, everything=False)
    assert pace.wait_for(POST, "1", 1.0) == 30.0
    assert pace.wait_for(POST, "2", 1.0) == 0
    pace.refused(POST, "2", 10.0, 1.0, everything=True)
    assert pace.wait_for(POST, "3", 1.0) == 10.0
    assert pace.wait_for(POST, "3", 11.0) == 0


def test_an_overall_limit_that_no_header_tells_of_is_kept_from_its_first_refusal_on() -> None:
    pace = Pace()
    pace.answered("free", "", {}, 0.0)
    assert [pace.wait_for("free", "", 0.0) for _ in range(200)] == [0] * 200
    pace.refused("free", "", 1.0, 0.0, everything=True)
    assert [pace.wait_for("free", "", 1.0) for _ in range(45)] == [0] * 45
    assert pace.wait_for("free", "", 1.0) == 1.0


def test_the_last_slots_of_a_second_are_kept_for_what_is_urgent() -> None:
    pace = Pace(50)
    pace.answered("free", "", {}, 0.0)
    assert [pace.wait_for("free", "", 0.5) for _ in range(45)] == [0] * 45
    assert pace.wait_for("free", "", 0.6) == 0.9
    assert [pace.wait_for("free", "", 0.6, urgent=True) for _ in range(5)] == [0] * 5
    assert pace.wait_for("free", "", 0.6, urgent=True) == 0.9
    assert pace.wait_for("free", "", 0.6, counted=False) == 0
    assert pace.wait_for("free", "", 1.5) == 0


def test_a_waiting_control_reply_gets_the_next_slot_of_its_room() -> None:
    pace = learned(remaining=0, reset_after=1.0)
    pace.waits_urgently(POST, "1", +1)
    pace.answered(POST, "1", headers(1, 1.0), 2.0)
    assert pace.wait_for(POST, "1", 2.0) > 0
    assert pace.wait_for(POST, "1", 2.0, urgent=True) == 0
    pace.waits_urgently(POST, "1", -1)


def test_too_many_refusals_stop_us_before_discord_bans_the_address() -> None:
    pace = Pace()
    for _ in range(9_000):
        pace.invalid(100.0)
    assert pace.wait_for(POST, "1", 200.0) == 500.0
    assert pace.wait_for(POST, "1", 700.0) == 0


def test_broken_headers_teach_nothing() -> None:
    pace = learned()
    pace.answered(POST, "1", {"X-RateLimit-Limit": "many", "X-RateLimit-Remaining": ""}, 1.0)
    assert pace.wait_for(POST, "1", 1.0) == 0


def test_thousands_of_rooms_do_not_pile_up() -> None:
    pace = learned()
    for number in range(10_000):
        now = float(number)
        assert pace.wait_for(POST, str(number), now) == 0
        pace.answered(POST, str(number), headers(4, 0.5), now)
    assert len(pace._buckets) <= 4_096
