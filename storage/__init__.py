"""Remembers: SQLite behind the ports that other folders declare.

It imports the nouns and ports of `agents` and `channels`, never an adapter, a model or a tool, so
that another store can take its place without touching anything else.
"""
