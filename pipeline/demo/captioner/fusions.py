"""Texts that teach the captioner to fuse: an alt text, a description, and what both say together.

They are written as the template `fuse_plain` of recaptioning asks for it, the caption right behind
the prompt. Names are made of syllables, so that the model has to copy them and can learn none.
"""

import random

from pipeline.demo.captioner.drawn import CHUNK, DrawnSample
from pipeline.demo.credits import make_credit, with_credit
from pipeline.demo.scenes import caption, make_scene
from recaptioner.prompts import TEMPLATES, render
from schemas.rows import Sample
from schemas.shards import sample_key
from transforms.json_columns import canonical_json

STREAM = "text"
TEMPLATE = TEMPLATES["fuse_plain"]
_STARTS = ("b", "br", "c", "d", "f", "g", "h", "j", "k", "l", "m", "n", "p", "r", "s", "st", "t",
           "th", "v", "w", "wh", "w", "y", "")  # fmt: skip
_VOWELS = ("a", "e", "i", "o", "u", "ai", "ee", "oo", "ar", "er", "or", "y")
_ENDS = ("n", "ll", "rd", "th", "s", "m", "ck", "nd", "ston", "ley", "ford", "t", "x", "")
_FIRST = [
    "Ada",
    "Agnes",
    "Albert",
    "Alice",
    "Amos",
    "Anna",
    "Arthur",
    "Beatrice",
    "Bella",
    "Bruno",
    "Casper",
    "Clara",
    "Conrad",
    "Dora",
    "Edith",
    "Edwin",
    "Elena",
    "Elsa",
    "Emil",
    "Ernest",
    "Esther",
    "Felix",
    "Flora",
    "Frank",
    "George",
    "Gideon",
    "Grace",
    "Greta",
    "Harold",
    "Hector",
    "Helen",
    "Henry",
    "Hester",
    "Hugo",
    "Ida",
    "Irene",
    "Isaac",
    "Iris",
    "Jacob",
    "James",
    "Jane",
    "Jonas",
    "Joseph",
    "Julia",
    "Karl",
    "Laura",
    "Leo",
    "Lena",
    "Lewis",
    "Louis",
    "Lucy",
    "Lydia",
    "Mabel",
    "Marcus",
    "Maria",
    "Martha",
    "Matthew",
    "Max",
    "Mira",
    "Nadia",
    "Nora",
    "Oliver",
    "Oscar",
    "Otto",
    "Ottilie",
    "Paul",
    "Percy",
    "Peter",
    "Petra",
    "Rosa",
    "Ralph",
    "Robert",
    "Rudolf",
    "Rupert",
    "Ruth",
    "Samuel",
    "Sarah",
    "Silas",
    "Simon",
    "Sofia",
    "Stella",
    "Theo",
    "Thomas",
    "Tobias",
    "Ursula",
    "Victor",
    "Vera",
    "Walter",
    "Wanda",
    "William",
    "Winifred",
    "Yvonne",
    "Zoe",
]
_LAST = [
    "Abel",
    "Adler",
    "Arden",
    "Archer",
    "Baker",
    "Banks",
    "Barlow",
    "Becker",
    "Bell",
    "Berg",
    "Bly",
    "Brand",
    "Brook",
    "Carter",
    "Clay",
    "Cole",
    "Cooper",
    "Crane",
    "Cross",
    "Dale",
    "Dean",
    "Dunmore",
    "Drake",
    "Ellwood",
    "Ellis",
    "Evans",
    "Farrow",
    "Fenn",
    "Field",
    "Finch",
    "Fisher",
    "Ford",
    "Fox",
    "Frost",
    "Gale",
    "Garner",
    "Glass",
    "Grant",
    "Gray",
    "Grove",
    "Hale",
    "Hall",
    "Hart",
    "Hill",
    "Holm",
    "Holt",
    "Horn",
    "Hunt",
    "Keller",
    "Kent",
    "King",
    "Lake",
    "Lamb",
    "Lane",
    "Lang",
    "Lark",
    "Long",
    "Lowe",
    "March",
    "Marsh",
    "Mason",
    "Miller",
    "Moorhouse",
    "Moss",
    "Nash",
    "North",
    "Oakley",
    "Page",
    "Park",
    "Pike",
    "Pond",
    "Porter",
    "Reed",
    "Renn",
    "Rice",
    "Ridge",
    "Rowe",
    "Shaw",
    "Sharp",
    "Snow",
    "Stone",
    "Swan",
    "Thorn",
    "Vance",
    "Wade",
    "Walker",
    "Ward",
    "Webb",
    "Wells",
    "West",
    "Whitlock",
    "Wild",
    "Wood",
    "Wren",
    "Wynn",
    "York",
    "Young",
]
_INVENTED = 0.3
"""Share of names made of syllables."""
_BARE = 0.15
"""Share of alt texts that know no more than the picture shows."""


def _word(rng: random.Random) -> str:
    syllables = rng.choice((1, 2, 2, 3))
    made = "".join(rng.choice(_STARTS) + rng.choice(_VOWELS) for _ in range(syllables))
    return (made + rng.choice(_ENDS)).capitalize()


def _name(rng: random.Random) -> str:
    if rng.random() < _INVENTED:
        return " ".join(_word(rng) for _ in range(rng.choice((1, 2, 2))))
    return f"{rng.choice(_FIRST)} {rng.choice(_LAST)}"


def _draw_fusion(split: str, number: int, rng: random.Random) -> DrawnSample:
    scene = make_scene(rng)
    description, said = caption(scene, rng), caption(scene, rng)
    if rng.random() < _BARE:
        alt, fused = said, description
    else:
        credit = make_credit(rng, [_name(rng)])
        alt, fused = with_credit(rng, said, credit), f"{description}, {credit.text}"
    prompt = render(TEMPLATE, alt=alt, description=description)
    key = sample_key(STREAM, "fusion", split, number)
    text = f"{prompt.user} {fused}"
    return Sample(STREAM, split, 0, key, text, canonical_json({"key": key}), len(text)), b""


def draw_chunk(split: str, chunk: int, count: int) -> list[DrawnSample]:
    """The first samples of one generator."""
    rng = random.Random(f"captioner/fusions/{split}/{chunk}")
    return [_draw_fusion(split, chunk * CHUNK + number, rng) for number in range(count)]
