/* What _page_markup.h says. */

#include "_page_markup.h"

enum { STEP = 64 };

size_t write_entity(uint8_t byte, uint8_t *to)
{
    static const struct {
        uint8_t byte, length;
        char name[LONGEST_ENTITY + 1];
    } ENTITIES[] = {{'&', 5, "&amp;"}, {'<', 4, "&lt;"}, {'>', 4, "&gt;"}, {'"', 6, "&quot;"}, {NBSP_1, 6, "&nbsp;"}};
    size_t nth = 0;
    while (ENTITIES[nth].byte != byte)
        nth++;
    memcpy(to, ENTITIES[nth].name, LONGEST_ENTITY);
    return ENTITIES[nth].length;
}

/* The high bit of each of eight bytes that may have a meaning; in quotes, that is of a quote too. */
static uint64_t special_bytes(uint64_t eight, bool in_quotes)
{
    /* `<` and `>` differ in one bit, and so do `&` and the quote. */
    uint64_t found = zero_bytes((eight & ~EIGHT('<' ^ '>')) ^ EIGHT('<')) | zero_bytes(eight ^ EIGHT(NBSP_1));
    return found | (in_quotes ? zero_bytes((eight & ~EIGHT('"' ^ '&')) ^ EIGHT('"')) : zero_bytes(eight ^ EIGHT('&')));
}

/* Whether any of `STEP` bytes may have one. */
static bool has_special_byte(const uint8_t *octets, bool in_quotes)
{
    return equal_bytes(octets, '<', '<' ^ '>') | equal_bytes(octets, NBSP_1, 0)
           | (in_quotes ? equal_bytes(octets, '"', '"' ^ '&') : equal_bytes(octets, '&', 0));
}

void write_escaped(Markup *out, const uint8_t *text, size_t size, bool in_quotes)
{
    for (size_t at = 0; at < size;) {
        uint8_t *to = room_for(out, size - at + STEP), *begin = to;
        uint64_t special = 0;
        if (!to)
            return;
        for (; size - at >= STEP && !has_special_byte(text + at, in_quotes); at += STEP, to += STEP)
            memcpy(to, text + at, STEP);
        while (at < size && !special) {
            uint64_t eight = eight_from(text, size, at);
            special = special_bytes(eight, in_quotes);
            size_t count = special ? lowest_byte(special) : size - at < 8 ? size - at : 8;
            memcpy(to, &eight, sizeof eight);
            at += count;
            to += count;
        }
        if (special && (text[at] != NBSP_1 || (size - at > 1 && text[at + 1] == NBSP_2))) {
            to += write_entity(text[at], to);
            at += text[at] == NBSP_1 ? 2 : 1;
        } else if (special)
            *to++ = text[at++];
        out->size += (size_t)(to - begin);
    }
}
