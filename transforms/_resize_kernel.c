/* Resizing of RGB pictures as a Python module; resize.py is its only caller.

   The numbers are those of Pillow's `Image.resize`: a filter stretched by the scale, its values as
   integers of 22 binary places, columns first, each pass rounded to bytes. Integers have one sum in
   whatever order they are added, so the registers may be as wide as the processor has them and the
   pixels stay Pillow's own. Only the columns and rows that are wanted are computed.

   It keeps to the limited API of Python 3.11. Other threads run while pixels are computed. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <limits.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* For processors with AVX2 there are functions of their own, unless a test leaves them out. */
#if defined(__x86_64__) && defined(__GNUC__) && !defined(PLAIN)
#include <immintrin.h>
#define WIDE __attribute__((target("avx2")))
#endif

enum {
    CHANNELS = 4, /* of a pixel as Pillow keeps it: the last one is not used */
    PLANES = 3,
    PLACES = 22, /* binary ones of a coefficient: 32 bits hold a byte, a coefficient and a sign */
    HALF = 1 << (PLACES - 1),
    FOUR = 4, /* taps that are added at once */
    TOGETHER = 4 /* lines that share a coefficient while it is in a register */
};

/* What one axis of the result is made of. */
typedef struct {
    int *first;     /* [count]: the first pixel that counts */
    int *taps;      /* [count]: how many do */
    int32_t *coefficients; /* [count][most] */
    int32_t *packed; /* the same for `pass_columns_wide`, where there is memory for it */
    int count, most;
} Axis;

/* Lines that have been resized across, the last ones of them: each at its number modulo `lines`. */
typedef struct {
    uint8_t *bytes;
    size_t wide; /* bytes of a line */
    int lines;   /* a power of two, more than a row of the result is made of and TOGETHER */
} Ring;

/* Apache Arrow's C data interface, as its specification gives it. */
struct ArrowArray {
    int64_t length, null_count, offset, n_buffers, n_children;
    const void **buffers;
    struct ArrowArray **children;
    struct ArrowArray *dictionary;
    void (*release)(struct ArrowArray *);
    void *private_data;
};

/* --- coefficients --- */

/* The cubic of Keys (1981) with a = -0.5. */
static double bicubic(double x)
{
    const double a = -0.5;
    x = fabs(x);
    if (x < 1.0)
        return ((a + 2.0) * x - (a + 3.0)) * x * x + 1;
    if (x < 2.0)
        return (((x - 5) * x + 8) * x - 4) * a;
    return 0.0;
}

static double bilinear(double x)
{
    x = fabs(x);
    return x < 1.0 ? 1.0 - x : 0.0;
}

static void free_axis(Axis *axis)
{
    free(axis->first);
    free(axis->taps);
    free(axis->coefficients);
    free(axis->packed);
}

/* Fill an axis for places `from` to `from + count` of a result of `size`, made of `low` to `high` of
   `length` pixels. The box has single precision, as Pillow takes it. False without memory. */
static bool fill_axis(Axis *axis, int length, float low, float high, int size, int from, int count, int support)
{
    const double scale = (double)(high - low) / size;
    const double stretch = scale < 1.0 ? 1.0 : scale;
    const double reach = support * stretch;
    const double most = ceil(reach) * 2 + FOUR;
    double *weights = NULL;
    memset(axis, 0, sizeof *axis);
    if (most > INT_MAX / 4)
        return false;
    axis->count = count;
    axis->most = (int)most;
    axis->first = calloc(count, sizeof *axis->first);
    axis->taps = calloc(count, sizeof *axis->taps);
    axis->coefficients = calloc((size_t)count * axis->most, sizeof *axis->coefficients);
    weights = calloc(axis->most, sizeof *weights);
    if (!axis->first || !axis->taps || !axis->coefficients || !weights) {
        free(weights);
        free_axis(axis);
        return false;
    }
    for (int place = 0; place < count; place++) {
        const double center = low + (from + place + 0.5) * scale;
        const double inverse = 1.0 / stretch;
        int begin = (int)(center - reach + 0.5), end = (int)(center + reach + 0.5);
        int32_t *row = axis->coefficients + (size_t)place * axis->most;
        double whole = 0.0;
        begin = begin < 0 ? 0 : begin;
        end = end > length ? length : end;
        for (int tap = 0; tap < end - begin; tap++) {
            const double x = (tap + begin - center + 0.5) * inverse;
            weights[tap] = support == 2 ? bicubic(x) : bilinear(x);
            whole += weights[tap];
        }
        for (int tap = 0; tap < end - begin; tap++) {
            const double weight = (whole != 0.0 ? weights[tap] / whole : weights[tap]) * (1 << PLACES);
            row[tap] = (int32_t)(weight < 0 ? weight - 0.5 : weight + 0.5);
        }
        axis->first[place] = begin;
        axis->taps[place] = end - begin;
    }
    free(weights);
    return true;
}

/* Give all places one number of taps, a multiple of FOUR, of which more are 0, and split their
   coefficients as `pass_columns_wide` wants them; nothing where the line is too short. */
static void pack_taps(Axis *axis, int length)
{
    int taps = 0;
    for (int place = 0; place < axis->count; place++)
        taps = axis->taps[place] > taps ? axis->taps[place] : taps;
    taps = (taps + FOUR - 1) & -FOUR;
    axis->packed = taps <= length ? calloc((size_t)axis->count * taps, sizeof *axis->packed) : NULL;
    if (axis->packed == NULL)
        return;
    for (int place = 0; place < axis->count; place++) {
        const int last = length - taps, begin = axis->first[place];
        int32_t *row = axis->coefficients + (size_t)place * axis->most;
        if (begin > last) {
            memmove(row + begin - last, row, axis->taps[place] * sizeof *row);
            memset(row, 0, (begin - last) * sizeof *row);
            axis->first[place] = last;
        }
        axis->taps[place] = taps;
        for (int tap = 0; tap < taps; tap += FOUR) {
            int32_t *packed = axis->packed + (size_t)place * taps + tap;
            for (int pair = 0; pair < 2; pair++) {
                const int32_t one = row[tap + 2 * pair], other = row[tap + 2 * pair + 1];
                packed[pair] = (int32_t)((uint32_t)(one >> 8 & 0xffff) | (uint32_t)(other >> 8) << 16);
                packed[2 + pair] = (one & 0xff) | (other & 0xff) << 16;
            }
        }
    }
}

/* --- the two passes --- */

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
            const int32_t *coefficients = axis->coefficients + (size_t)place * axis->most;
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

/* Both passes. Returns whether there was memory. */
static bool pass(uint8_t *to, const uint8_t *from, size_t stride, const Axis *columns, const Axis *rows)
{
    const size_t across = columns->count, apart = across * rows->count;
    const int end = rows->first[rows->count - 1] + rows->taps[rows->count - 1];
    Ring ring = {.wide = across * CHANNELS, .lines = TOGETHER};
    uint8_t *line = malloc(ring.wide);
    bool enough;
    while (ring.lines < rows->most + TOGETHER)
        ring.lines *= 2;
    ring.bytes = calloc(ring.lines, ring.wide);
    enough = line && ring.bytes;
    for (int y = 0, next = rows->first[0] & -TOGETHER; enough && y < rows->count; y++, to += across) {
        const int32_t *coefficients = rows->coefficients + (size_t)y * rows->most;
        const int first = rows->first[y], taps = rows->taps[y];
        for (; next < first + taps; next += TOGETHER) {
            const int lines = end - next < TOGETHER ? end - next : TOGETHER;
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

/* --- Python --- */

/* The pixels of a picture that Pillow shares; NULL, with an error, where they are none. */
static const uint8_t *shared_pixels(PyObject *capsule, Py_ssize_t pixels)
{
    const struct ArrowArray *array = PyCapsule_GetPointer(capsule, "arrow_array");
    if (array == NULL)
        return NULL;
    if (array->release != NULL && array->length == pixels && array->offset == 0 && array->n_children == 1) {
        const struct ArrowArray *bytes = array->children[0];
        if (bytes->length == pixels * CHANNELS && bytes->offset == 0 && bytes->n_buffers == 2)
            return bytes->buffers[1];
    }
    PyErr_SetString(PyExc_ValueError, "an Arrow array of other pixels");
    return NULL;
}

PyDoc_STRVAR(resize_doc,
"resize(source, size, box, whole, window, support, out, /)\n--\n\n"
"Resize a picture into planes; see resize.py.");

static PyObject *resize(PyObject *module, PyObject *args)
{
    PyObject *source, *target;
    int width, height, wide, tall, left, top, right, bottom, support;
    float box[4];
    Py_buffer given = {0}, out = {0};
    const uint8_t *from;
    Axis columns, rows;
    PyObject *answer = NULL;
    (void)module;
    if (!PyArg_ParseTuple(args, "O(ii)(ffff)(ii)(iiii)iO:resize", &source, &width, &height, &box[0], &box[1],
                          &box[2], &box[3], &wide, &tall, &left, &top, &right, &bottom, &support, &target))
        return NULL;
    if (width < 1 || height < 1 || width > PY_SSIZE_T_MAX / CHANNELS / height
        || !(0 <= box[0] && box[0] < box[2] && box[2] <= width && 0 <= box[1] && box[1] < box[3] && box[3] <= height)
        || !(0 <= left && left < right && right <= wide && 0 <= top && top < bottom && bottom <= tall)
        || (support != 1 && support != 2)) {
        PyErr_SetString(PyExc_ValueError, "a box, window or filter that cannot be");
        return NULL;
    }
    if (PyObject_GetBuffer(target, &out, PyBUF_C_CONTIGUOUS | PyBUF_WRITABLE) < 0)
        return NULL;
    if (PyCapsule_CheckExact(source)) {
        from = shared_pixels(source, (Py_ssize_t)width * height);
        if (from == NULL)
            goto done;
    } else {
        if (PyObject_GetBuffer(source, &given, PyBUF_C_CONTIGUOUS) < 0)
            goto done;
        from = given.buf;
    }
    if ((given.obj && given.len != (Py_ssize_t)width * height * CHANNELS)
        || out.len / PLANES / (right - left) != bottom - top || out.len % ((Py_ssize_t)PLANES * (right - left))) {
        PyErr_SetString(PyExc_ValueError, "a buffer of another size");
        goto done;
    }
    bool enough;
    Py_BEGIN_ALLOW_THREADS
    enough = fill_axis(&columns, width, box[0], box[2], wide, left, right - left, support);
    if (enough) {
        pack_taps(&columns, width);
        enough = fill_axis(&rows, height, box[1], box[3], tall, top, bottom - top, support);
        if (enough) {
            enough = pass(out.buf, from, (size_t)width * CHANNELS, &columns, &rows);
            free_axis(&rows);
        }
        free_axis(&columns);
    }
    Py_END_ALLOW_THREADS
    answer = enough ? Py_NewRef(Py_None) : PyErr_NoMemory();
done:
    if (given.obj)
        PyBuffer_Release(&given);
    PyBuffer_Release(&out);
    return answer;
}

static PyMethodDef methods[] = {
    {"resize", resize, METH_VARARGS, resize_doc},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef_Slot slots[] = {{0, NULL}};

static struct PyModuleDef definition = {
    .m_base = PyModuleDef_HEAD_INIT,
    .m_name = "_resize_kernel",
    .m_doc = "Resizing of RGB pictures.",
    .m_methods = methods,
    .m_slots = slots,
};

PyMODINIT_FUNC PyInit__resize_kernel(void)
{
    return PyModuleDef_Init(&definition);
}
