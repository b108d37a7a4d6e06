"""What is counted comes out as Prometheus text."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from bot.metrics import Metrics


def samples(metrics: Metrics) -> dict[tuple[str, ...], float]:
    families = text_string_to_metric_families(metrics.text().decode())
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in families
        for sample in family.samples
        if not sample.name.endswith("_created")
    }


def test_what_happened_is_counted_by_its_labels() -> None:
    metrics = Metrics()
    metrics.accepted("slack", "message")
    metrics.accepted("slack", "message")
    metrics.routed("slack", "to_session")
    metrics.delivered("telegram", "sent", 0.2)
    metrics.delivered("telegram", "dead")
    metrics.turn_ended("assistant", "done", 1.5)
    metrics.model_called("rehearsal", 10, 0.0)
    metrics.model_called("rehearsal", 5, 0.25)
    metrics.monitor_fired("done")
    found = samples(metrics)
    assert found["threadmill_events_accepted_total", "slack", "message"] == 2
    assert found["threadmill_events_routed_total", "slack", "to_session"] == 1
    assert found["threadmill_deliveries_total", "telegram", "dead"] == 1
    assert found["threadmill_delivery_seconds_sum", "telegram"] == 0.2
    assert found["threadmill_turn_seconds_count", "assistant", "done"] == 1
    assert found["threadmill_model_tokens_total", "rehearsal"] == 15
    assert found["threadmill_model_cost_usd_total", "rehearsal"] == 0.25
    assert found["threadmill_monitor_firings_total", "done"] == 1


def test_values_that_others_keep_are_read_at_each_scrape() -> None:
    metrics = Metrics()
    awake = 3
    metrics.gauge("sessions_awake", "Sessions with an activation", lambda: awake)
    metrics.counter("commits", "Commits", lambda: 7)
    metrics.channels(lambda: {"slack": True, "telegram": False})
    assert samples(metrics)["threadmill_sessions_awake",] == 3
    awake = 4
    found = samples(metrics)
    assert found["threadmill_sessions_awake",] == 4
    assert found["threadmill_commits_total",] == 7
    assert (found["threadmill_channel_up", "slack"], found["threadmill_channel_up", "telegram"]) == (1, 0)


def test_two_of_them_do_not_add_up() -> None:
    first, second = Metrics(), Metrics()
    first.accepted("web", "message")
    assert ("threadmill_events_accepted_total", "web", "message") not in samples(second)
