"""Who made a picture, when, and which of a series it is: what no model can read off the pixels.

Alt texts that hold a credit tell whether a fused caption keeps what the alt text knows.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass

_CREDITS = (
    "by {name}, {year}",
    "print no. {number} by {name}",
    "from the {name} collection, item {number}",
    "drawn by {name} in {year}",
    "{name}, plate {number}",
)
_PLACES = ("{credit}: {text}", "{text}, {credit}", "{text} ({credit})", "{text} - {credit}")


@dataclass(frozen=True, slots=True)
class Credit:
    """A credit and what of it must survive."""

    text: str
    name: str
    number: str
    """A year or another number, in digits."""


def make_credit(rng: random.Random, names: Sequence[str]) -> Credit:
    """Draws a credit to one of some names."""
    form = rng.choice(_CREDITS)
    name, year, number = rng.choice(names), rng.randint(1850, 2019), rng.randint(2, 999)
    text = form.format(name=name, year=year, number=number)
    return Credit(text, name, str(year if "{year}" in form else number))


def with_credit(rng: random.Random, text: str, credit: Credit) -> str:
    """An alt text that says both what is shown and whose it is."""
    return rng.choice(_PLACES).format(text=text, credit=credit.text)
