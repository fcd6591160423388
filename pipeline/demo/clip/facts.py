"""What a scene holds, as a list of yes and no that its picture and its captions both tell."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pipeline.demo.scenes import COLOURS, POSITIONS, SHAPES, Scene

_KINDS = ("single", "pair", "group")
_COUNTS = (2, 3, 4)
_ORDER = ("first", "second")
_MIRRORED = {"right": "left", "below": "above"}
_RELATIONS = ("left", "above")
"""Of the first thing to the second: a pair in a mirrored relation is told from its second thing."""

FACTS = (
    *(f"{colour} {shape}" for colour in COLOURS for shape in SHAPES),
    *COLOURS,
    *SHAPES,
    *_KINDS,
    *(f"at {position}" for position in POSITIONS),
    *(f"{count} of them" for count in _COUNTS),
    *(f"{place} {word}" for place in _ORDER for word in (*COLOURS, *SHAPES)),
    *(f"first {relation}" for relation in _RELATIONS),
)
"""All facts, in the order of the columns of `facts_of`."""

_COLUMNS = {fact: column for column, fact in enumerate(FACTS)}


def scene_facts(scene: Scene) -> frozenset[str]:
    """Those of `FACTS` that hold: equal for two scenes just where the same captions describe both.

    The ground is left out: few captions speak of it.
    """
    objects, relation = scene.objects, scene.relation
    facts = {scene.kind}
    for thing in objects:
        facts |= {f"{thing.colour} {thing.shape}", thing.colour, thing.shape}
    if scene.kind == "single":
        facts.add(f"at {scene.position}")
    elif scene.kind == "group":
        facts.add(f"{scene.count} of them")
    elif relation is not None:
        if relation in _MIRRORED:
            objects, relation = objects[::-1], _MIRRORED[relation]
        facts.add(f"first {relation}")
        for place, thing in zip(_ORDER, objects, strict=True):
            facts |= {f"{place} {thing.colour}", f"{place} {thing.shape}"}
    return frozenset(facts)


def facts_of(scenes: Sequence[Scene]) -> npt.NDArray[np.float32]:
    """1 where a fact holds, 0 where not: [scenes, facts]."""
    found = np.zeros((len(scenes), len(FACTS)), np.float32)
    for row, scene in zip(found, scenes, strict=True):
        row[[_COLUMNS[fact] for fact in scene_facts(scene)]] = 1
    return found
