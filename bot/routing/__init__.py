"""Which agent answers what: rules, their conditions, and the decision. All of it is pure."""
