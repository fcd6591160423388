"""Unsafe words: what no caption of a training set should hold, as whole words.

The built-in list has only what is sexual or hateful wherever it stands. `cock`, `tit`, `dyke`,
`coon`, `pussy`, `bitch`, `retard` and `xxx` are not on it: birds, dams, cats, willows, dogs, fire
retardants and sizes have them. A recipe adds its own.
"""

from collections.abc import Iterable

from recaptioner.checks.text import fold, tidy, words

_LISTED = """
porn porno pornos pornography pornographic pornstar pornstars nsfw hentai blowjob blowjobs
handjob handjobs rimjob cumshot cumshots gangbang gangbangs bukkake deepthroat deepthroating
fellatio cunnilingus creampie dildo dildos buttplug masturbate masturbates masturbating milf
fuck fucks fucked fucker fuckers fucking motherfucker motherfuckers cunt cunts slut sluts
whore whores nigger niggers nigga niggas faggot faggots wetback wetbacks raghead ragheads
towelhead towelheads gook gooks
fotze fotzen ficken gefickt hurensohn hurensöhne enculé enculés salope salopes
puta putas hijoputa maricón maricones buceta caralho
"""
_WORDS = frozenset(fold(word) for word in _LISTED.split())
_HARMLESS = {"sv": frozenset(("slut",)), "da": frozenset(("slut",))}
"""What is another word in another language: Swedish and Danish end with `slut`."""


def find_unsafe(text: str, language: str, more: Iterable[str]) -> str:
    """The first unsafe word or phrase of a tidy text, or nothing.

    Args:
        text: The text.
        language: Its language, ISO 639-1.
        more: Words and phrases beside the built-in words; they are found whatever their case and
            accents, a phrase in its order.
    """
    said = [fold(word) for word in words(text)]
    harmless = _HARMLESS.get(language, frozenset())
    for word in said:
        if word in _WORDS and word not in harmless:
            return word
    joined = f" {' '.join(said)} "
    for phrase in more:
        if f" {' '.join(map(fold, words(tidy(phrase))))} " in joined:
            return phrase
    return ""
