"""MM1 pre-training on the shards; meets the pipeline on disk only."""
