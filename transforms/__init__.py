"""One concern a module: config, pure functions, PTransform."""
