/* Pages whose tree can be written down while they are read: no tree is made.

   What the standard's tree construction does (html.spec.whatwg.org, 13.2.6) is, on most pages,
   nothing but to open elements and to close them, also where their tags are missing. Then canonical
   markup can be written tag by tag. Whatever would change what has been written already, or is seldom
   and not worth its rules, makes the reader stand aside, and lexbor reads the page: an element that is
   misnested with a formatting one around a block, content of a table outside of its cells, framesets,
   formulas. So what is written is what lexbor's tree would be written as, byte by byte. */

#ifndef PAGE_STREAM_H
#define PAGE_STREAM_H

#include "_page_markup.h"
#include "_page_scan.h"

/* What an element is, a bit each. `SPECIAL`: of the category of that name (13.2.4.2). `SCOPE`: no
   scope reaches beyond it. `IMPLIED`: its end tag may be missing. `ENDS_PARAGRAPH`: it closes one and has
   no other rule. `NEVER_READ`, `NO_END`: as html_parsers.py has them. */
enum {
    SPECIAL = 1,
    SCOPE = 2,
    IMPLIED = 4,
    ENDS_PARAGRAPH = 8,
    BLOCK = ENDS_PARAGRAPH | SPECIAL,
    FORMATTING = 16,
    HEADLINE = 32 | SPECIAL,
    NEVER_READ = 64,
    NO_END = 128,
};

/* Elements that have a rule: a name for C, their name, what they are. */
#define ELEMENTS(X)                                                                                            \
    X(A, "a", FORMATTING) X(ADDRESS, "address", BLOCK) X(ANNOTATION, "annotation", 0)                          \
    X(ANNOTATION_XML, "annotation-xml", 0) X(APPLET, "applet", SPECIAL | SCOPE) X(AREA, "area", SPECIAL)       \
    X(ARTICLE, "article", BLOCK) X(ASIDE, "aside", BLOCK) X(AUDIO, "audio", 0) X(B, "b", FORMATTING)           \
    X(BASE, "base", SPECIAL) X(BASEFONT, "basefont", SPECIAL) X(BGSOUND, "bgsound", SPECIAL)                   \
    X(BIG, "big", FORMATTING) X(BLOCKQUOTE, "blockquote", BLOCK) X(BODY, "body", SPECIAL)                      \
    X(BR, "br", SPECIAL) X(BUTTON, "button", SPECIAL) X(CANVAS, "canvas", 0)                                   \
    X(CAPTION, "caption", SPECIAL | SCOPE) X(CENTER, "center", BLOCK) X(CODE, "code", FORMATTING)              \
    X(COL, "col", SPECIAL) X(COLGROUP, "colgroup", SPECIAL) X(DATALIST, "datalist", 0)                         \
    X(DD, "dd", SPECIAL | IMPLIED) X(DETAILS, "details", BLOCK) X(DIALOG, "dialog", ENDS_PARAGRAPH) X(DIR, "dir", BLOCK)    \
    X(DIV, "div", BLOCK) X(DL, "dl", BLOCK) X(DT, "dt", SPECIAL | IMPLIED) X(EM, "em", FORMATTING)             \
    X(EMBED, "embed", SPECIAL) X(FIELDSET, "fieldset", BLOCK) X(FIGCAPTION, "figcaption", BLOCK)               \
    X(FIGURE, "figure", BLOCK) X(FONT, "font", FORMATTING) X(FOOTER, "footer", BLOCK) X(FORM, "form", SPECIAL) \
    X(FRAME, "frame", SPECIAL) X(FRAMESET, "frameset", SPECIAL) X(H1, "h1", HEADLINE) X(H2, "h2", HEADLINE)      \
    X(H3, "h3", HEADLINE) X(H4, "h4", HEADLINE) X(H5, "h5", HEADLINE) X(H6, "h6", HEADLINE)                        \
    X(HEAD, "head", SPECIAL) X(HEADER, "header", BLOCK) X(HGROUP, "hgroup", BLOCK) X(HR, "hr", SPECIAL)        \
    X(HTML, "html", SPECIAL | SCOPE) X(I, "i", FORMATTING) X(IFRAME, "iframe", SPECIAL) X(IMAGE, "image", 0)   \
    X(IMG, "img", SPECIAL) X(INPUT, "input", SPECIAL) X(KEYGEN, "keygen", SPECIAL)                             \
    X(LI, "li", SPECIAL | IMPLIED) X(LINK, "link", SPECIAL) X(LISTING, "listing", BLOCK) X(MAIN, "main", BLOCK)\
    X(MARQUEE, "marquee", SPECIAL | SCOPE) X(MATH, "math", 0) X(MENU, "menu", BLOCK) X(META, "meta", SPECIAL)  \
    X(NAV, "nav", BLOCK) X(NOBR, "nobr", FORMATTING) X(NOEMBED, "noembed", SPECIAL)                            \
    X(NOFRAMES, "noframes", SPECIAL) X(NOSCRIPT, "noscript", SPECIAL) X(OBJECT, "object", SPECIAL | SCOPE)     \
    X(OL, "ol", BLOCK) X(OPTGROUP, "optgroup", IMPLIED) X(OPTION, "option", IMPLIED)                           \
    X(P, "p", SPECIAL | IMPLIED) X(PARAM, "param", SPECIAL) X(PLAINTEXT, "plaintext", SPECIAL)                 \
    X(PRE, "pre", BLOCK) X(RB, "rb", IMPLIED) X(RP, "rp", IMPLIED) X(RT, "rt", IMPLIED)                        \
    X(RTC, "rtc", IMPLIED) X(RUBY, "ruby", 0) X(S, "s", FORMATTING) X(SCRIPT, "script", SPECIAL)               \
    X(SEARCH, "search", BLOCK) X(SECTION, "section", BLOCK) X(SELECT, "select", SPECIAL)                       \
    X(SMALL, "small", FORMATTING) X(SOURCE, "source", SPECIAL) X(STRIKE, "strike", FORMATTING)                 \
    X(STRONG, "strong", FORMATTING) X(STYLE, "style", SPECIAL) X(SUMMARY, "summary", BLOCK) X(SVG, "svg", 0)   \
    X(TABLE, "table", SPECIAL | SCOPE) X(TBODY, "tbody", SPECIAL) X(TD, "td", SPECIAL | SCOPE)                 \
    X(TEMPLATE, "template", SPECIAL | SCOPE) X(TEXTAREA, "textarea", SPECIAL) X(TFOOT, "tfoot", SPECIAL)       \
    X(TH, "th", SPECIAL | SCOPE) X(THEAD, "thead", SPECIAL) X(TITLE, "title", SPECIAL) X(TR, "tr", SPECIAL)    \
    X(TRACK, "track", SPECIAL) X(TT, "tt", FORMATTING) X(U, "u", FORMATTING) X(UL, "ul", BLOCK)                \
    X(VIDEO, "video", 0) X(WBR, "wbr", SPECIAL) X(XMP, "xmp", SPECIAL)

#define ELEMENT_NAME(id, name, traits) E_##id,
typedef enum { E_OTHER, ELEMENTS(ELEMENT_NAME) ELEMENT_COUNT, NO_BOUND = ELEMENT_COUNT } Element;
#undef ELEMENT_NAME

enum {
    NAME_SLOTS = 512,
    REFERENCE_SLOTS = 8192,
    MAX_REFERENCES = REFERENCE_SLOTS / 2,
    LONGEST_REFERENCE = 40,
    LONGEST_VALUE = 8,
    LONGEST_LEGACY = 6, /* of the references that need no semicolon */
    MAX_TAG_ATTRIBUTES = 64,
    MAX_OPEN = 400,
    MAX_FORMATTING_OPEN = 24,
    MAX_FORMATTING_NAMES = 64,
};

/* What a character reference without its `&` stands for. */
typedef struct {
    uint8_t size, value_size;
    uint8_t name[LONGEST_REFERENCE];
    uint8_t value[LONGEST_VALUE];
} Reference;

typedef struct {
    uint64_t keys[NAME_SLOTS][2]; /* of elements; zeros where there is none */
    uint8_t elements[NAME_SLOTS];
    uint8_t traits[ELEMENT_COUNT];
    uint8_t in_names[256]; /* by byte, what it is in a name; 0 where it cannot be spelled */
    uint8_t formatting[MAX_FORMATTING_NAMES * NAME_BYTES]; /* elements, for `count_tags` */
    size_t formatting_size, long_tag, max_crowd, few_tags, many_tags, max_left_open;
    uint16_t reference_slots[REFERENCE_SLOTS]; /* numbers of references from 1, or 0 */
    size_t reference_count;
    Reference references[MAX_REFERENCES];
} StreamTables;

typedef struct {
    uint64_t key; /* the first eight bytes of the name */
    size_t name, name_size, value, value_size;
    bool is_spelled;
} Attribute;

/* A start or end tag. */
typedef struct {
    Element element;
    const uint8_t *name; /* in small letters */
    size_t name_size, count, end;
    bool closes_itself;
    Attribute attributes[MAX_TAG_ATTRIBUTES];
} Tag;

/* An open element. */
typedef struct {
    Element element;
    const uint8_t *name;
    size_t name_size;
    int entry; /* in the list of formatting elements, -1 where it is not in it */
} Open;

/* An entry of the list of active formatting elements (13.2.4.3); a marker where it is E_OTHER. */
typedef struct {
    Element element;
    const uint8_t *name;
    size_t name_size;
    size_t begin, size; /* of its start tag in the markup; 0 bytes where it was not written */
    int open;           /* place among the open elements, -1 where it is closed */
    bool is_odd;        /* it has attributes that the markup does not spell */
    bool has_order;     /* it has more than one */
} Entry;

typedef enum {
    INITIAL, BEFORE_HTML, BEFORE_HEAD, IN_HEAD, IN_HEAD_NOSCRIPT, AFTER_HEAD, IN_BODY, IN_TABLE, IN_CAPTION,
    IN_COLUMN_GROUP, IN_TABLE_BODY, IN_ROW, IN_CELL,
} Mode;

typedef struct {
    const StreamTables *tables;
    Source source;
    uint8_t *octets; /* of the source: names in it are made small */
    Markup out;
    Mode mode;
    int aside; /* the line of the rule that it stands aside for, or 0 */
    int depth; /* open elements */
    int muted; /* the place of the outermost open element that is never read, or -1 */
    int paragraphs; /* open `p` */
    int form; /* the place of the form element; -1 where there is none, -2 where it is not open */
    int entries;
    size_t bare_body; /* where the `>` of a body that has no tag in the source stands, or 0 */
    enum { UNKNOWN, QUIRKS, NO_QUIRKS } quirks; /* by the doctype, as far as it is looked at */
    Open open[MAX_OPEN];
    Entry list[MAX_FORMATTING_OPEN];
    Tag tag;
} Stream;

/* Leaves the page to lexbor. */
#define STAND_ASIDE(stream) ((void)((stream)->aside = __LINE__))

static inline bool is_a(const Stream *stream, Element element, int trait)
{
    return (stream->tables->traits[element] & trait) == trait;
}

/* _page_stream_text.c: texts and values */

bool fill_references(StreamTables *tables, const uint8_t *references, size_t size);
void write_text(Stream *stream, size_t from, size_t to);
void write_value(Stream *stream, size_t from, size_t to);

/* Whether a reference stands somewhere that may be one to white space: a number, `&Tab;`, `&NewLine;`. */
static inline bool may_be_space(const Stream *stream, size_t at)
{
    const uint8_t *octets = stream->octets + at; /* with bytes behind it */
    return octets[0] == '&' && (octets[1] == '#' || octets[1] == 'T' || octets[1] == 'N');
}

/* _page_stream_tags.c: tags */

bool fill_elements(StreamTables *tables, const uint8_t *never_read, size_t never_size, const uint8_t *without_end,
                   size_t without_size);
/* Reads the name of a tag; gives the offset behind it. */
size_t read_tag_name(Stream *stream, size_t at);
/* Reads the attributes of a start tag and its end; false where the source ends in it. */
bool read_attributes(Stream *stream, size_t at);
static inline bool has_attributes(const Stream *stream)
{
    return stream->tag.count;
}
/* Stands aside where a token could be a tag of more attributes than a page may have. */
void check_crowd(Stream *stream, size_t from, size_t to);
/* The offset behind a comment or what is read as one, from its `<!`, `<?` or `</`. */
size_t pass_declaration(Stream *stream, size_t at);
void write_start_tag(Stream *stream, const Tag *tag);
/* Gives the attributes of the tag to the body, which was opened without a tag. */
void write_late_attributes(Stream *stream);
/* The offset behind the end tag of an element that was opened and is not read; the size where it has none. */
size_t pass_raw_text(Stream *stream, size_t at, Element element);
size_t pass_svg(Stream *stream, size_t at);
size_t pass_select(Stream *stream, size_t at);
size_t pass_template(Stream *stream, size_t at);

/* _page_stream_open.c: open elements */

static inline Element current(const Stream *stream)
{
    return stream->open[stream->depth - 1].element;
}

/* Opens the element of a tag, or, where there is none, an element without attributes. */
void push(Stream *stream, const Tag *tag);
void push_implied(Stream *stream, Element element, const char *name);
void pop(Stream *stream);
void pop_until(Stream *stream, Element element);
void pop_to(Stream *stream, int depth);
/* Writes the element of a tag that is closed at once. */
void put_void(Stream *stream, const Tag *tag);
int find_in_scope(const Stream *stream, Element element, Element bound, Element other_bound);
int find_in_table_scope(const Stream *stream, Element element);
void close_implied(Stream *stream, Element but);
void close_paragraph(Stream *stream);
void add_marker(Stream *stream);
void clear_to_marker(Stream *stream);
void add_formatting(Stream *stream);
void reopen_formatting(Stream *stream);
void close_formatting(Stream *stream, Element element);
void close_other(Stream *stream, Element element, const uint8_t *name, size_t size);

/* _page_stream_body.c, _page_stream_tables.c, _page_stream_modes.c: what tokens do; a start tag gives the
   offset to go on from */

size_t start_in_body(Stream *stream);
void end_in_body(Stream *stream);
size_t start_in_tables(Stream *stream);
void end_in_tables(Stream *stream);
size_t on_start_tag(Stream *stream);
void on_end_tag(Stream *stream);
void on_text(Stream *stream, size_t from, size_t to);
void finish(Stream *stream);

#endif
