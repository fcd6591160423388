"""MM1-style pre-training on shards: captioned images, interleaved documents and text."""
