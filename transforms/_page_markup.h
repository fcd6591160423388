/* Canonical markup while it is written (html_parsers.py says what it is). */

#ifndef PAGE_MARKUP_H
#define PAGE_MARKUP_H

#include "_page_kernel.h"

enum { LONGEST_ENTITY = 6 };

/* U+00A0 in UTF-8. */
enum { NBSP_1 = 0xc2, NBSP_2 = 0xa0 };

typedef struct {
    uint8_t *at;
    size_t size, room;
    bool is_out_of_memory;
} Markup;

/* Where the next bytes go, with room for some; NULL where memory ran out. */
static inline uint8_t *room_for(Markup *out, size_t more)
{
    if (out->room - out->size < more) {
        size_t room = out->size + more + out->room;
        uint8_t *at = room > out->room ? realloc(out->at, room) : NULL;
        if (!at) {
            out->is_out_of_memory = true;
            return NULL;
        }
        out->at = at;
        out->room = room;
    }
    return out->at + out->size;
}

static inline void write_bytes(Markup *out, const void *octets, size_t size)
{
    uint8_t *to = room_for(out, size);
    if (to) {
        memcpy(to, octets, size);
        out->size += size;
    }
}

/* Writes a character that has a meaning in markup; gives the length. */
size_t write_entity(uint8_t byte, uint8_t *to);
/* Writes a text, or a value in quotes, with the characters that have a meaning in it as entities. */
void write_escaped(Markup *out, const uint8_t *text, size_t size, bool in_quotes);

#endif
