"""What the names that authors give their elements say: words of class, id, role, itemprop, ...

A name is taken apart at everything that is no letter and at camel humps; its words fall into
groups of the same meaning. A group is evidence, not a verdict: `content_model.py` weighs it with
everything else. The words are those of common content management systems, site builders and CSS
frameworks, in English and some other languages; none comes from a single site.
"""

import re

from transforms.markup import word_set

GROUPS: dict[str, str] = {
    "comment": "comment comments commentlist commentary disqus respond reply replies discussion"
    " kommentar kommentare commentaires comentarios commenti trackback pingback livefyre"
    " komentarze komentar yorum yorumlar reacties kommentarer comentario",
    "related": "related relate recommended recommendation recommendations recommend similar popular"
    " trending recent latest also suggested suggestions yarpp mostread upnext recirc recirculation"
    " outbrain taboola zergnet revcontent dianomi more next previous prev readmore seealso"
    " relacionadas relacionados relacionado relacionada verwandte aehnliche meistgelesen"
    " masleidas maislidas correlati similaires gerelateerd relaterade ilgili",
    "share": "share sharing shares sharebar social follow addthis sharedaddy facebook twitter"
    " instagram linkedin pinterest whatsapp addtoany sharethis"
    " teilen partager compartir compartilhar condividi delen paylas",
    "navigation": "nav navbar navigation navi menu submenu menubar megamenu dropdown breadcrumb"
    " breadcrumbs crumbs crumb pagination pager paging topbar toolbar skip tablist sitemap"
    " menuitem offcanvas drawer"
    " menue hauptmenue hauptnavigation brotkrumen ariane migas migalhas kruimelpad"
    " paginacion",
    "footer": "footer foot bottom copyright colophon credits legal contentinfo imprint impressum"
    " disclaimer"
    " fusszeile rodape piepagina stopka",
    "header": "header masthead banner head top kopfzeile cabecera cabecalho entete testata",
    "side": "sidebar aside rail widget widgets complementary secondary sidenav side right left"
    " column sticky"
    " seitenleiste lateral barralateral",
    "contents": "toc contents outline index",
    "ad": "ad ads advert adverts advertisement advertising adsense dfp sponsor sponsored sponsors"
    " promo promos promotion werbung anzeige publicidad publicite gpt leaderboard affiliate"
    " reklama publicidade pubblicita",
    "notice": "cookie cookies gdpr consent privacy notice alert modal popup overlay dialog"
    " tooltip toast alertdialog onetrust cmp"
    " zustimmung einwilligung",
    "subscribe": "newsletter subscribe subscription subscriber signup signin login register paywall"
    " mailing account logout"
    " boletin infolettre abonnieren suscripcion suscribete anmelden",
    "meta": "meta byline author authors date time timestamp published updated dateline posted"
    " reading info datepublished"
    " autor autoren autora autore auteur auteurs verfasser redacteur fecha datum",
    "tags": "tag tags category categories topics keywords label labels badge"
    " etiquetas schlagworte stichworte categorie categorias kategorie kategorien",
    "profile": "avatar bio profile user username member contributor about",
    "article": "article story post entry blog news single newsarticle blogposting"
    " artikel articulo articolo artigo noticia noticias beitrag",
    "body": "content body text main prose copy markdown richtext wysiwyg articlebody rte rich"
    " maincontent postbody mw parser output"
    " inhalt contenido contenu contenuto conteudo cuerpo artikeltext",
    "title": "title headline heading subtitle name h"
    " titel titulo titre titolo ueberschrift titular",
    "lead": "dek standfirst summary lead lede intro excerpt teaser subhead kicker abstract"
    " vorspann entradilla chapeau chapo bajada copete",
    "item": "card cards grid tile tiles item items list listing listings results result row rows"
    " col cell thumb thumbnail thumbnails archive feed collection",
    "slide": "carousel slider slide slides swiper slick splide gallery",
    "product": "product products price prices pricing sku cart buy stock variant variants shipping"
    " spec specs specification specifications attributes offer offers availability quantity"
    " wishlist add checkout delivery returns"
    " produkt produkte producto productos produit produits preis precio prix prezzo"
    " warenkorb panier carrito carrello",
    "description": "description details detail desc overview features feature highlights bullets"
    " beschreibung descripcion descrizione descricao",
    "review": "review reviews rating ratings stars testimonial testimonials aggregaterating"
    " bewertung bewertungen resenas recensioni",
    "figure": "caption figcaption figure image images img photo photos picture media video credit"
    " bild bilder bildunterschrift imagen imagenes foto fotos",
    "forum": "thread topic message messages forum forums posts question questions answer answers"
    " conversation reactions bbcode postcontent signature qapage",
    "vote": "vote votes voting score like likes karma rank stats views count counter",
    "quote": "quote quotes blockquote quoted pullquote",
    "hidden": "hidden hide sr invisible noscript print noprint offscreen visuallyhidden screen"
    " only",
    "panel": "accordion collapse collapsed collapsible faq faqs panel panels tab tabs toggle"
    " expand expandable",
    "control": "form search filter filters sort sorting input button buttons btn cta link links"
    " select option options field searchform contact action actions"
    " suche buscar recherche formular kontakt contacto",
    "docs": "doc docs documentation api reference guide tutorial section article help manual"
    " docstring rst sphinx",
    "code": "code highlight syntax snippet prettyprint codeblock hljs prism",
    "recipe": "recipe ingredient ingredients instruction instructions directions nutrition method"
    " wprm tasty"
    " rezept zutaten zubereitung receta ingredientes recette ricetta ingredienti",
    "service": "service services hero block blocks landing team client clients partner partners"
    " solution solutions benefits steps step",
    "table": "table infobox navbox dataframe spec toolbox",
    "edit": "edit editsection editor permalink anchor linenos gutter headerlink copybtn",
}
"""Words by group."""


def _group_of() -> dict[bytes, int]:
    found: dict[bytes, int] = {}
    for bit, words in enumerate(GROUPS.values()):
        for word in words.split():
            found[word.encode()] = found.get(word.encode(), 0) | 1 << bit
    return found


WORDS = _group_of()
"""The groups of a word as bits, the first group the lowest."""

_SMALL = "".join(
    f"(?<!{word}{mark})"
    for word in (r"\btext", r"\btype", r"\bfont", r"\bcta", r"\bbutton", r"\bstat", "typography")
    for mark in ("[_-]", "--")
)
"""Not behind these words, whose `caption` is a size of letters: `MuiTypography-caption`."""

_CAPTION = re.compile(
    rf"(?:^|[\s_-]){_SMALL}(?:wp-)?(?:thumb)?"
    r"(?:caption|figcaption|legend|bildunterschrift|legende|didascalia)"
    r"(?:[\s_-]?(?:text|body|content))?(?:$|\s)|(?:image|photo|img|picture|media|figure)[\s_-]*"
    r"(?:te?xt[_-]|type[_-])?caption",
    re.I,
)


def says_caption(names: str) -> bool:
    """Whether a class is that of the caption of a picture."""
    return bool(names) and _CAPTION.search(names) is not None


_ASIDE = re.compile(
    r"(?:^|[\s_-])(?:editsection|edit-section|sr-only|screen-reader(?:-text)?|visually-?hidden"
    r"|headerlink|anchorjs-link|linenos?)(?:$|[\s_-])",
    re.I,
)


def says_aside(names: str) -> bool:
    """Whether a class is that of a link or label inside a line that belongs to no text."""
    return bool(names) and _ASIDE.search(names) is not None


HINTS = word_set(
    "caption legend bildunte didascal editsect edit-sec sr-only screen-r visually headerli"
    " anchorjs lineno"
)
"""In lower case, what every class holds that `says_caption` or `says_aside`: words of up to eight
letters, or the first eight."""

ADVERTISING = (
    b"advert adsense sponsor promo werbung anzeige publici leaderboard affiliate cobrand"
).split()
"""What names of advertisements hold."""
SMALL_MARKS = b"avatar gravatar userpic favicon site-icon".split()
"""Words in names of the avatars of who is quoted, and of the icons of sites."""
BESIDE_WORDS = [b"author", b"byline", b"profile", b"headshot", *SMALL_MARKS]
"""Words in names of the portraits of authors, and of the marks of sites that are linked to."""
BESIDE_CONTENT = re.compile(
    rb' (?:class|id)="[^"]*?(?:'
    # Not the group `ad`, into which an identifier in hexadecimal may fall: `b9ad`.
    rb"(?<![A-Za-z0-9])(?:ads?|dfp|gpt)(?![a-z])|(?<![A-Z0-9])A[dD]s?(?![a-z])"
    # Up to the end of the word: a promontory is no promotion, and `anzeigen` shows.
    rb"|(?:advert(?:s|i[sz]e[a-z]*|i[sz]ing|orial)?|adsense|sponsor(?:s|ed|ing|ship)?"
    rb"|promo(?:s|tion|tions)?|werbung|anzeige|publicidade?|publicit(?:a|e|\xc3.)|leaderboard"
    rb"|affiliates?|[cC]obrand(?:ed|ing)?)(?![a-z])|(?<![a-z])(?:%b)(?![a-z])"
    rb"|(?<![a-z])(?:print-only|only-print|visible-print|show-for-print)(?![a-z]))"
    % b"|".join(BESIDE_WORDS)
)
"""A class or id, in a start tag, of an advertisement, of the portrait of an author or the mark of a
site, or of what is shown on paper alone."""

SMALL_MARK = re.compile(rb' (?:class|id)="[^"]*?(?<![a-z])(?:%b)(?![a-z])' % b"|".join(SMALL_MARKS))
"""A class or id, in a start tag, that has one of these words."""

ARTBOARD = b"g-artboard"
"""What ai2html calls a chart for one width of screens."""

LOGO = re.compile(
    # Letters of other alphabets are bytes from 128 on; `logout` is another word. Run together with
    # a word before, as `partnerlogo`, but for `catalogo`, `epilogo` and `prologo`.
    rb' (?:class|id)="[^"]*?(?:(?<![a-z\x80-\xff])logos?|[b-hj-np-z]logos?|Logos?|(?<![A-Z])LOGOS?'
    rb"|(?<![a-z\x80-\xff])[lL]ogo(?:box|container|image|img|link|print|text|type|wrap(?:per)?))"
    rb"(?![a-z\x80-\xff])"
)
"""A class or id, in a start tag, of the mark of a company or site."""

_BEHIND = rb"(?:background|bg)"
DECORATION = re.compile(
    # Alone, `bg` may be a short name made by a machine.
    rb' class="(?:[^"]*\s)?(?:background|%b[_-]{0,2}(?:image|img|picture)'
    rb"|(?:[^\"\s]*__?|(?:[\w-]*[_-])?"
    rb"(?:banner|box|card|cover|header|hero|media|page|parallax|section|slide)[_-]+)"
    rb'%b(?:[_-]{0,2}(?:image|img|picture))?)[\s"]' % (_BEHIND, _BEHIND),
    re.I,
)
"""A class, in a start tag, of what lies behind a text: `background-image`, `hero__bg`, `card-bg`.
One that has a background is called otherwise: `has-background`, `bg-white`, `dark-bg`."""

BESIDE_PARTS = [*ADVERTISING, b"logo"]
BESIDE_STARTS = [b"ad", b"dfp", b"gpt", b"print", *BESIDE_WORDS, ARTBOARD]
"""In lower case, how words begin one of which, or a part, all that `BESIDE_CONTENT` and `LOGO` find
holds, and charts that may be drawn more than once."""
