/* The MinHash kernel as a Python module: a text in, its signature or its shingles out.
   minhash_kernel.py is its only caller.

   A text is taken in pieces, and what a piece needs is given back or used again, so memory does not
   grow with the text. Folding needs the interpreter's lock; other threads run while words are hashed. */

#include "_minhash_kernel.h"
#include "_minhash_xxh64.h"

/* One function for each width of registers, of which the loader takes the widest that there is. */
#ifdef WIDEST /* given by a test */
#elif defined(__x86_64__) && defined(__GLIBC__) && __has_attribute(target_clones)
#define WIDEST __attribute__((target_clones("avx512f", "avx2", "sse4.1", "default")))
#else
#define WIDEST
#endif

enum {
    PENDING = 512, /* shingles that are permuted together */
    ACROSS = 1024  /* hashes of a signature that stay in the nearest cache meanwhile */
};

static const uint64_t BASE = 0x9e3779b97f4a7c15u, MIX = 0xff51afd7ed558ccdu;

/* The signature of a text, as far as it has been read. */
typedef struct {
    const uint32_t *factors, *addends;
    uint32_t *row;
    const uint64_t *ascii; /* hashes of characters */
    size_t hashes, ngram;
    uint64_t power;       /* BASE to the power of `ngram` */
    uint64_t value;       /* of the last `ngram` items, or of all */
    uint64_t sum;         /* `minhash.sign`: over all shingles */
    uint64_t *last;       /* hashes of those items, in a ring once there are so many */
    size_t count, room, oldest;
    uint32_t pending[PENDING];
    size_t waiting;
    bool keeps;     /* the values of the shingles instead of their minima */
    uint64_t *kept; /* has room for those of the piece that is read */
    size_t held;
} Sketch;

PyObject *refuse(const char *what)
{
    PyErr_SetString(PyExc_ValueError, what);
    return NULL;
}

/* --- shingles and their minima --- */

static inline uint32_t smaller(uint32_t one, uint32_t other)
{
    return one < other ? one : other;
}

/* Lower each minimum by its permutation of each shingle: four shingles a pass, so that a minimum is
   read and written once for four. */
WIDEST static void lower(uint32_t *restrict row, const uint32_t *restrict factors, const uint32_t *restrict addends,
                         size_t hashes, const uint32_t *restrict shingles, size_t count)
{
    size_t nth = 0;
    for (; nth + 4 <= count; nth += 4) {
        uint32_t first = shingles[nth], second = shingles[nth + 1], third = shingles[nth + 2],
                 fourth = shingles[nth + 3];
        for (size_t hash = 0; hash < hashes; hash++) {
            uint32_t factor = factors[hash], addend = addends[hash];
            uint32_t one = smaller(first * factor + addend, second * factor + addend);
            uint32_t other = smaller(third * factor + addend, fourth * factor + addend);
            row[hash] = smaller(row[hash], smaller(one, other));
        }
    }
    for (; nth < count; nth++)
        for (size_t hash = 0; hash < hashes; hash++)
            row[hash] = smaller(row[hash], shingles[nth] * factors[hash] + addends[hash]);
}

static void permute(Sketch *sketch)
{
    for (size_t from = 0; from < sketch->hashes; from += ACROSS) {
        size_t hashes = sketch->hashes - from < ACROSS ? sketch->hashes - from : ACROSS;
        lower(sketch->row + from, sketch->factors + from, sketch->addends + from, hashes, sketch->pending,
              sketch->waiting);
    }
    sketch->waiting = 0;
}

/* Count the shingle that `value` is of: `minhash.shingle_values`, of which the upper half is
   `minhash.shingle_hash`, then `minhash._premix`. */
static inline void add_shingle(Sketch *sketch)
{
    uint64_t value = (sketch->value ^ sketch->value >> 33) * MIX;
    if (sketch->keeps) {
        sketch->kept[sketch->held++] = value;
        return;
    }
    sketch->sum += value ^ value >> 29;
    uint32_t hash = (uint32_t)(value >> 32);
    hash = (hash ^ hash >> 16) * 0x85ebca6bu;
    hash = (hash ^ hash >> 13) * 0xc2b2ae35u;
    sketch->pending[sketch->waiting++] = hash ^ hash >> 16;
    if (sketch->waiting == PENDING)
        permute(sketch);
}

/* Room for one more item before there are `ngram`. */
static bool make_ring(Sketch *sketch)
{
    size_t room = sketch->room ? 2 * sketch->room : 64;
    uint64_t *last = realloc(sketch->last, room * sizeof *last);
    if (!last)
        return false;
    sketch->last = last;
    sketch->room = room;
    return true;
}

/* Add a word, or a character, by its hash. */
static inline bool add_item(Sketch *sketch, uint64_t item)
{
    sketch->value = sketch->value * BASE + item;
    if (sketch->count < sketch->ngram) {
        if (sketch->count == sketch->room && !make_ring(sketch))
            return false;
        sketch->last[sketch->count++] = item;
        if (sketch->count < sketch->ngram)
            return true;
    } else {
        sketch->value -= sketch->last[sketch->oldest] * sketch->power;
        sketch->last[sketch->oldest] = item;
        if (++sketch->oldest == sketch->ngram)
            sketch->oldest = 0;
    }
    add_shingle(sketch);
    return true;
}

static bool add_characters(Sketch *sketch, const uint8_t *octets, const uint8_t *end)
{
    if (sketch->count && !add_item(sketch, sketch->ascii[' ']))
        return false;
    while (octets < end) {
        size_t size = *octets < ASCII ? 1 : *octets < 0xe0 ? 2 : *octets < 0xf0 ? 3 : 4;
        if (!add_item(sketch, size == 1 ? sketch->ascii[*octets] : xxh64(octets, size)))
            return false;
        octets += size;
    }
    return true;
}

/* Where a word ends: its first space. `MARGIN` spaces stand behind the text. */
static inline const uint8_t *end_of_word(const uint8_t *octets)
{
    const uint64_t ones = 0x0101010101010101u, highs = 0x80 * ones;
    for (;; octets += 8) {
        uint64_t apart = eight_at(octets) ^ ' ' * ones;
        uint64_t spaces = (apart - ones) & ~apart & highs; /* right up to the lowest one */
        if (spaces)
            return octets + __builtin_ctzll(spaces) / 8;
    }
}

static bool add_words(Sketch *sketch, const Folded *folded, bool characters)
{
    const uint8_t *octets = folded->octets, *end = octets + folded->size;
    for (;;) {
        while (octets < end && *octets == ' ')
            octets++;
        if (octets >= end)
            return true;
        const uint8_t *stop = end_of_word(octets);
        bool added = characters ? add_characters(sketch, octets, stop)
                                : add_item(sketch, xxh64(octets, (size_t)(stop - octets)));
        if (!added)
            return false;
        octets = stop;
    }
}

/* Room for the shingles of a piece: a word or character has an octet at least, and a text that is
   shorter than a shingle gives one more. */
static bool make_room(Sketch *sketch, size_t octets)
{
    uint64_t *kept = realloc(sketch->kept, (sketch->held + octets + 1) * sizeof *kept);
    if (kept)
        sketch->kept = kept;
    return kept != NULL;
}

static bool add_piece(Folds *folds, PyObject *piece, bool characters, Folded *folded, Sketch *sketch)
{
    char *data;
    Py_ssize_t size;
    if (PyBytes_AsStringAndSize(piece, &data, &size) < 0
        || !fold_piece(folds, (const uint8_t *)data, (size_t)size, folded))
        return false;
    if (sketch->keeps && !make_room(sketch, folded->size)) {
        PyErr_NoMemory();
        return false;
    }
    bool added;
    Py_BEGIN_ALLOW_THREADS
    added = add_words(sketch, folded, characters);
    Py_END_ALLOW_THREADS
    if (!added)
        PyErr_NoMemory();
    return added;
}

static bool read_pieces(Folds *folds, PyObject *pieces, bool characters, Sketch *sketch)
{
    PyObject *iterator = PyObject_GetIter(pieces), *piece;
    if (!iterator)
        return false;
    Folded folded = {0};
    bool added = true;
    while (added && (piece = PyIter_Next(iterator))) {
        added = add_piece(folds, piece, characters, &folded, sketch);
        Py_DECREF(piece);
    }
    Py_DECREF(iterator);
    free(folded.octets);
    if (!added || PyErr_Occurred())
        return false;
    if (sketch->count && sketch->count < sketch->ngram) /* a text shorter than a shingle is one */
        add_shingle(sketch);
    permute(sketch);
    return true;
}

/* --- the module --- */

static const char FOLDS[] = "transforms._minhash_kernel.folds";

static void free_folds(PyObject *capsule)
{
    Folds *folds = PyCapsule_GetPointer(capsule, FOLDS);
    for (size_t number = 0; number < BLOCKS; number++)
        free(folds->blocks[number]);
    Py_XDECREF(folds->block);
    Py_XDECREF(folds->token);
    free(folds);
}

static PyObject *make_folds(PyObject *module, PyObject *arguments)
{
    (void)module;
    PyObject *block, *token;
    if (!PyArg_ParseTuple(arguments, "OO:folds", &block, &token))
        return NULL;
    Folds *folds = calloc(1, sizeof *folds);
    if (!folds)
        return PyErr_NoMemory();
    for (uint8_t octet = 0; octet < ASCII; octet++)
        folds->ascii[octet] = xxh64(&octet, 1);
    folds->block = Py_NewRef(block);
    folds->token = Py_NewRef(token);
    PyObject *capsule = PyCapsule_New(folds, FOLDS, free_folds);
    if (!capsule) {
        Py_DECREF(block);
        Py_DECREF(token);
        free(folds);
    }
    return capsule;
}

static uint64_t power_of_base(size_t exponent)
{
    uint64_t power = 1, square = BASE;
    for (; exponent; exponent /= 2, square *= square)
        if (exponent % 2)
            power *= square;
    return power;
}

static PyObject *sign(PyObject *module, PyObject *arguments)
{
    (void)module;
    PyObject *capsule, *pieces, *signed_ = NULL;
    Py_buffer factors, addends, row;
    Py_ssize_t ngram;
    int characters;
    if (!PyArg_ParseTuple(arguments, "OOy*y*npw*:sign", &capsule, &pieces, &factors, &addends, &ngram, &characters,
                          &row))
        return NULL;
    Folds *folds = PyCapsule_GetPointer(capsule, FOLDS);
    uintptr_t places = (uintptr_t)factors.buf | (uintptr_t)addends.buf | (uintptr_t)row.buf;
    bool alike = factors.len == row.len && addends.len == row.len && (row.len | places) % sizeof(uint32_t) == 0;
    if (folds && (!alike || ngram < 1))
        refuse("sign: sizes do not agree");
    else if (folds) {
        Sketch sketch = {
            .factors = factors.buf,
            .addends = addends.buf,
            .row = row.buf,
            .ascii = folds->ascii,
            .hashes = (size_t)row.len / sizeof(uint32_t),
            .ngram = (size_t)ngram,
            .power = power_of_base((size_t)ngram),
        };
        memset(row.buf, 0xff, (size_t)row.len);
        if (read_pieces(folds, pieces, characters, &sketch))
            signed_ = PyLong_FromUnsignedLongLong(sketch.sum);
        free(sketch.last);
    }
    PyBuffer_Release(&factors);
    PyBuffer_Release(&addends);
    PyBuffer_Release(&row);
    return signed_;
}

static PyObject *shingles(PyObject *module, PyObject *arguments)
{
    (void)module;
    PyObject *capsule, *pieces, *values = NULL;
    Py_ssize_t ngram;
    int characters;
    if (!PyArg_ParseTuple(arguments, "OOnp:shingles", &capsule, &pieces, &ngram, &characters))
        return NULL;
    Folds *folds = PyCapsule_GetPointer(capsule, FOLDS);
    if (!folds)
        return NULL;
    if (ngram < 1)
        return refuse("shingles: of no items");
    Sketch sketch = {
        .ascii = folds->ascii,
        .ngram = (size_t)ngram,
        .power = power_of_base((size_t)ngram),
        .keeps = true,
    };
    if (read_pieces(folds, pieces, characters, &sketch))
        values = PyBytes_FromStringAndSize((const char *)sketch.kept, (Py_ssize_t)(sketch.held * sizeof *sketch.kept));
    free(sketch.last);
    free(sketch.kept);
    return values;
}

static PyMethodDef METHODS[] = {
    {"folds", make_folds, METH_VARARGS, "The table for `sign`."},
    {"sign", sign, METH_VARARGS, "The signature of a text into a row; gives the sum over its shingles."},
    {"shingles", shingles, METH_VARARGS, "The values of the shingles of a text, 8 bytes each."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef MODULE = {
    PyModuleDef_HEAD_INIT,
    .m_name = "_minhash_kernel",
    .m_doc = "MinHash signatures fast; see minhash_kernel.py.",
    .m_methods = METHODS,
};

PyMODINIT_FUNC PyInit__minhash_kernel(void)
{
    return PyModuleDef_Init(&MODULE);
}
