"""From shards to batches: index, lengths, packs, order, bytes, pictures, tensors."""
