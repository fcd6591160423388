"""Words and phrases by which a caption is known to say nothing of its picture.

They are what content management systems, photo agencies and share bars write, in the languages of
large crawls; none names a site. A language that is not listed loses recall, never a caption.
"""

import re
import unicodedata
from functools import lru_cache

_NOT_WORDS = re.compile(r"(?:[^\w\u0300-\u036f\u0591-\u05c7\u064b-\u065f\u0900-\u0eff]|_)+")
"""What parts words: vowel signs do not, in scripts that have them."""


@lru_cache(maxsize=64)
def plain(text: str) -> str:
    """A text without case and punctuation, words a space apart: what two captions are compared by.

    A text of punctuation alone keeps it. The last few are remembered: one caption is asked for
    again by each test of it.
    """
    said = unicodedata.normalize("NFKC", text).casefold()
    return _NOT_WORDS.sub(" ", said).strip() or text.strip()


def _words(text: str) -> frozenset[str]:
    return frozenset(plain(text).split())


def _phrases(text: str) -> frozenset[str]:
    return frozenset(plain(phrase) for phrase in text.split("|"))


KINDS = _words(
    """
    image images img imgs photo photos photograph photographs photography picture pictures pic pics
    logo logos icon icons thumbnail thumbnails thumb thumbs placeholder banner avatar gravatar
    graphic graphics illustration artwork headshot portrait wallpaper screenshot screenshots figure
    fig gif video spacer favicon emoji emoticon smiley sprite watermark slide slider carousel
    foto fotos bild bilder abbildung abb grafik symbolbild symbolfoto platzhalter platzhalterbild
    vorschaubild titelbild beitragsbild profilbild produktbild artikelbild hintergrundbild
    photographie photographies vignette miniature visuel bannière logotype
    imagen imágenes fotografía fotografías fotografia logotipo miniatura ilustración icono
    imagem imagens ilustração ícone immagine immagini fotografie segnaposto icona anteprima
    afbeelding afbeeldingen plaatje pictogram profielfoto
    billede billeder bilde bilden kuva kuvat valokuva ikon ikona miniatyr mynd
    obraz obrazek obrazy zdjęcie zdjęcia grafika ikonka obrázek obrázky fotka kép képek fénykép fotó
    slika slike fotografija imagine imagini poză resim resmi fotoğraf görsel görseli simge
    изображение изображения фото фотография фотографии картинка картинки рисунок логотип иконка
    миниатюра превью аватар аватарка скриншот зображення світлина знімок снимка
    εικόνα εικόνες φωτογραφία λογότυπο תמונה תמונות לוגו צילום صورة صور الصورة شعار عکس تصویر
    चित्र छवि फोटो ছবি รูปภาพ รูป ภาพ ảnh hình gambar
    图片 图像 圖片 圖像 照片 图 圖 相片 缩略图 縮圖 头像 頭像 标志 标识 图标 圖標 插图 插圖 配图
    题图 封面 封面图 资料图 资料图片 示意图 图集
    画像 写真 イメージ 図 サムネイル ロゴ アイコン アバター イラスト バナー イメージ画像
    アイキャッチ
    アイキャッチ画像 プロフィール画像 サムネイル画像 이미지 사진 그림 로고 아이콘 썸네일 자료사진
    """
)
"""Words for a picture that name nothing in it."""

FILLERS = _words(
    """
    a an the of for to in on by and with this no nr number my your our here alt text tag title
    alternative description attribute name file default main hero feature featured cover header head
    footer blog post article news story page site website web company brand product user users
    member author profile account item gallery stock sample example test demo dummy background large
    small medium full size big mini original new preview lead leading top teaser promo related
    generic temporary empty blank missing available not found unavailable coming soon lazy mobile
    desktop left right center inline embedded content media social share button link home homepage
    vector png jpg jpeg svg webp s
    von der die das des dem zu zum zur und ein eine einer kein keine mit aus
    de du la le les un une et d l à pour sans mise en avant couverture profil
    el los las y del sin con para destacada destacado portada principal perfil artículo noticia
    o os da do dos das sem destaque capa notícia il lo gli di della dell senza copertina evidenza
    het een van zonder ingen uten uden bez na z do w i к для в без нет
    """
)
"""Words that add nothing to a word for a picture."""

GENERIC = _phrases(
    """
    see caption | refer to caption | see below | see description | see text | see above | see
    article
    | caption | refer to adjacent text | refer to text | null | undefined | none | n a | nan | true
    | false | untitled | unnamed | no description | no caption | no title | no alt | alt | alt text
    | no description available | no photo description available | not available | description
    | alternative text | alternate text | title | name | enter alt text | add alt text
    | insert alt text | lorem ipsum | featured | blank | empty | default | background | decorative
    | decoration | separator | divider | line | dot | bullet | arrow | arrow right | arrow left
    | right arrow | left arrow | chevron | check | checkmark | check mark | tick | star | play |
    pause
    | quote | quotation mark | hero | cover | header | preview | gallery | profile | user | author
    | item | product | post | article | main
    | ohne titel | kein bild vorhanden | siehe bildunterschrift | siehe text | sans titre
    | voir légende | sin título | sin titulo | ver leyenda | sem título | senza titolo | zonder
    titel
    | bez tytułu | bez názvu | brak zdjęcia | без названия | без назви | başlıksız
    | 無題 | タイトルなし | 画像なし | 未命名 | 无标题 | 無標題 | 暂无图片 | 无图 | 제목 없음 |
    이미지 없음
    """
)
"""Whole texts that say nothing."""

BOILERPLATE = _phrases(
    """
    click here | click me | zoom | zoom in | zoom out | enlarge | larger | enlarge icon
    | please wait | now loading | article continues below | story continues below | pin it
    | ad | ads | advert | advertisement | advertisements | advertising | sponsored | promotion
    | sponsored content | sponsored by | ad banner | continue reading | permalink | link | more
    | menu
    | subscribe | sign up | sign in | log in | login | register | download | download now | buy now
    | add to cart | shop now | donate | print | search | close | next | previous | prev | back |
    reply
    | back to top | home | submit | play video | play button | play icon | watch now | get started
    | skip to content | skip to main content | go to homepage | comments | watch video
    | source | credit | credits | copyright | via | all rights reserved | photo credit | image
    credit
    | image source | courtesy | stock photo | stock image | file photo | file image | file picture
    | handout | image for post | post image
    | anzeige | werbung | teilen | mehr erfahren | mehr lesen | weiterlesen | bildquelle | quelle
    | vergrößern | bild vergrößern | zum vergrößern | wird geladen | schließen | zurück | weiter
    | agrandir | publicité | partager | lire la suite | chargement | chargement en cours
    | en savoir plus | crédit photo | suivant | précédent | fermer
    | publicidad | compartir | cargando | leer más | ampliar | ampliar imagen | ampliar foto |
    ver más
    | ver imagen | ver foto | ver galería | fuente | cerrar
    | publicidade | compartilhar | carregando | leia mais | saiba mais | divulgação | reprodução
    | pubblicità | condividi | leggi tutto | leggi di più | ingrandisci | caricamento
    | advertentie | delen | lees meer | vergroten | annons | annonse | reklame | reklam | dela
    | mainos | reklama | udostępnij | powiększ | zvětšit | hirdetés | paylaş
    | увеличить | реклама | поделиться | загрузка | подробнее | читать далее | читать дальше |
    источник
    | إعلان | مشاركة | 广告 | 廣告 | 分享 | 加载中 | 載入中 | 更多 | 返回顶部 | 来源 | 來源 | 二维码
    | 查看大图 | 查看大圖 | 查看原图 | 点击查看大图 | 点击放大 | 点击图片进入下一页 | 點擊放大
    | 阅读更多 | 阅读全文 | 拡大 | 拡大する | 拡大画像 | 拡大表示 | 画像を拡大 | 画像を拡大する
    | クリックで拡大
    | クリックして拡大 | クリックすると拡大します | 広告 | シェア | シェアする | 続きを読む |
    もっと見る | 読み込み中
    | 閉じる | 次へ | 前へ | 提供 | 광고 | 공유 | 공유하기 | 더보기 | 사진 확대 | 확대보기 |
    이미지 확대 | 닫기
    """
)
"""Whole texts that are labels of a page's controls, or a credit without a name."""

NETWORKS = (
    "facebook|twitter|x|instagram|linkedin|pinterest|youtube|whatsapp|telegram|reddit|tiktok|rss"
    "|email|e mail|mail|weibo|wechat|tumblr|vk|vkontakte|xing|threads|bluesky|mastodon"
    "|snapchat|messenger|flipboard|微博|微信|朋友圈"
)
"""Where share bars lead, as alternatives of a pattern."""


def _any(words: str) -> str:
    """One of some words, as a pattern."""
    return "(?:" + "|".join(words.split()) + ")"


_THING = _any(
    "the this it images? photos? pictures? maps? icons? thumbnails? versions? galler(?:y|ies)"
    " videos? captions? diagrams? charts? infographics? slideshow"
)
_TOUCH = _any("click tap touch press hover swipe roll.?over")
_LARGER = _any(
    "full large(?:r|d)? bigger enlarge(?:d|ment)? zoom view see expand open play watch show magnify"
    " more high"
)
_MANNER = _any(
    "in out at to full fullscreen large larger bigger enlarged original high new tab window sized?"
    " screen res resolution view more details? info information"
)

CONTROLS = (
    # Click to enlarge; tap the image to see it in full size.
    rf"(?:please )?{_TOUCH}(?: (?:here|on|over|or|{_TOUCH}|{_THING}))* (?:to|for) (?:an? |the )?"
    rf"{_LARGER}(?: (?:{_MANNER}|{_THING}))*",
    # View full size, enlarge this image, show caption, opens in a new window.
    rf"(?:view|see|show|hide|opens?|expand|load|enlarge|zoom|toggle)(?: (?:an?|all|menu|{_MANNER}"
    rf"|{_THING}))+",
    r"loading(?: (?:image|icon|spinner|gif|content|more|please wait))*",
    rf"(?:please )?(?:share|tweet|pin|post|send|save|email|print)"
    rf"(?: (?:this|it|article|page|post|story|image|now))*"
    rf"(?: (?:on|via|to|with|by|using) (?:{NETWORKS}|an? friend|your friends))?",
    rf"(?:follow|like|find|join|visit|watch|contact) (?:us|me)(?: (?:on|at|via) (?:{NETWORKS}))?",
    rf"(?!x\b|threads|messenger|e ?mail|mail)(?:{NETWORKS})(?: (?:icon|logo|share|button))?",
    r"(?:read|learn|find out|see|show) (?:more|full story)",
    rf"auf (?:{NETWORKS}) teilen|partager sur (?:{NETWORKS})|compartir en (?:{NETWORKS})",
    rf"分享到(?:{NETWORKS})",
    r"(?:hier )?klicken.{0,30}",
    r"(?:cliquez|clique|cliquer) (?:ici|pour|sur|aqui|na imagem|para).{0,30}",
    r"(?:haz|haga|hacer) cl[ií]c.{0,30}",
    r"(?:clicca|cliccare) (?:per|qui|sull).{0,30}",
    r"klik (?:om|hier|op|for).{0,30}|klicka för.{0,30}",
    r"kliknij aby.{0,30}|klikn[ěi]te? pro.{0,30}",
    r"(?:нажмите|кликните) (?:чтобы|для|на).{0,30}",
    r"(?:büyütmek|büyük) için tıkla\w*",
    r"点击.{0,2}(?:查看|放大|进入).{0,6}|클릭하면.{0,14}",
)
"""Patterns of labels; each is the whole of a text."""

AGENCIES = _phrases(
    """
    afp | ap | ap photo | associated press | the associated press | reuters | getty | getty images
    | gettyimages | afp getty images | shutterstock | shutterstock com | istock | istockphoto
    | alamy | alamy stock photo | dpa | epa | efe | ansa | tass | тасс | риа новости | xinhua |
    新华社
    | 新华网 | 视觉中国 | 中新社 | yonhap | 연합뉴스 | 뉴스1 | 뉴시스 | kyodo | 共同通信 | 時事通信
    | press association | pa wire | pa media | pa images | unsplash | pexels | pixabay | flickr
    | wikimedia | wikimedia commons | wikipedia | adobe stock | adobestock | depositphotos
    | dreamstime | bigstock | zuma press | rex features | bloomberg | picture alliance | imago
    | imago images | keystone | apa | ntb | tt | ritzau scanpix | scanpix | lehtikuva | polaris
    | corbis | magnum photos | usa today sports | anadolu | anadolu agency | iha | dha | čtk | ctk
    | mti | belga | anp | canva | freepik | 123rf | bigstockphoto
    """
)
"""Photo agencies, banks of stock pictures and their like."""

CREDIT_LABELS = (
    r"(?:(?:featured|header|cover|top|main|title) )?"
    r"(?:photo|image|picture|photograph|illustration|screenshot|graphic|video|artwork)s?"
    r"(?: (?:credits?|source|courtesy|copyright))?"
    r"|credits?|sources?|photographer|courtesy|copyright|artist|via|screengrab"
    r"|fotos?|bild|bilder|grafik|quelle|bildquelle|bildnachweis|fotograf"
    r"|crédits?(?: photos?)?|fuente|fotografía|fonte|imagem|imagen|immagine"
    r"|bron|beeld|kilde|källa|kuva|zdroj|źródło|fot|zdj|forrás|fotó|kaynak"
    r"|фото|источник|джерело"
    r"|图片来源|圖片來源|来源|來源|图源|图片|图|供图|摄影|資料來源"
    r"|写真|画像|撮影|出典|提供|写真提供|사진|출처|사진제공"
)
"""What a credit begins with, as alternatives of a pattern."""
