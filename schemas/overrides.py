"""`--set section.key=value`: how a command line changes a value of a TOML file."""

import tomllib
from typing import Any

from schemas.errors import RecipeError


def override_value(values: dict[str, Any], override: str) -> None:
    """Set a value of a decoded TOML file in place.

    Args:
        values: What the file holds; sections that are missing are made.
        override: `section.key=value`, the value as TOML writes it; a bare word is a string, so
            that quoting twice is not needed in a shell.

    Raises:
        RecipeError: No key or no value, or a section that is a value.
    """
    path, equals, text = override.partition("=")
    path = path.strip()
    if not equals or not path:
        raise RecipeError(f"--set {override}: give it as section.key=value")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text.strip()
    *parents, last = path.split(".")
    at = values
    for name in parents:
        at = at.setdefault(name, {})
        if not isinstance(at, dict):
            raise RecipeError(f"--set {override}: {name} is a value, not a section")
    at[last] = value
