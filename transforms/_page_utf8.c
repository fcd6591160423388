/* A page's characters as UTF-8, several times as fast as Python writes them.

   Python keeps a text as wide as its widest character, so one typographic quote makes a page of
   ASCII two bytes a character, and its encoder then goes through them one by one. Here ASCII is
   narrowed 64 characters at a time. How far to go on does not hang on what was found, where it was
   all ASCII: a processor can then be at the next step before this one is done. */

#include "_page_kernel.h"

enum { STEP = 64, PART = 16, LONGEST = 4, ASCII = 0x80 };

size_t write_character(Py_UCS4 character, uint8_t *to)
{
    size_t length = character < 0x800 ? 2 : character < 0x10000 ? 3 : 4;
    if (character >= 0xd800 && character < 0xe000) {
        to[0] = '?';
        return 1;
    }
    for (size_t nth = length - 1; nth; nth--, character >>= 6)
        to[nth] = (uint8_t)(0x80 | (character & 0x3f));
    to[0] = (uint8_t)(0xf00 >> length | character); /* as many ones as bytes */
    return length;
}

/* Whether `count` characters, known where this is compiled, are all ASCII; narrows them. What is
   written where they are not does not matter. */

static inline bool narrow_1(const Py_UCS1 *from, uint8_t *to, size_t count)
{
    uint64_t any = 0;
    for (size_t at = 0; at < count; at += 8)
        any |= eight_from(from, count, at);
    memcpy(to, from, count);
    return !(any & EIGHT(ASCII));
}

static inline bool narrow_2(const Py_UCS2 *from, uint8_t *to, size_t count)
{
#ifdef __SSE2__
    __m128i any = _mm_setzero_si128();
    for (size_t at = 0; at < count; at += PART) {
        const __m128i *eight = (const __m128i *)(const void *)(from + at);
        __m128i low = _mm_loadu_si128(eight), high = _mm_loadu_si128(eight + 1);
        any = _mm_or_si128(any, _mm_or_si128(low, high));
        _mm_storeu_si128((__m128i *)(void *)(to + at), _mm_packus_epi16(low, high));
    }
    __m128i above = _mm_and_si128(any, _mm_set1_epi16((short)~(ASCII - 1)));
    return _mm_movemask_epi8(_mm_cmpeq_epi16(above, _mm_setzero_si128())) == 0xffff;
#else
    unsigned any = 0;
    for (size_t at = 0; at < count; at++) {
        any |= from[at];
        to[at] = (uint8_t)from[at];
    }
    return any < ASCII;
#endif
}

static inline bool narrow_4(const Py_UCS4 *from, uint8_t *to, size_t count)
{
    Py_UCS4 any = 0;
    for (size_t at = 0; at < count; at++) {
        any |= from[at];
        to[at] = (uint8_t)from[at];
    }
    return any < ASCII;
}

/* Writes `count` characters, with room for `STEP` bytes more than they take; gives the bytes. */
#define DEFINE_WRITE(WIDTH)                                                              \
    static size_t write_##WIDTH(const Py_UCS##WIDTH *from, size_t count, uint8_t *out)   \
    {                                                                                    \
        uint8_t *to = out;                                                               \
        for (size_t at = 0; at < count;) {                                               \
            if (count - at >= STEP && narrow_##WIDTH(from + at, to, STEP)) {             \
                at += STEP;                                                              \
                to += STEP;                                                              \
                continue;                                                                \
            }                                                                            \
            for (size_t end = count - at < STEP ? count : at + STEP; at < end;) {        \
                if (end - at >= PART && narrow_##WIDTH(from + at, to, PART)) {           \
                    at += PART;                                                          \
                    to += PART;                                                          \
                    continue;                                                            \
                }                                                                        \
                for (size_t stop = end - at < PART ? end : at + PART; at < stop; at++) { \
                    if (from[at] < ASCII)                                                \
                        *to++ = (uint8_t)from[at];                                       \
                    else                                                                 \
                        to += write_character(from[at], to);                             \
                }                                                                        \
            }                                                                            \
        }                                                                                \
        return (size_t)(to - out);                                                       \
    }

DEFINE_WRITE(1)
DEFINE_WRITE(2)
DEFINE_WRITE(4)

size_t utf8_room(PyObject *text)
{
    size_t count = (size_t)PyUnicode_GET_LENGTH(text);
    int kind = PyUnicode_KIND(text);
    size_t widest = kind == PyUnicode_1BYTE_KIND ? 2 : kind == PyUnicode_2BYTE_KIND ? 3 : LONGEST;
    return count < (PY_SSIZE_T_MAX - STEP) / LONGEST ? count * widest + STEP : 0;
}

size_t write_utf8(PyObject *text, uint8_t *out)
{
    size_t count = (size_t)PyUnicode_GET_LENGTH(text);
    int kind = PyUnicode_KIND(text);
    const void *characters = PyUnicode_DATA(text);
    return kind == PyUnicode_1BYTE_KIND   ? write_1(characters, count, out)
           : kind == PyUnicode_2BYTE_KIND ? write_2(characters, count, out)
                                          : write_4(characters, count, out);
}
