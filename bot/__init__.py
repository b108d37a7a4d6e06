"""Assembles Threadmill: config, routing, commands, access, the web page and the command line.

The top folder. It may import all others and none of them imports it; `bot.app` connects everything
and owns the root `TaskGroup`.
"""
