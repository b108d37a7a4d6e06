"""Thinks: sessions, turns, models, tools and monitors.

Of `channels` it imports only `channels.base`. What it needs from a store or a platform it declares
as a small `Protocol` beside the code that needs it, and `bot.app` connects the two.
"""
