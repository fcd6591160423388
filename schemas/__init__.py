"""The ground every other package stands on: rows, Arrow schemas, the shard format, errors.

No Beam, no torch.
"""
