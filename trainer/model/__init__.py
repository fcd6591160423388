"""Image encoder, connector and decoder, and how they are put together."""
