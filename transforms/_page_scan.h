/* A source as a tokenizer goes through it: where names, tags, comments and raw texts end
   (html.spec.whatwg.org, 13.2.5). */

#ifndef PAGE_SCAN_H
#define PAGE_SCAN_H

#include "_page_kernel.h"

/* What a byte may end in a tag. */
enum { SPACE = 1, SLASH = 2, CLOSE = 4, EQUALS = 8, NAME_END = SPACE | SLASH | CLOSE };

extern const uint8_t CAN_END[256];

typedef struct {
    const uint8_t *at;
    size_t size;
} Source;

static inline bool is_letter(uint8_t byte)
{
    return (uint8_t)((byte | 0x20) - 'a') < 26;
}

static inline bool ends(uint8_t byte, int what)
{
    return CAN_END[byte] & what;
}

static inline size_t find(const Source *source, size_t from, uint8_t byte)
{
    return find_byte(source->at, source->size, from, byte);
}

/* The offset behind a run of bytes that end one thing or, where `are` is false, do not; or the size. */
static inline size_t pass(const Source *source, size_t at, int what, bool are)
{
    while (at < source->size && ends(source->at[at], what) == are)
        at++;
    return at;
}

/* The first byte from an offset on that ends a name, or `=` too, or the size. */
static inline size_t name_end(const Source *source, size_t at, int what)
{
#ifdef __SSE2__
    if (source->size - at >= 16) {
        /* Without a branch a byte: names differ in length, so each would end a loop unforeseen. */
        __m128i sixteen = _mm_loadu_si128((const __m128i *)(const void *)(source->at + at));
        __m128i may_end = _mm_cmpeq_epi8(_mm_min_epu8(sixteen, _mm_set1_epi8(' ')), sixteen);
        may_end = _mm_or_si128(may_end, _mm_cmpeq_epi8(sixteen, _mm_set1_epi8('/')));
        may_end = _mm_or_si128(may_end, _mm_cmpeq_epi8(_mm_or_si128(sixteen, _mm_set1_epi8(3)),
                                                       _mm_set1_epi8('>' | 3))); /* `<`, `=`, `>`, `?` */
        unsigned bits = (unsigned)_mm_movemask_epi8(may_end);
        at += bits ? (size_t)__builtin_ctz(bits) : 16;
    }
#endif
    return pass(source, at, what, false);
}

/* The first quote from an offset on, or the size; most are near. */
static inline size_t find_quote(const Source *source, size_t at, uint8_t quote)
{
    if (source->size - at < 64)
        return find(source, at, quote);
    uint64_t near = equal_bytes(source->at + at, quote, 0);
    return near ? at + (size_t)__builtin_ctzll(near) : find(source, at + 64, quote);
}

/* Whether a name stands somewhere, in letters of any case, with something behind that ends it. */
bool is_name(const Source *source, size_t at, const char *name, size_t length);
/* The offset behind the `>` that ends a tag, or the size; from behind its name. */
size_t tag_end(const Source *source, size_t at, bool *closes_itself);
/* The offset behind a comment, from behind its `<!--`; or the size. */
size_t comment_end(const Source *source, size_t at);
/* The offset of the end tag of an element whose content is text, or the size. */
size_t text_end(const Source *source, size_t at, const char *name, size_t length);
/* The same for a script: after `<!--`, up to `-->`, a `<script>` in it hides its own end tag. */
size_t script_end(const Source *source, size_t at, bool *is_escaped);

#endif
