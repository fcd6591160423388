/* The two passes over a picture: columns into lines that are kept as long as they are needed, and rows. */

#include "_resize_kernel.h"

#include <stdlib.h>
#include <string.h>

/* For processors with AVX2 there are functions of their own, unless a test leaves them out. */
#if defined(__x86_64__) && defined(__GNUC__) && !defined(PLAIN)
#include <immintrin.h>
#define WIDE __attribute__((target("avx2")))
#endif

enum {
    HALF = 1 << (PLACES - 1),
    TOGETHER = 4 /* lines that share a coefficient while it is in a register */
};

/* Lines that have been resized across, the last ones of them: each at its number modulo `lines`. */
typedef struct {
    uint8_t *bytes;
    size_t wide; /* bytes of a line */
    int lines;   /* a power of two, at least what a row of the result is made of and TOGETHER */
} Ring;

static inline uint8_t *kept_line(const Ring *ring, int number)
{
    return ring->bytes + (size_t)(number & (ring->lines - 1)) * ring->wide;
}

static inline uint8_t to_byte(int32_t sum)
{
    sum >>= PLACES;
    return sum < 0 ? 0 : sum > UINT8_MAX ? UINT8_MAX : (uint8_t)sum;
}

/* Resize some lines, at most TOGETHER, to the columns that are wanted. */
static void pass_columns(uint8_t *restrict to, const Axis *axis, const uint8_t *restrict from, size_t stride, int lines)
{
    for (int line = 0; line < lines; line++, from += stride)
        for (int place = 0; place < axis->count; place++, to += CHANNELS) {
            const int32_t *coefficients = axis->coefficients + (size_t)place * axis->room;
            const uint8_t *pixel = from + (size_t)axis->first[place] * CHANNELS;
            int32_t sums[PLANES] = {HALF, HALF, HALF};
            for (int tap = 0; tap < axis->taps[place]; tap++, pixel += CHANNELS)
                for (int plane = 0; plane < PLANES; plane++)
                    sums[plane] += pixel[plane] * coefficients[tap];
            for (int plane = 0; plane < PLANES; plane++)
                to[plane] = to_byte(sums[plane]);
        }
}

/* Resize the lines that are kept from the one numbered `first` on to one, from its byte `begin`. */
static void pass_rows(uint8_t *restrict to, const Ring *ring, int first, const int32_t *restrict coefficients, int taps,
                      size_t begin)
{
    for (size_t x = begin; x < ring->wide; x++) {
        int32_t sum = HALF;
        for (int tap = 0; tap < taps; tap++)
            sum += kept_line(ring, first + tap)[x] * coefficients[tap];
        to[x] = to_byte(sum);
    }
}

/* A line into one of each plane. */
static void to_planes(uint8_t *restrict to, size_t apart, const uint8_t *restrict line, size_t pixels)
{
    for (size_t x = 0; x < pixels; x++)
        for (int plane = 0; plane < PLANES; plane++)
            to[plane * apart + x] = line[x * CHANNELS + plane];
}

#ifdef WIDE

/* Four times four sums to bytes. */
WIDE static inline __m128i to_bytes(__m128i one, __m128i two, __m128i three, __m128i four)
{
    const __m128i low = _mm_packs_epi32(_mm_srai_epi32(one, PLACES), _mm_srai_epi32(two, PLACES));
    const __m128i high = _mm_packs_epi32(_mm_srai_epi32(three, PLACES), _mm_srai_epi32(four, PLACES));
    return _mm_packus_epi16(low, high);
}

WIDE static inline __m256i products(const uint8_t *two_pixels, __m256i coefficients)
{
    return _mm256_mullo_epi32(_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)two_pixels)), coefficients);
}

/* As `pass_columns`: FOUR pixels of all lines at once, so that coefficients are spread once. A coefficient is
   its upper and its lower eight bits, which fit the processor's products of 16 bits and their sums. */
WIDE static void pass_columns_wide(uint8_t *restrict to, const Axis *axis, const uint8_t *restrict from, size_t stride)
{
    /* Of each channel of two pixels, as 16 bits, side by side. */
    const __m256i by_channel = _mm256_setr_epi8(0, -1, 4, -1, 1, -1, 5, -1, 2, -1, 6, -1, 3, -1, 7, -1,
                                                8, -1, 12, -1, 9, -1, 13, -1, 10, -1, 14, -1, 11, -1, 15, -1);
    const __m256i upper = _mm256_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1), lower = _mm256_setr_epi32(2, 2, 2, 2, 3, 3, 3, 3);
    const size_t wide = (size_t)axis->count * CHANNELS;
    const size_t groups = axis->taps[0] / FOUR;
    const __m128i *packed = (const __m128i *)axis->packed;
    for (int place = 0; place < axis->count; place++, to += CHANNELS) {
        const uint8_t *pixel = from + (size_t)axis->first[place] * CHANNELS;
        __m256i high[TOGETHER], low[TOGETHER];
        __m128i sum[TOGETHER];
        for (int line = 0; line < TOGETHER; line++)
            high[line] = low[line] = _mm256_setzero_si256();
        for (size_t group = 0; group < groups; group++, packed++, pixel += FOUR * CHANNELS) {
            const __m256i both = _mm256_castsi128_si256(_mm_loadu_si128(packed));
            const __m256i highs = _mm256_permutevar8x32_epi32(both, upper), lows = _mm256_permutevar8x32_epi32(both, lower);
            for (int line = 0; line < TOGETHER; line++) {
                const __m128i four = _mm_loadu_si128((const __m128i *)(pixel + line * stride));
                const __m256i pixels = _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(four), by_channel);
                high[line] = _mm256_add_epi32(high[line], _mm256_madd_epi16(pixels, highs));
                low[line] = _mm256_add_epi32(low[line], _mm256_madd_epi16(pixels, lows));
            }
        }
        for (int line = 0; line < TOGETHER; line++) {
            const __m256i sums = _mm256_add_epi32(_mm256_slli_epi32(high[line], 8), low[line]);
            sum[line] = _mm_add_epi32(_mm256_castsi256_si128(sums), _mm256_extracti128_si256(sums, 1));
            sum[line] = _mm_add_epi32(sum[line], _mm_set1_epi32(HALF));
        }
        const __m128i pixels = to_bytes(sum[0], sum[1], sum[2], sum[3]);
        const int32_t each[TOGETHER] = {_mm_cvtsi128_si32(pixels), _mm_extract_epi32(pixels, 1),
                                        _mm_extract_epi32(pixels, 2), _mm_extract_epi32(pixels, 3)};
        for (int line = 0; line < TOGETHER; line++)
            memcpy(to + line * wide, &each[line], sizeof each[line]);
    }
}

/* As `pass_rows`: eight pixels at once. */
WIDE static void pass_rows_wide(uint8_t *restrict to, const Ring *ring, int first, const int32_t *restrict coefficients,
                                int taps)
{
    enum { BLOCK = 8 * CHANNELS, PARTS = 4 };
    size_t x = 0;
    for (; x + BLOCK <= ring->wide; x += BLOCK) {
        __m256i sums[PARTS];
        for (int part = 0; part < PARTS; part++)
            sums[part] = _mm256_set1_epi32(HALF);
        for (int tap = 0; tap < taps; tap++) {
            const uint8_t *line = kept_line(ring, first + tap) + x;
            const __m256i by = _mm256_set1_epi32(coefficients[tap]);
            for (int part = 0; part < PARTS; part++)
                sums[part] = _mm256_add_epi32(sums[part], products(line + 8 * part, by));
        }
        for (int half = 0; half < 2; half++) {
            const __m256i one = sums[2 * half], other = sums[2 * half + 1];
            const __m128i bytes = to_bytes(_mm256_castsi256_si128(one), _mm256_extracti128_si256(one, 1),
                                           _mm256_castsi256_si128(other), _mm256_extracti128_si256(other, 1));
            _mm_storeu_si128((__m128i *)(to + x + 16 * half), bytes);
        }
    }
    pass_rows(to, ring, first, coefficients, taps, x);
}

/* As `to_planes`: four pixels at once. */
WIDE static void to_planes_wide(uint8_t *restrict to, size_t apart, const uint8_t *restrict line, size_t pixels)
{
    const __m128i by_plane = _mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    size_t x = 0;
    for (; x + 4 <= pixels; x += 4) {
        const __m128i four = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(line + x * CHANNELS)), by_plane);
        const int32_t each[PLANES] = {_mm_cvtsi128_si32(four), _mm_extract_epi32(four, 1), _mm_extract_epi32(four, 2)};
        for (int plane = 0; plane < PLANES; plane++)
            memcpy(to + plane * apart + x, &each[plane], sizeof each[plane]);
    }
    to_planes(to + x, apart, line + x * CHANNELS, pixels - x);
}

#endif

bool resize_planes(uint8_t *to, const uint8_t *from, int begin, size_t stride, const Axis *columns, const Axis *rows)
{
    const size_t across = columns->count, apart = across * rows->count;
    /* Lines are numbered from the first that is needed. */
    const int base = rows->first[0];
    const int needed = rows->first[rows->count - 1] + rows->taps[rows->count - 1] - base;
    Ring ring = {.wide = across * CHANNELS, .lines = TOGETHER};
    uint8_t *line = malloc(ring.wide);
    bool enough;
    while (ring.lines < rows->most + TOGETHER)
        ring.lines *= 2;
    ring.bytes = calloc(ring.lines, ring.wide);
    enough = line && ring.bytes;
    from += (size_t)(base - begin) * stride;
    for (int y = 0, next = 0; enough && y < rows->count; y++, to += across) {
        const int32_t *coefficients = rows->coefficients + (size_t)y * rows->room;
        const int first = rows->first[y] - base, taps = rows->taps[y];
        for (; next < first + taps; next += TOGETHER) {
            const int lines = needed - next < TOGETHER ? needed - next : TOGETHER;
            uint8_t *free_lines = kept_line(&ring, next);
#ifdef WIDE
            if (lines == TOGETHER && columns->packed && __builtin_cpu_supports("avx2")) {
                pass_columns_wide(free_lines, columns, from + next * stride, stride);
                continue;
            }
#endif
            pass_columns(free_lines, columns, from + next * stride, stride, lines);
        }
#ifdef WIDE
        if (__builtin_cpu_supports("avx2")) {
            pass_rows_wide(line, &ring, first, coefficients, taps);
            to_planes_wide(to, apart, line, across);
            continue;
        }
#endif
        pass_rows(line, &ring, first, coefficients, taps, 0);
        to_planes(to, apart, line, across);
    }
    free(ring.bytes);
    free(line);
    return enough;
}
