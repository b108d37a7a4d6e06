"""Who people are, how they are let in, where they are reached, and what operators are told."""
