"""Tests of each platform adapter, beyond what the conformance suite asks of all."""
