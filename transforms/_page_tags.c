/* Canonical markup as arrays of tags: what dom.py makes of it, with the same numbers. */

#include "_page_kernel.h"

/* Beyond this dom.py confuses levels, which it sorts as 16-bit numbers, and calls a page unreadable. */
enum { MAX_LEVEL = 65535 };

static size_t slot_of_name(uint64_t key)
{
    return (size_t)((key * 0x9e3779b97f4a7c15u) >> 55);
}

/* False where the table is full. */
bool add_tag_name(TagNames *names, uint64_t key, uint8_t code)
{
    size_t slot = slot_of_name(key);
    for (size_t tried = 0; tried < 256; tried++, slot = (slot + 1) % 512)
        if (names->keys[slot] == 0 || names->keys[slot] == key) {
            names->keys[slot] = key;
            names->codes[slot] = code;
            return true;
        }
    return false;
}

static uint8_t code_of_name(const TagNames *names, uint64_t key)
{
    size_t slot = slot_of_name(key);
    for (; names->keys[slot]; slot = (slot + 1) % 512)
        if (names->keys[slot] == key)
            return names->codes[slot];
    return names->other;
}

/* The first eight bytes of a name; the first space or `>` ends it. */
static uint64_t name_at(const uint8_t *source, size_t size, size_t at)
{
    uint64_t name = eight_from(source, size, at);
    uint64_t ends = zero_bytes(name ^ EIGHT(' ')) | zero_bytes(name ^ EIGHT('>'));
    return ends ? name & low_bytes(lowest_byte(ends)) : name;
}

/* The offsets of all `<` and `>`, which must stand in turn. `marks` is the caller's to free. */
Outcome find_tags(const uint8_t *source, size_t size, size_t max_tags, Places *marks)
{
    size_t opened = 0;
    for (size_t from = 0; from < size; from += 64) {
        uint8_t end[64] = {0};
        const uint8_t *octets = source + from;
        if (size - from < 64)
            octets = memcpy(end, octets, size - from);
        /* `<` and `>` differ in one bit. */
        uint64_t found = equal_bytes(octets, '<', '<' ^ '>');
        if (!(marks->room - marks->count >= 64 || make_places(marks)))
            return NO_MEMORY;
        size_t *at = marks->at + marks->count;
        for (; found; found &= found - 1)
            *at++ = from + (size_t)__builtin_ctzll(found);
        marks->count = (size_t)(at - marks->at);
    }
    bool in_turn = true;
    for (size_t mark = 0; mark < marks->count; mark++) {
        bool opens = source[marks->at[mark]] == '<';
        in_turn &= opens == (mark % 2 == 0);
        opened += opens;
    }
    if (opened > max_tags)
        return TOO_MANY_TAGS;
    /* The text behind a tag is that tag's, so none may stand before the first one. */
    bool readable = in_turn && marks->count && marks->count % 2 == 0 && marks->at[0] == 0;
    return readable ? READ : UNREADABLE;
}

/* Fills the arrays, one entry for each two marks. */
Outcome read_tags(const TagNames *names, const uint8_t *source, size_t size, const Places *marks,
                  const TagArrays *out)
{
    size_t count = marks->count / 2;
    memset(out->held, 0, MAX_CODES);
    int64_t around = -1, level = 0; /* the innermost open element; its ancestors are its parents */
    for (size_t tag = 0; tag < count; tag++) {
        size_t start = marks->at[2 * tag];
        bool is_end = source[start + 1] == '/'; /* there is a `>` behind */
        int64_t code = code_of_name(names, name_at(source, size, start + 1 + is_end));
        int64_t number = (int64_t)tag;
        out->starts[tag] = (int64_t)start;
        out->stops[tag] = (int64_t)marks->at[2 * tag + 1] + 1;
        out->text_stops[tag] = (int64_t)(tag + 1 < count ? marks->at[2 * tag + 2] : size);
        out->tags[tag] = is_end ? -code : code;
        out->closes[tag] = number;
        out->held[code] = 1; /* the start of an element stands before its end */
        if (is_end) {
            if (around < 0 || out->tags[around] != code)
                return UNREADABLE;
            out->closes[around] = number;
            around = out->parents[around];
            level--;
        }
        out->parents[tag] = around;
        out->levels[tag] = level;
        if (level > MAX_LEVEL)
            return UNREADABLE;
        if (!is_end && !names->is_void[code]) {
            around = number;
            level++;
        }
    }
    return around < 0 ? READ : UNREADABLE;
}
