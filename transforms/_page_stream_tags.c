/* Tags of the source, and the elements of which only the end is looked for. */

#include "_page_stream.h"

enum { MAX_DRAWN = 64 };

static const struct {
    const char *name;
    uint8_t traits;
} KNOWN[] = {
#define ELEMENT_ROW(id, name, traits) [E_##id] = {name, traits},
    [E_OTHER] = {"", 0}, ELEMENTS(ELEMENT_ROW)
#undef ELEMENT_ROW
};

/* --- Names --- */

static size_t name_slot(const StreamTables *tables, const uint64_t key[2])
{
    size_t slot = mix(key[0] ^ EIGHT(0x5a), key[1] ^ 0x9e3779b97f4a7c15u) % NAME_SLOTS;
    while (tables->keys[slot][0] && (tables->keys[slot][0] != key[0] || tables->keys[slot][1] != key[1]))
        slot = (slot + 1) % NAME_SLOTS;
    return slot;
}

/* Eight bytes with small letters for capitals. */
static uint64_t small_letters(uint64_t eight)
{
    uint64_t seven = eight & EIGHT(0x7f);
    uint64_t capitals = (seven + EIGHT(0x80 - 'A')) & ~(seven + EIGHT(0x7f - 'Z')) & ~eight & EIGHT(0x80);
    return eight | capitals >> 2;
}

static Element element_of(const StreamTables *tables, const uint8_t *name, size_t size)
{
    if (size > NAME_BYTES)
        return E_OTHER;
    /* There are bytes behind it. */
    uint64_t key[] = {small_letters(eight_from(name, 16, 0) & low_bytes(size)),
                      size > 8 ? small_letters(eight_from(name, 16, 8) & low_bytes(size - 8)) : 0};
    return (Element)tables->elements[name_slot(tables, key)];
}

static bool add_trait(StreamTables *tables, const uint8_t *names, size_t size, uint8_t trait)
{
    bool are_known = size % NAME_BYTES == 0;
    for (size_t at = 0; are_known && at < size; at += NAME_BYTES) {
        uint64_t key[] = {eight_from(names, size, at), eight_from(names, size, at + 8)};
        Element element = (Element)tables->elements[name_slot(tables, key)];
        tables->traits[element] |= trait;
        are_known = element != E_OTHER;
    }
    return are_known;
}

/* False where a name is none of the elements that have a rule. */
bool fill_elements(StreamTables *tables, const uint8_t *never_read, size_t never_size, const uint8_t *without_end,
                   size_t without_size)
{
    for (size_t nth = 1; nth < ELEMENT_COUNT; nth++) {
        const uint8_t *name = (const uint8_t *)KNOWN[nth].name;
        size_t size = strlen(KNOWN[nth].name);
        uint64_t key[] = {eight_from(name, size, 0), size > 8 ? eight_from(name, size, 8) : 0};
        size_t slot = name_slot(tables, key);
        memcpy(tables->keys[slot], key, sizeof key);
        tables->elements[slot] = (uint8_t)nth;
        tables->traits[nth] = KNOWN[nth].traits;
    }
    return add_trait(tables, never_read, never_size, NEVER_READ)
           && add_trait(tables, without_end, without_size, NO_END);
}

/* Whether a name is up to 16 small letters and hyphens, as most are; there are bytes behind it. */
static bool is_plain_name(const uint8_t *name, size_t size)
{
#ifdef __SSE2__
    __m128i sixteen = _mm_loadu_si128((const __m128i *)(const void *)name);
    __m128i letters = _mm_sub_epi8(sixteen, _mm_set1_epi8('a'));
    __m128i plain = _mm_cmpeq_epi8(_mm_min_epu8(letters, _mm_set1_epi8('z' - 'a')), letters);
    plain = _mm_or_si128(plain, _mm_cmpeq_epi8(sixteen, _mm_set1_epi8('-')));
    return size <= 16 && !(~(uint64_t)(uint32_t)_mm_movemask_epi8(plain) & low_bits(size));
#else
    (void)name, (void)size;
    return false;
#endif
}

/* Makes a name small, in its place; false where markup cannot spell it. */
static bool make_small(const StreamTables *tables, uint8_t *name, size_t size)
{
    bool is_spelled = true;
    if (is_plain_name(name, size))
        return true;
    for (size_t nth = 0; nth < size; nth++) {
        uint8_t small = tables->in_names[name[nth]];
        is_spelled &= small != 0;
        name[nth] = small ? small : name[nth];
    }
    return is_spelled;
}

size_t read_tag_name(Stream *stream, size_t at)
{
    Tag *tag = &stream->tag;
    size_t end = name_end(&stream->source, at, NAME_END);
    tag->name = stream->octets + at;
    tag->name_size = end - at;
    tag->element = element_of(stream->tables, tag->name, tag->name_size);
    if (tag->element != E_OTHER)
        tag->name = (const uint8_t *)KNOWN[tag->element].name;
    else if (!make_small(stream->tables, stream->octets + at, end - at))
        STAND_ASIDE(stream);
    return end;
}

/* --- Attributes --- */

/* Whether the last attribute of a tag is the second of its name: the first counts. */
static bool is_repeated(const Stream *stream)
{
    const Tag *tag = &stream->tag;
    const Attribute *last = &tag->attributes[tag->count];
    for (size_t nth = 0; nth < tag->count; nth++) {
        const Attribute *each = &tag->attributes[nth];
        if (each->key == last->key && each->name_size == last->name_size
            && (last->name_size <= 8
                || !memcmp(stream->octets + each->name, stream->octets + last->name, last->name_size)))
            return true;
    }
    return false;
}

bool read_attributes(Stream *stream, size_t at)
{
    const Source *source = &stream->source;
    const uint8_t *octets = source->at;
    size_t size = source->size;
    Tag *tag = &stream->tag;
    tag->count = 0;
    tag->closes_itself = false;
    /* The states are those of `tag_end`. */
    for (;;) {
        size_t begin = at;
        at = pass(source, at, SPACE | SLASH, true);
        if (at == size)
            return false;
        if (octets[at] == '>') {
            tag->closes_itself = at > begin && octets[at - 1] == '/';
            tag->end = at + 1;
            return true;
        }
        Attribute *made = &tag->attributes[tag->count];
        made->name = at;
        at = name_end(source, at + 1, NAME_END | EQUALS);
        made->name_size = at - made->name;
        made->is_spelled = make_small(stream->tables, stream->octets + made->name, made->name_size);
        made->key = eight_from(octets, size + 8, made->name) & low_bytes(made->name_size);
        made->value = made->value_size = 0;
        at = pass(source, at, SPACE, true);
        if (at < size && octets[at] == '=') {
            at = pass(source, at + 1, SPACE, true);
            if (at == size)
                return false;
            bool is_quoted = octets[at] == '"' || octets[at] == '\'';
            made->value = at + is_quoted;
            at = is_quoted ? find_quote(source, at + 1, octets[at]) : pass(source, at, SPACE | CLOSE, false);
            made->value_size = at - made->value;
            at += is_quoted && at < size;
        }
        if (!is_repeated(stream) && ++tag->count == MAX_TAG_ATTRIBUTES) {
            STAND_ASIDE(stream);
            return false;
        }
    }
}

static void write_attributes(Stream *stream, const Tag *tag)
{
    Markup *out = &stream->out;
    for (size_t nth = 0; nth < tag->count; nth++) {
        const Attribute *each = &tag->attributes[nth];
        uint8_t *to = each->is_spelled ? room_for(out, each->name_size + 3) : NULL;
        if (!to)
            continue;
        *to = ' ';
        memcpy(to + 1, stream->octets + each->name, each->name_size);
        memcpy(to + 1 + each->name_size, "=\"", 2);
        out->size += each->name_size + 3;
        write_value(stream, each->value, each->value + each->value_size);
        write_bytes(out, "\"", 1);
    }
}

void write_start_tag(Stream *stream, const Tag *tag)
{
    Markup *out = &stream->out;
    uint8_t *to = room_for(out, tag->name_size + 1);
    if (!to)
        return;
    *to = '<';
    memcpy(to + 1, tag->name, tag->name_size);
    out->size += tag->name_size + 1;
    write_attributes(stream, tag);
    write_bytes(out, ">", 1);
}

void write_late_attributes(Stream *stream)
{
    Markup *out = &stream->out;
    size_t at = stream->bare_body, begin = out->size;
    write_attributes(stream, &stream->tag);
    size_t size = out->size - begin;
    if (!at || !room_for(out, size)) {
        STAND_ASIDE(stream);
        return;
    }
    memmove(out->at + at + size, out->at + at, begin + size - at);
    memcpy(out->at + at, out->at + begin + size, size);
    for (int nth = 0; nth < stream->entries; nth++)
        stream->list[nth].begin += stream->list[nth].begin >= at ? size : 0;
    stream->bare_body = 0;
}

/* --- Elements that are passed over --- */

size_t pass_raw_text(Stream *stream, size_t at, Element element)
{
    const Source *source = &stream->source;
    bool is_escaped = false, closes_itself;
    const char *name = KNOWN[element].name;
    size_t length = strlen(name), begin = at;
    at = element == E_SCRIPT ? script_end(source, at, &is_escaped) : text_end(source, at, name, length);
    size_t end = at == source->size ? at : tag_end(source, at + 2 + length, &closes_itself);
    /* In these source_limits.py sees tags. */
    if (is_escaped || element == E_NOFRAMES || element == E_NOEMBED)
        check_crowd(stream, begin, at);
    check_crowd(stream, at, end);
    return end;
}

void check_crowd(Stream *stream, size_t from, size_t to)
{
    const uint8_t *octets = stream->octets;
    size_t crowd = 0;
    if (to - from < stream->tables->long_tag)
        return;
    for (; from < to; from++)
        crowd += is_python_space(octets[from]) || octets[from] == '"' || octets[from] == '\'';
    if (crowd > stream->tables->max_crowd)
        STAND_ASIDE(stream);
}

size_t pass_declaration(Stream *stream, size_t at)
{
    const Source *source = &stream->source;
    if (source->size - at >= 4 && !memcmp(source->at + at, "<!--", 4))
        return comment_end(source, at + 4);
    size_t end = find(source, at + 2, '>');
    return end + (end < source->size);
}

/* Passes what stands before the next tag, and that tag, of which the name is read; false where the
   source ends before. */
static bool pass_tag(Stream *stream, size_t *at, bool *is_end, bool *closes_itself)
{
    const Source *source = &stream->source;
    const uint8_t *octets = source->at;
    size_t begin = *at;
    while ((begin = find(source, begin, '<')) < source->size && source->size - begin > 2 && !stream->aside) {
        uint8_t next = octets[begin + 1];
        *is_end = next == '/';
        if (is_letter(octets[begin + 1 + *is_end])) {
            *at = tag_end(source, read_tag_name(stream, begin + 1 + *is_end), closes_itself);
            check_crowd(stream, begin, *at);
            return true;
        }
        if (next == '!' && octets[begin + 2] == '[')
            STAND_ASIDE(stream); /* text, in a drawing */
        begin = *is_end || next == '!' || next == '?' ? pass_declaration(stream, begin) : begin + 1;
    }
    *at = source->size;
    return false;
}

/* What leaves a drawing, or brings HTML into it (13.2.6.5). */
static bool breaks_drawing(const Stream *stream)
{
    static const char *const OTHERS[] = {"foreignobject", "span", "sub", "sup", "var"};
    const Tag *tag = &stream->tag;
    if (tag->element != E_OTHER)
        return !(tag->element == E_A || tag->element == E_STYLE || tag->element == E_SCRIPT
                 || tag->element == E_TITLE || tag->element == E_SVG || tag->element == E_IMAGE);
    for (size_t nth = 0; nth < sizeof OTHERS / sizeof *OTHERS; nth++)
        if (strlen(OTHERS[nth]) == tag->name_size && !memcmp(tag->name, OTHERS[nth], tag->name_size))
            return true;
    return false;
}

/* From behind the start tag of an `svg`. */
size_t pass_svg(Stream *stream, size_t at)
{
    const Tag *tag = &stream->tag;
    struct {
        const uint8_t *name;
        size_t size;
    } open[MAX_DRAWN] = {{(const uint8_t *)"svg", 3}};
    bool is_titled = false, is_end, closes_itself;
    int depth = 1;
    while (pass_tag(stream, &at, &is_end, &closes_itself) && !stream->aside) {
        if (is_end) {
            int nth = depth - 1;
            while (nth >= 0
                   && (open[nth].size != tag->name_size || memcmp(open[nth].name, tag->name, tag->name_size)))
                nth--;
            is_titled = false;
            if (nth < 0)
                STAND_ASIDE(stream); /* it may close what is around the drawing */
            else if (!(depth = nth))
                return at;
        } else if (is_titled || breaks_drawing(stream) || depth == MAX_DRAWN)
            STAND_ASIDE(stream);
        else if (!closes_itself) {
            open[depth].name = tag->name;
            open[depth++].size = tag->name_size;
            is_titled = tag->element == E_TITLE || (tag->name_size == 4 && !memcmp(tag->name, "desc", 4));
        }
    }
    return at;
}

/* From behind the start tag of a `select`. */
size_t pass_select(Stream *stream, size_t at)
{
    bool is_end, closes_itself;
    while (pass_tag(stream, &at, &is_end, &closes_itself) && !stream->aside) {
        Element element = stream->tag.element;
        if (is_end && element == E_SELECT)
            return at;
        if (element != E_OPTION && element != E_OPTGROUP)
            STAND_ASIDE(stream);
    }
    return at;
}

/* From behind the start tag of a `template`. */
size_t pass_template(Stream *stream, size_t at)
{
    bool is_end, closes_itself;
    int depth = 1;
    while (pass_tag(stream, &at, &is_end, &closes_itself) && !stream->aside) {
        Element element = stream->tag.element;
        if (is_end) {
            depth -= element == E_TEMPLATE;
            if (!depth)
                return at;
            continue;
        }
        switch (element) {
        case E_TEMPLATE:
            depth++;
            break;
        case E_SCRIPT:
        case E_STYLE:
        case E_TITLE:
        case E_TEXTAREA:
        case E_IFRAME:
        case E_NOEMBED:
        case E_NOFRAMES:
            at = pass_raw_text(stream, at, element);
            break;
        case E_SVG:
            at = closes_itself ? at : pass_svg(stream, at);
            break;
        case E_SELECT:
            at = pass_select(stream, at);
            break;
        case E_APPLET: /* from here on, left open they change the formatting behind the template */
        case E_CAPTION:
        case E_MARQUEE:
        case E_OBJECT:
        case E_TD:
        case E_TH:
        case E_COL: /* what follows is passed over, and so are tags of raw text */
        case E_FRAMESET:
        case E_MATH:
        case E_PLAINTEXT:
        case E_XMP:
            STAND_ASIDE(stream);
            break;
        default:
            break;
        }
    }
    return at;
}
