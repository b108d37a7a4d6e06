"""What agents can do: one file a tool, behind the port in `base`."""
