"""A Slack on loopback: Web API and Socket Mode as Slack documents them, spoken to by the unmodified client library.

Written from the references of the methods, the events and Socket Mode. `FakeSlack` is the whole of it:
the app's side is reached over HTTP and a websocket, people act through its methods.
"""

from tests.fakes.slack.server import FakeSlack
from tests.fakes.slack.workspace import APP, BOT, BOT_TOKEN, TEAM

__all__ = ["APP", "BOT", "BOT_TOKEN", "TEAM", "FakeSlack"]
