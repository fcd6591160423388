"""Names by their capitals, quantities by their spelling, and what a caption did to both."""

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recaptioner.checks.text import tidy
from recaptioner.common_words import is_common
from recaptioner.entities import find_entities, without_noise
from recaptioner.kept_entities import Fate, compare_entities
from recaptioner.quantities import find_quantities

NAMES = {
    "Angela Merkel speaks in Berlin": ["Angela Merkel", "Berlin"],
    "A politician speaks in Berlin": ["Berlin"],
    "the Pont Neuf, Paris, at night": ["Pont Neuf", "Paris"],
    "letter by Vincent van Gogh to his brother Theo": ["Vincent van Gogh", "Theo"],
    "a statue of J. R. R. Tolkien": ["J R R Tolkien"],
    "students of St. Mary's School visit the White House": ["St Mary School", "White House"],
    "the University of Oxford in spring": ["University of Oxford"],
    "Photo of María Belén Cabezas smiling": ["María Belén Cabezas"],
    "a Nikon D750 and an iPhone on a desk": ["Nikon D750", "iPhone"],
    "NASA rover on a red planet": ["NASA"],
    "a concert in May, on a Friday": [],
    "I think I know him": [],
    "Red bicycle on a wall. Blue car in a street.": [],
    "a boat at sea": [],
    "Golden Retriever Puppy Playing In The Park": [],
    "EIFFEL TOWER AT NIGHT": ["EIFFEL?"],
    "Sunflowers by Vincent van Gogh": ["Vincent?", "Gogh?"],
    "Beach, Phuket, Thailand": ["Phuket", "Thailand"],
    "Old Town Hall In Nairobi": ["Nairobi"],
    "": [],
}
FOREIGN_NAMES = {
    ("Die Frau mit dem Hut vor der Kirche in Ulm", "de"): [],
    ("Das BMW-Werk und ein iPhone", "de"): ["BMW", "iPhone"],
    ("Boulanger à Lyon", "fr"): ["Lyon"],
    ("LA TOUR EIFFEL", "fr"): [],
    ("东京塔和 Nikon D750", "zh"): ["Nikon D750"],
    ("قطة في القاهرة", "ar"): [],
}


def names_of(text: str, language: str = "en") -> list[str]:
    names = find_entities(tidy(text), language).names
    return [name.text.replace(".", "") + "?" * (not name.is_certain) for name in names]


@pytest.mark.parametrize(("text", "names"), NAMES.items(), ids=NAMES)
def test_names_are_found_by_their_capitals(text: str, names: list[str]) -> None:
    assert names_of(text) == names


@pytest.mark.parametrize(("text", "language"), FOREIGN_NAMES, ids=[t for t, _ in FOREIGN_NAMES])
def test_names_are_found_where_capitals_mean_something(text: str, language: str) -> None:
    assert names_of(text, language) == FOREIGN_NAMES[text, language]


def test_a_word_that_stands_elsewhere_in_lower_case_is_no_name() -> None:
    assert names_of("Corgi And Beagle Running With A Xoloitzcuintle") == [
        "Beagle?",
        "Xoloitzcuintle?",
    ]
    found = find_entities("Corgi And Beagle Running", "en", common={"beagle"})
    assert found.names == ()


NOISE = {
    "DSC00123.JPG sunset": "sunset",
    "IMG_2033 a cat": "a cat",
    "WhatsApp Image 2020-03-04 at 18.22.10": "",
    "a cat (Photo: Ann Lee/Getty Images)": "a cat",
    "a cat © 2019 Ann Lee": "a cat",
    "Figure 3: a cat": ": a cat",
    "May IMG_12 3": "May ; 3",
    "cat (2)": "cat",
    "wallpaper 1920x1080": "wallpaper",
    "a cat, see www.cats.com/a?b=1 or me@cats.com": "a cat, see ; or",
    "a cat | Cats of the World": "a cat",
    "call +49 (0) 30 123456": "call",
    "a 24 x 36 cm print of 1889": "a 24 x 36 cm print of 1889",
    "painted by Vincent van Gogh": "painted by Vincent van Gogh",
    "page of a book": "page of a book",
}


@pytest.mark.parametrize(("alt", "left"), NOISE.items(), ids=NOISE)
def test_noise_is_no_entity(alt: str, left: str) -> None:
    assert without_noise(alt) == left


QUANTITIES = {
    "3 dogs": [("number", "", {"3"})],
    "three dogs, twenty-one cats": [("number", "", {"3"}), ("number", "", {"21"})],
    "1,000 people": [("number", "", {"1000", "1.000"})],
    "1.234.567 Euro": [("number", "€", {"1234567"})],
    "$1,299.99": [("number", "$", {"1299.99"})],
    "2.5 million": [("number", "", {"2500000"})],
    "100k views": [("number", "", {"100000"})],
    "500g, 12-inch, 3 %": [
        ("number", "g", {"500"}),
        ("number", "inch", {"12"}),
        ("number", "%", {"3"}),
    ],
    '13" screen': [("number", "inch", {"13"})],
    "1.5 °C by 2040": [("number", "°C", {"1.5"}), ("year", "", {"2040"})],
    "the 1990s and the 90s": [("number", "s", {"90"}), ("number", "s", {"90"})],
    "3rd place": [("number", "", {"3"})],
    "5G, 4K, D750, v1.2.3, 16:9": [],
    "serial 12345678": [],
    "1914-1918": [("year", "", {"1914"}), ("year", "", {"1918"})],
    "room 1066": [("number", "", {"1066"})],
}
DATES = {
    "3 May 2019": {(2019, 5, 3)},
    "May 3rd, 2019": {(2019, 5, 3)},
    "2019-05-03": {(2019, 5, 3)},
    "03/05/2019": {(2019, 5, 3), (2019, 3, 5)},
    "31/05/2019": {(2019, 5, 31)},
    "3. Mai 2019": {(2019, 5, 3)},
    "3 de mayo de 2019": {(2019, 5, 3)},
    "le 14 juillet": {(0, 7, 14)},
    "June 2008": {(2008, 6, 0)},
    "the fourth of July 2012": {(2012, 7, 4)},
    "2019年5月3日": {(2019, 5, 3)},
}
NO_DATES = ["45 May 2019", "2019-13-01", "99/99/2019", "1.2.3", "May I?"]
TIMES = {"10:30": 630, "22:30": 630, "9 pm": 540, "21h00": 540, "9.15 a.m.": 555}


@pytest.mark.parametrize(("text", "found"), QUANTITIES.items(), ids=QUANTITIES)
def test_numbers_and_years_are_read(text: str, found: list[tuple[str, str, set[str]]]) -> None:
    got = [(one.kind, one.unit, one.values) for one in find_quantities(text, "en")]
    assert got == [(kind, unit, {Decimal(v) for v in values}) for kind, unit, values in found]


@pytest.mark.parametrize(("text", "days"), DATES.items(), ids=DATES)
def test_dates_are_read_in_any_order(text: str, days: set[tuple[int, int, int]]) -> None:
    [date] = [one for one in find_quantities(text, "en") if one.kind == "date"]
    assert date.days == days


@pytest.mark.parametrize("text", NO_DATES)
def test_what_no_calendar_holds_is_no_date(text: str) -> None:
    assert [one for one in find_quantities(text, "en") if one.kind == "date"] == []


@pytest.mark.parametrize(("text", "minutes"), TIMES.items(), ids=TIMES)
def test_times_are_read_on_a_face_of_twelve_hours(text: str, minutes: int) -> None:
    [time] = find_quantities(text, "en")
    assert (time.kind, time.values) == ("time", {minutes})


def test_number_words_are_those_of_the_language() -> None:
    assert [one.text for one in find_quantities("once upon six", "en")] == ["six"]
    assert [one.text for one in find_quantities("once perros", "es")] == ["once"]
    assert find_quantities("drei Hunde", "en") == []
    assert [one.values for one in find_quantities("drei Hunde", "de")] == [{3}]


KEPT = [
    ("Merkel speaks.", "a speech by Angela Merkel"),
    ("Maria Cabezas", "a photo of María Cabezas"),
    ("a Beatles record", "a record by The Beatles' drummer"),
    ("an Italian chef", "chef from Italy"),
    ("a chef from Italy", "an Italian chef"),
    ("a French chef", "chef from France"),
    ("a flag of the United States", "a flag of the US"),
    ("the UN", "the United Nations in session"),
    ("Dallas, Texas", "a house in Dallas, TX"),
    ("a Thinkpad", "a laptop called Think Pad"),
    ("twelve cars", "12 cars"),
    ("a dozen cars", "12 cars"),
    ("a couple of cars", "two cars"),
    ("the twenty-first floor", "floor 21"),
    ("1000 cars", "1,000 cars"),
    ("12 inches", '12" wide'),
    ("2,000 people", "2000 people"),
    ("the year 2019, on May 3", "3 May 2019"),
    ("on 3 May 2019", "in May 2019"),
    ("May 3, 2019", "03/05/2019"),
    ("at 9 pm", "at 21:00"),
]
LOST = [
    ("A woman speaks.", "a speech by Angela Merkel", ["Angela Merkel"]),
    ("some cars", "12 cars", ["12"]),
    ("in May 2019", "3 May 2019", ["3 May 2019"]),
    ("a letter", "a letter of 1811", ["1811"]),
    ("a tower at night", "EIFFEL TOWER AT NIGHT PARIS", ["EIFFEL", "PARIS"]),
    ("a lens", "a lens, 50 mm", ["50 mm"]),
]
CONTRADICTED = [
    ("Angela Davis speaks.", "a speech by Angela Merkel", ["Angela Merkel"]),
    ("a speech in Paris", "a speech in Berlin", ["Berlin"]),
    ("21 cars", "12 cars", ["12"]),
    ("in 1901", "in 1910", ["1910"]),
    ("on 4 May 2019", "3 May 2019", ["3 May 2019"]),
    ("at 10:45", "at 10:30", ["10:30"]),
    ("a bag of 2 kg", "a bag of 5 lb", ["5 lb"]),
    ("a wave of 80 km", "a wave of 80 feet", ["80 feet"]),
    ("$54", "$45", ["$45"]),
]


@pytest.mark.parametrize(("text", "alt"), KEPT, ids=[alt for _, alt in KEPT])
def test_an_entity_is_kept_in_another_spelling(text: str, alt: str) -> None:
    assert compare_entities(text, alt, "", alt_language="en") == Fate()


@pytest.mark.parametrize(("text", "alt", "lost"), LOST, ids=[alt for _, alt, _ in LOST])
def test_an_entity_that_is_gone_is_lost(text: str, alt: str, lost: list[str]) -> None:
    assert compare_entities(text, alt, "", alt_language="en") == Fate(lost=tuple(lost))


@pytest.mark.parametrize(
    ("text", "alt", "gone"), CONTRADICTED, ids=[alt for _, alt, _ in CONTRADICTED]
)
def test_an_entity_with_another_in_its_place_is_contradicted(
    text: str, alt: str, gone: list[str]
) -> None:
    assert compare_entities(text, alt, "", alt_language="en") == Fate(contradicted=tuple(gone))


def test_what_the_description_says_contradicts_nothing() -> None:
    text, alt = "Two cars and a sign of Paris.", "12 cars in Berlin"
    assert compare_entities(text, alt, "").contradicted == ("12", "Berlin")
    assert compare_entities(text, alt, "two cars, a sign of Paris").lost == ("12", "Berlin")


def test_only_the_first_entities_count() -> None:
    alt = "people: Anna Bergen, Bertil Cederlund, in 1914 and in 1918"
    assert compare_entities("people", alt, "").lost == (
        "1914",
        "1918",
        "Anna Bergen",
        "Bertil Cederlund",
    )
    assert compare_entities("people", alt, "", max_entities=1).lost == ("1914", "Anna Bergen")


PIECES = (
    "Berlin|a|in|of|May|3|2019|1,000|D750|the|van|Gogh|km|-|$|twenty|one|Ö|e\u0301|US|U.S.|10:30"
    "|5\"|pm|'s|IMG_12|und|1,000,00|99/99/2019|0000-00-00|①|٣|½|x|(2)|I|…|."
)
WORDS = st.sampled_from(PIECES.split("|"))
ALTS = st.one_of(st.text(max_size=60), st.lists(WORDS, max_size=14).map(" ".join))


@settings(deadline=None, max_examples=300)
@given(ALTS, st.sampled_from(["", "en", "de", "fr", "zh"]))
def test_a_text_keeps_its_own_entities(alt: str, language: str) -> None:
    text = tidy(alt)
    same = compare_entities(text, alt, "", alt_language=language, max_entities=1000)
    assert same == Fate()


@pytest.mark.parametrize("word", ["dog", "dogs", "running", "cities", "painted", "boxes", "bigger"])
def test_forms_of_a_common_word_are_common(word: str) -> None:
    assert is_common(word)


@pytest.mark.parametrize("word", ["paris", "phuket", "s", "ing", ""])
def test_other_words_are_not_common(word: str) -> None:
    assert not is_common(word)
