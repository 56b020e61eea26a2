"""A provider of the real world: a process that speaks the vendors' HTTP formats, and can be told to break."""
