"""Synthetic captions: prompts, engines, validators, fusion."""
