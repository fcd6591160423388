/* The contents of scripts, styles and drawings, and the attributes of these and of links and frames,
   which nobody reads from the tree, found as a tokenizer does.

   This follows the states of html.spec.whatwg.org, 13.2.5. A parser changes some of them by what it
   has built: in `svg` and `math` a script is markup, and in `select`, `template` and `frameset` some
   start tags are passed over, so that what follows them is markup too. These are zones: while one may
   be open nothing is dropped, and what reads differently there ends the search.

   The content of an `svg` outside of zones goes where it is nothing but white space, comments and
   elements of `PLAIN` that are closed in order: none of them ends the `svg`, opens anything around
   it or is ever looked back at. */

#include "_page_scan.h"

/* `RAW`: its content is text. `LAST`: nothing behind it is looked at. `INTEGRATION`: in `svg` and
   `math`, its content is HTML. `EMPTY`: it has no content, and changes nothing. */
typedef enum { SCRIPT, STYLE, RAW, LAST, ZONE, INTEGRATION, EMPTY } Kind;

enum { MAX_ZONES = 64, MAX_LENGTH = 14, MAX_DRAWN = 32 };

typedef struct {
    uint8_t length;
    char name[MAX_LENGTH + 2];
    Kind kind;
    bool is_bare; /* its attributes can go: no one reads them, and no tree is another for them */
} Special;

/* Elements that change how the source is read, or whose attributes can go, by length. */
static const Special SPECIAL[] = {
    {2, "mi", INTEGRATION, false},
    {2, "mo", INTEGRATION, false},
    {2, "mn", INTEGRATION, false},
    {2, "ms", INTEGRATION, false},
    {3, "svg", ZONE, true},
    {3, "xmp", RAW, false},
    {4, "math", ZONE, false},
    {4, "desc", INTEGRATION, false},
    {4, "link", EMPTY, true},
    {5, "style", STYLE, true},
    {5, "title", RAW, false},
    {5, "mtext", INTEGRATION, false},
    {6, "script", SCRIPT, true},
    {6, "iframe", RAW, true},
    {6, "select", ZONE, false},
    {7, "noembed", RAW, false},
    {8, "noframes", RAW, false},
    {8, "textarea", RAW, false},
    {8, "template", ZONE, false},
    {8, "frameset", LAST, false},
    {9, "plaintext", LAST, false},
    {13, "foreignobject", INTEGRATION, false},
    {14, "annotation-xml", INTEGRATION, false},
};

/* Where those of each length begin in `SPECIAL`. */
static const uint8_t SPECIAL_FROM[MAX_LENGTH + 2] = {0, 0, 0, 4, 6, 9, 12, 15, 16, 20, 21, 21, 21, 21, 22, 23};

/* Elements of drawings that hold nothing but their like. */
static const char *const PLAIN[] = {
    "path", "g", "use", "rect", "circle", "defs", "polygon", "clippath", "line", "polyline", "mask", "symbol",
    "ellipse", "lineargradient", "radialgradient", "stop",
};

enum { PLAINS = sizeof PLAIN / sizeof *PLAIN };

typedef struct {
    const Special *at[MAX_ZONES]; /* that may be open, the innermost last */
    size_t count;
} Zones;

static const Special *special_at(const Source *source, size_t at, size_t length)
{
    if (length > MAX_LENGTH)
        return NULL;
    for (size_t nth = SPECIAL_FROM[length]; nth < SPECIAL_FROM[length + 1]; nth++)
        if (is_name(source, at, SPECIAL[nth].name, length))
            return &SPECIAL[nth];
    return NULL;
}

static const char *plain_at(const Source *source, size_t at, size_t length)
{
    for (size_t nth = 0; nth < PLAINS; nth++)
        if (strlen(PLAIN[nth]) == length && is_name(source, at, PLAIN[nth], length))
            return PLAIN[nth];
    return NULL;
}

/* The offset of the end tag of an `svg` whose content, from `at` on, can go; `at` if it cannot. */
static size_t drawing_end(const Source *source, size_t at)
{
    const uint8_t *octets = source->at;
    const char *open[MAX_DRAWN];
    size_t depth = 0, begin = at;
    for (;;) {
        at = pass(source, at, SPACE, true);
        if (source->size - at < 4 || octets[at] != '<')
            return begin;
        if (!memcmp(octets + at, "<!--", 4)) {
            at = comment_end(source, at + 4);
            continue;
        }
        bool is_end = octets[at + 1] == '/', closes_itself;
        size_t name = at + 1 + is_end, end = name_end(source, name, NAME_END);
        if (is_end && !depth)
            return is_name(source, name, "svg", 3) ? at : begin;
        const char *element = plain_at(source, name, end - name);
        at = tag_end(source, end, &closes_itself);
        if (!element || (is_end && open[--depth] != element))
            return begin;
        if (!is_end && !closes_itself) {
            if (depth == MAX_DRAWN)
                return begin;
            open[depth++] = element;
        }
    }
}

/* The offset behind the content of a special element, whose start tag ends at `at`; or the size. */
static size_t pass_content(const Source *source, Zones *zones, size_t at, const Special *element, bool is_empty,
                           bool *can_go)
{
    bool is_escaped = false;
    *can_go = false;
    if (element->kind == EMPTY)
        return at;
    if (element->kind == LAST || (element->kind == ZONE && zones->count == MAX_ZONES))
        return source->size;
    if (element->kind == ZONE) {
        *can_go = !zones->count && !is_empty && !strcmp(element->name, "svg");
        zones->at[zones->count++] = element;
        return *can_go ? drawing_end(source, at) : at;
    }
    if (zones->count) {
        /* Text or markup, whichever it is: it is read alike only if it ends before the next tag. */
        size_t next = find(source, at, '<');
        return next == text_end(source, at, element->name, element->length) ? next : source->size;
    }
    if (element->kind == INTEGRATION)
        return at;
    at = element->kind == SCRIPT ? script_end(source, at, &is_escaped) : text_end(source, at, element->name, element->length);
    *can_go = element->kind != RAW && !is_escaped && at < source->size;
    return at;
}

/* Passes the end tag of a special element; false where it may not close what it names. */
static bool close_zone(Zones *zones, const Special *element)
{
    if (element->kind != ZONE || !zones->count)
        return true;
    zones->count--;
    return zones->at[zones->count] == element;
}

/* Finds the contents and attributes that can go: begins and ends, in turn. */
Outcome find_droppable(const uint8_t *octets, size_t size, Places *cuts)
{
    Source source = {.at = octets, .size = size};
    Zones zones = {.count = 0};
    for (size_t at = 0; (at = find(&source, at, '<')) < size;) {
        if (size - at < 3)
            break;
        bool is_end = octets[at + 1] == '/';
        size_t name = at + 1 + is_end, end = name;
        if (!is_letter(octets[name])) {
            if (!memcmp(octets + at, "<!-", 3) && size - at > 3 && octets[at + 3] == '-')
                at = comment_end(&source, at + 4);
            else if (zones.count && octets[at + 1] == '!' && octets[at + 2] == '[')
                break; /* CDATA in `svg` and `math`, a comment elsewhere */
            else if (is_end || octets[name] == '!' || octets[name] == '?')
                at = find(&source, name, '>');
            else
                at++;
            continue;
        }
        end = name_end(&source, end, NAME_END);
        const Special *element = special_at(&source, name, end - name);
        bool closes_itself, can_go;
        at = tag_end(&source, end, &closes_itself);
        if (!element)
            continue;
        if (is_end) {
            if (!close_zone(&zones, element))
                break;
            continue;
        }
        size_t content = at, attributes_end = at - 1 - closes_itself;
        /* Where the source ends in the tag there may be no tag. */
        if (element->is_bare && !zones.count && at < size && end < attributes_end
            && !(add_place(cuts, end) && add_place(cuts, attributes_end)))
            return NO_MEMORY;
        at = pass_content(&source, &zones, at, element, closes_itself, &can_go);
        if (can_go && at > content && !(add_place(cuts, content) && add_place(cuts, at)))
            return NO_MEMORY;
    }
    return READ;
}

/* What is left of a source without what is cut out of it. */
void copy_between(const uint8_t *source, size_t size, const Places *cuts, uint8_t *out)
{
    size_t from = 0;
    for (size_t cut = 0; cut < cuts->count; cut += 2) {
        memcpy(out, source + from, cuts->at[cut] - from);
        out += cuts->at[cut] - from;
        from = cuts->at[cut + 1];
    }
    memcpy(out, source + from, size - from);
}
