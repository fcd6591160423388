"""What can be wrong with a caption that a model wrote: one concern a module, pure functions."""
