"""Refusals: answers in which a model speaks of itself, to its user, or of what it was not given.

Patterns of the first person and of missing input, in the languages that captioners answer in. They
are looked for outside quotes, and not behind a word such as `reads`: a sign may say `I cannot
wait`, and a man may apologise.
"""

import re

from recaptioner.checks.text import unquoted

_PICTURE = r"(?:image|picture|photo|photograph|visual|attachment|file|alt text|description|text)s?"
_SEEN = r"(?:see|view|access|open|interpret|analy[sz]e|process|look at|display|load|examine)"
_ASKED = (
    r"(?:provide|describe|identify|generate|create|write|fulfil?l|comply|determine|recogni[sz]e"
    r"|merge|rewrite|caption|complete|continue|answer|discuss|engage|produce|assist|tell you"
    r"|help (?:you|with)|offer|give you|share|comment)"
)
_ASKED_FORM = (
    r"(?:provid|describ|identify|generat|creat|writ|captio|discuss|engag|produc|assist|answer"
    r"|comment|shar)\w{0,6}"
)
_CANNOT = (
    r"(?:can ?not|can't|could not|couldn't|am (?:not able|unable) to|'m (?:not able|unable) to"
    r"|won't|will not|do not have the ability to|don't have the ability to|must decline to)"
)
_ENGLISH = (
    rf"\bi {_CANNOT} (?:[a-z]{{1,12}} ){{0,2}}?{_SEEN} (?:or [a-z]{{1,12}} )?(?:[a-z]{{1,12}} )?"
    rf"(?:the|an?|any|this|that|your|these|those|{_PICTURE})\b",
    rf"\bi(?: {_CANNOT}|'m (?:not able|unable) to) (?:[a-z]{{1,12}} ){{0,2}}?{_ASKED}\b",
    rf"\bi'm (?:not able|unable) to {_SEEN}\b",
    rf"\bi (?:don't|do not|didn't|did not) (?:actually )?(?:see|have|receive|find) "
    rf"(?:an?|any|the|access to)(?: [a-z]{{1,12}}){{0,2}} ?{_PICTURE}\b",
    r"\bas an? (?:[a-z]{1,12}[ -]){0,2}(?:ai|artificial intelligence|language model|assistant|llm)"
    r"\b(?:[ -][a-z]{1,12}){0,3},? i\b",
    r"\bi(?:'m| am) (?:just |only |merely )?an? (?:ai|(?:large )?language model|text-based)\b",
    r"\bi(?:'m| am) (?:so |very |really |truly )?sorry,? (?:but )?"
    r"(?:i|we|this|that|the|there|it)\b",
    r"\b(?:sorry|apologies|unfortunately),? (?:but )?i(?:'m| am| can| could| do| was| must)"
    r"(?:not\b|n't\b| not\b| unable\b| decline\b)",
    r"\bi apologi[sz]e,? (?:but|for)\b",
    rf"\bi(?:'m| am) (?:not comfortable|uncomfortable|hesitant)(?: with| to)? {_ASKED_FORM}\b",
    r"\bnot (?:provide|contain|give|have|include) (?:me )?(?:enough|sufficient) (?:[a-z]{1,12} )?"
    r"(?:information|context|details?)\b",
    r"\bi hope (?:this|that) helps\b|\bhow (?:can|may) i (?:help|assist) you\b",
    r"\banything else i can (?:help|assist|do)\b|\blet me know if (?:you|there|i)\b",
    rf"\b(?:not|in)appropriate (?:for me )?to {_ASKED}\b",
    rf"\b(?:there is|there's|there was|i see) no {_PICTURE}(?: or [a-z ]{{1,20}})? ?(?:was |is )?"
    r"(?:provided|attached|given|available|uploaded|included|supplied|shared|to describe|here)\b",
    rf"\b{_PICTURE} (?:[a-z]{{1,12}} ){{0,3}}(?:was|is|were|has been)(?:n't| not) "
    r"(?:attached|provided|included|uploaded|shared|visible to me)\b",
    r"\bplease (?:re-?)?upload\b",
    rf"\bno {_PICTURE} (?:was|is|has been|were|are|have been) (?:[a-z]{{1,10}} )?"
    r"(?:provided|attached|given|available|uploaded|included|supplied|shared)\b",
    rf"\b(?:please|could you|can you) (?:please )?(?:provide|upload|share|attach|supply|send)"
    rf"(?: me)?(?: with)? (?:the|an?|your|more|some|any)(?: [a-z]{{1,12}}){{0,2}}? ?"
    rf"(?:{_PICTURE}|captions?|information|context|details?|sentences?)\b",
    r"\b(?:against|violates?|violating) (?:my|our|the|openai'?s?) (?:[a-z]{1,10} )?"
    r"(?:guidelines?|polic(?:y|ies)|programming)\b",
    r"^(?:unable|not able) to (?:see|view|access|process|load|describe|analy[sz]e)\b",
    r"\bit(?:'s| is) not possible (?:for me )?to (?:describe|identify|see|view|determine)\b",
    rf"^(?:the |this |your )?{_PICTURE} (?:is |are )?(?:currently |no longer )?"
    r"(?:not available|unavailable)\b",
    r"^(?:an?|one|the)(?: [a-z]{1,12}){0,2} (?:caption|description|title|alt text)s?"
    rf"(?: (?:for|of) (?:the|this|your) {_PICTURE})? (?:could|might|would|may|can) be\b",
    rf"\bthe {_PICTURE} (?:could not|cannot|can't) be (?:loaded|displayed|processed|viewed|seen)\b",
)
_OTHERS = (
    # German
    r"\btut mir (?:sehr )?leid,? (?:aber |dass |doch )?ich\b",
    r"\bich kann (?:\w{1,15} ){0,4}?(?:bild\w{0,3}|foto|dabei|anfrage|beschreibung|damit|nicht"
    r" (?:sehen|helfen|beschreiben|erkennen))\b(?:[^.!?]{0,40}\b(?:nicht|sehen|betrachten|helfen))",
    r"\bals (?:ein(?:e)? )?(?:\w{1,12}[ -])?(?:ki|sprachmodell|ki-sprachmodell|ki-modell"
    r"|künstliche intelligenz)\b",
    r"\bich bin (?:leider )?nicht in der lage\b|\bes wurde kein (?:bild|foto)\b",
    r"\bich sehe (?:hier )?kein (?:bild|foto)\b|\bentschuldigung,? (?:aber )?ich k",
    # French
    r"\b(?:je suis )?(?:vraiment )?désolée?,? (?:mais )?je\b|\bje ne vois (?:pas|aucune)\b",
    r"\bje ne (?:peux|puis) (?:\w{1,15} ){0,2}pas (?:voir|décrire|vous aider|fournir|traiter"
    r"|analyser|identifier)\b",
    r"\ben tant qu(?:e modèle|'(?:ia|intelligence|assistant|modèle))",
    r"\baucune (?:image|photo) n'(?:a|est)\b|\bje ne suis pas (?:en mesure|capable)\b",
    # Spanish
    r"\blo siento,? (?:pero )?(?:no|yo)\b|\bno (?:hay|veo) ninguna (?:imagen|foto)\b",
    r"\bno (?:puedo|pude|soy capaz de) (?:ver|ayudar|describir|proporcionar|acceder|generar"
    r"|identificar|procesar|analizar)",
    r"\bcomo (?:un )?(?:modelo de lenguaje|ia|inteligencia artificial|asistente de ia)\b",
    # Portuguese
    r"\bdesculpe,? (?:mas )?(?:eu )?não\b",
    r"\bnão (?:posso|consigo) (?:ver|ajudar|descrever|fornecer)",
    r"\bcomo (?:um )?(?:modelo de linguagem|assistente de ia)\b",
    # Italian
    r"\bmi dispiace,? (?:ma )?(?:non|io)\b|\bnon (?:posso|riesco a) (?:vedere|aiutar|descrivere)",
    r"\b(?:in quanto|come) (?:ia|modello linguistico|intelligenza artificiale)\b",
    # Russian
    r"\b(?:извините|простите),? (?:но )?я\b|\bк сожалению,? я не\b|\bкак языковая модель\b",
    r"\bя не могу (?:видеть|просмотреть|описать|помочь|увидеть|определить)",
    # Chinese
    r"(?:抱歉|对不起|對不起|不好意思)[，,。\s]{0,2}(?:但是?)?(?:我|作为|作為)?[^。！？]{0,6}(?:无法|無法|不能)",
    r"我(?:无法|無法|不能|看不到)(?:直接)?(?:查看|看到|看见|描述|提供|识别|識別|协助|協助|帮助|幫助|分析|图|圖)",
    r"作[为為](?:一[个個])?(?:ai|人工智[能慧]|(?:大型)?[语語]言模型)",
    r"[没沒]有(?:提供|上[传傳])(?:任何)?(?:[图圖][片像])",
    # Japanese, Korean
    r"申し訳(?:ありません|ございません)|すみません[^。]{0,12}(?:できません|ありません)",
    r"画像(?:が|を|は)[^。]{0,12}(?:できません|ありません|見えません)",
    r"죄송(?:합니다|하지만)|(?:이미지|사진)를? (?:볼|확인할) 수 없",
)
_REFUSAL = re.compile("|".join(f"(?:{pattern})" for pattern in (*_ENGLISH, *_OTHERS)))
_SAID = re.compile(
    r"\b(?:read(?:s|ing)?|say(?:s|ing)?|said|text|words?|titled|written|slogan|lyrics|message|sign"
    r"|called|caption(?:ed)?|labell?ed|entitled)(?:[ :]{1,2}[\w']{1,20}){0,3}[ :]{0,2}$"
)
_BEFORE = 80
"""Characters before a match that tell who speaks."""


def find_refusal(text: str) -> str:
    """The words with which a tidy text refuses, or nothing."""
    said = unquoted(text).casefold().replace("’", "'").replace("`", "'")
    for match in _REFUSAL.finditer(said):
        if not _SAID.search(said[max(0, match.start() - _BEFORE) : match.start()]):
            return match[0]
    return ""
