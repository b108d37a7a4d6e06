"""Talks: the nouns, the `Channel` protocol, delivery, and one module or package for each platform.

The lowest folder: it imports nothing else of Threadmill. Adapters do not know each other, and each
platform's SDK is imported by its adapter alone.
"""
