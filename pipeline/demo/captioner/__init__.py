"""The captioner of the demo: scenes as shards, the trainer's small tokenizer, the judge."""
