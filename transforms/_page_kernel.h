/* What the files of the page kernel share: bytes taken eight at a time, and one block of memory.

   The kernel says in C what the Python modules beside it say in numpy: page_kernel.py has the why.
   Its input is from strangers: nothing recurses, every size is checked, and every scan only moves
   forward, so that time and memory grow with the length of the page and no faster. */

#ifndef PAGE_KERNEL_H
#define PAGE_KERNEL_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#if !defined(__SIZEOF_INT128__) || __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the page kernel is written for 64-bit little-endian machines; Weft works without it"
#endif

/* Names of elements that Python hands over: each so long, zeros behind it. */
enum { NAME_BYTES = 16 };

/* A byte in all eight places. */
#define EIGHT(byte) (0x0101010101010101u * (uint8_t)(byte))

/* How a scan ended. */
typedef enum { READ, UNREADABLE, TOO_MANY_TAGS, NO_MEMORY } Outcome;

/* Up to eight bytes, the first one lowest, zeros behind them. */
uint64_t last_eight(const uint8_t *octets, size_t size);

/* The eight bytes from an offset on, the first one lowest; zeros behind the end. `from` <= `size`. */
static inline uint64_t eight_from(const uint8_t *octets, size_t size, size_t from)
{
    if (size - from < 8)
        return last_eight(octets + from, size - from);
    uint64_t found;
    memcpy(&found, octets + from, 8); /* one instruction */
    return found;
}

/* The high bit of each byte that is zero; no other bit. */
static inline uint64_t zero_bytes(uint64_t eight)
{
    return ~(((eight & EIGHT(0x7f)) + EIGHT(0x7f)) | eight | EIGHT(0x7f));
}

/* Which of eight bytes the lowest bit belongs to; `bits` is not zero. */
static inline size_t lowest_byte(uint64_t bits)
{
    return (size_t)__builtin_ctzll(bits) / 8;
}

#ifdef __SSE2__
/* `equal_bytes` of 16. */
static inline uint64_t equal_of_16(const uint8_t *octets, uint8_t byte, uint8_t ignored)
{
    __m128i sixteen = _mm_loadu_si128((const __m128i *)(const void *)octets);
    sixteen = _mm_andnot_si128(_mm_set1_epi8((char)ignored), sixteen);
    return (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(sixteen, _mm_set1_epi8((char)byte)));
}
#endif

/* A bit for each of 64 bytes that is `byte`, once the bits of `ignored` are taken out of all. */
static inline uint64_t equal_bytes(const uint8_t *octets, uint8_t byte, uint8_t ignored)
{
#ifdef __SSE2__
    /* Not a loop: compilers leave it one, and it takes twice the time. */
    return equal_of_16(octets, byte, ignored) | equal_of_16(octets + 16, byte, ignored) << 16
           | equal_of_16(octets + 32, byte, ignored) << 32 | equal_of_16(octets + 48, byte, ignored) << 48;
#else
    uint64_t found = 0;
    for (size_t at = 0; at < 64; at += 8) {
        uint64_t high = zero_bytes((eight_from(octets, 64, at) & ~EIGHT(ignored)) ^ EIGHT(byte));
        found |= (high >> 7) * 0x0102040810204080u >> 56 << at; /* the high bits, side by side */
    }
    return found;
#endif
}

/* The lowest `count` bytes of eight. */
static inline uint64_t low_bytes(size_t count)
{
    return count < 8 ? ((uint64_t)1 << (8 * count)) - 1 : ~(uint64_t)0;
}

/* The lowest `count` bits of 64. */
static inline uint64_t low_bits(size_t count)
{
    return count < 64 ? ((uint64_t)1 << count) - 1 : ~(uint64_t)0;
}

/* Two numbers into one that tells nothing of either: wyhash's step. */
static inline uint64_t mix(uint64_t one, uint64_t two)
{
    unsigned __int128 product = (unsigned __int128)one * two;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* The first `byte` from an offset on, or `size`. */
static inline size_t find_byte(const uint8_t *octets, size_t size, size_t from, uint8_t byte)
{
    const uint8_t *found = from < size ? memchr(octets + from, byte, size - from) : NULL;
    return found ? (size_t)(found - octets) : size;
}

/* White space as Python has it in bytes: what `\s` finds and `split` splits at. */
static inline bool is_python_space(uint8_t byte)
{
    return byte == ' ' || (byte >= '\t' && byte <= '\r');
}

/* Places that a scan found, as many as there are. */
typedef struct {
    size_t *at;
    size_t count, room;
} Places;

/* Makes room for 64 more; false where memory ran out. */
bool make_places(Places *places);

static inline bool add_place(Places *places, size_t place)
{
    if (places->room - places->count < 64 && !make_places(places))
        return false;
    places->at[places->count++] = place;
    return true;
}

/* _page_kernel.c: what a function for Python is made of. */

/* A capsule around tables, which takes them over. */
PyObject *keep_tables(void *tables, const char *name);
/* Raises ValueError. */
PyObject *refuse(const char *what);
/* A new bytes object of `count` entries, and where to write them. */
PyObject *new_bytes(size_t count, size_t width, void *where);
/* A tuple of new objects; it takes them over. NULL where one is NULL. */
PyObject *new_tuple(PyObject **items, Py_ssize_t count);

/* _page_utf8.c */

/* The bytes of memory that a text as UTF-8 needs while it is written; 0 where there are too many. */
size_t utf8_room(PyObject *text);
/* Writes a text as UTF-8, a `?` for each surrogate; gives its bytes. Needs no lock. */
size_t write_utf8(PyObject *text, uint8_t *out);

/* Writes a character that is not ASCII; gives the length. A surrogate has no encoding: a `?`. */
size_t write_character(Py_UCS4 character, uint8_t *to);

/* _page_slim.c */

/* Finds what of scripts, styles, drawings and links can go: begins and ends, in turn. */
Outcome find_droppable(const uint8_t *source, size_t size, Places *cuts);
void copy_between(const uint8_t *source, size_t size, const Places *cuts, uint8_t *out);

/* _page_limits.c */

/* Tags; the most white space and quotes in a long one; formatting elements opened more than closed. */
typedef struct {
    size_t tags, crowd;
    Py_ssize_t left_open;
} TagCounts;

/* Counts the tags of a source; false where the names are not those of elements, or a length is no long one. */
bool count_tags(const uint8_t *names, size_t names_size, size_t long_tag, const uint8_t *source, size_t size,
                TagCounts *counts);
PyObject *limit_depth(PyObject *module, PyObject *arguments);

/* _page_lexbor.c */

PyObject *lexbor(PyObject *module, PyObject *arguments);
PyObject *lexbor_markup(PyObject *module, PyObject *arguments);

/* _page_stream.c */

PyObject *stream_tables(PyObject *module, PyObject *arguments);
PyObject *stream_markup(PyObject *module, PyObject *arguments);

/* _page_tags.c */

/* Elements by the first eight bytes of their names. */
typedef struct {
    uint64_t keys[512];
    uint8_t codes[512];
    bool is_void[256];
    uint8_t other;
} TagNames;

enum { TAG_ARRAYS = 7, MAX_CODES = 256 };

/* One entry a tag, as in `Dom`; and by code, whether the page has the element. */
typedef struct {
    int64_t *tags, *starts, *stops, *closes, *levels, *parents, *text_stops;
    uint8_t *held;
} TagArrays;

bool add_tag_name(TagNames *names, uint64_t key, uint8_t code);
Outcome find_tags(const uint8_t *source, size_t size, size_t max_tags, Places *marks);
Outcome read_tags(const TagNames *names, const uint8_t *source, size_t size, const Places *marks,
                  const TagArrays *out);

/* _page_attributes.c */

PyObject *attributes_of(PyObject *module, PyObject *arguments);

/* _page_names.c */

enum { MAX_WORDS = 1024, WORD_SLOTS = 4096, WORD_BYTES = 16, MAX_ATTRIBUTES = 32, ATTRIBUTE_SLOTS = 1024 };

/* Which attributes are read, and what the words in them mean. */
typedef struct {
    struct {
        uint64_t key[2];
        int64_t bits;
    } words[MAX_WORDS];
    uint16_t word_slots[WORD_SLOTS]; /* numbers of words from 1, or 0 */
    size_t word_count;
    struct {
        uint64_t key, mask;
        int64_t kind;
    } attributes[MAX_ATTRIBUTES]; /* in the order of `attribute_slot` */
    uint8_t attributes_from[ATTRIBUTE_SLOTS + 1]; /* by `attribute_slot`, the first of them */
    int64_t hidden;               /* the bits of an element that is not shown */
    uint64_t seed;                /* a secret of the process, so that nobody can make values collide */
} NameTables;

/* A page as the measuring functions see it; the tags are those of `Dom`. */
enum { PADDING = 64 };

typedef struct {
    const uint8_t *source; /* and `PADDING` zeros behind it */
    size_t size;
    size_t count;
    const int64_t *tags, *starts, *stops, *closes, *levels, *parents;
} Page;

/* The two letters behind the space before an attribute, as a number. */
static inline size_t attribute_slot(uint64_t eight)
{
    return (eight >> 8 & 31) << 5 | (eight >> 16 & 31);
}

/* Reads eight bytes at a time, so up to seven behind the value; what they hold does not matter. */
uint64_t hash_of(const uint8_t *value, size_t length, uint64_t seed);
bool fill_words(NameTables *names, const uint8_t *words, size_t size);
bool fill_attributes(NameTables *names, const uint8_t *attributes, size_t size);
Outcome read_names(const NameTables *tables, const Page *page, int64_t *bits, int32_t *classes);

/* _page_survey.c */

enum { LEVELS = 6, COUNTER_BITS = 10, MAX_COUNTED = 64, UNIT = 32 };

/* The counters of text, in the order of the tables. */
enum { VISIBLE, DIGITS, CAPITALS, ENDS, COMMAS, SIGNS, COUNTERS };

/* What the code of an element says of it, a bit each. */
enum { BREAKING = 1, IMAGE = 2, HEADING = 4, BODY = 8, LINK = 16, LINE_BREAK = 32, INPUT = 64, H1 = 128 };

typedef struct {
    NameTables names;
    int64_t tag_bits[256];
    uint64_t counters[256];       /* by byte, `COUNTERS` numbers of `COUNTER_BITS` */
    uint8_t traits[256];          /* by code */
    uint8_t first_edges[256];     /* by byte, what it says as the first of a block, a bit each */
    uint8_t last_edges[256];      /* and as the last */
    uint8_t counted[MAX_COUNTED]; /* codes of the elements that are counted */
    float unpacked[256][8];       /* the bits of a byte, the lowest first, as measures */
    size_t names_count, counted_count, first_count, last_count, groups, bits, sentence;
} MeasureTables;

/* What stands before a place between two tags. */
typedef struct {
    int32_t text; /* bytes */
    int32_t counters[COUNTERS];
    int32_t images, links, linked, breaks, inputs;
    int32_t blocks, prose;
} Sums;

typedef struct {
    int32_t first, stop;
    int32_t element; /* whose text starts the block */
    int32_t prose;
} Block;

/* What the blocks in an element share; measured when the first of them is. */
typedef struct {
    float size, blocks, repeated, images, linked_share, prose_part, prose_share;
    bool is_measured;
} Container;

/* A page while it is measured. */
typedef struct {
    const MeasureTables *tables;
    Page page;
    uint8_t *text; /* without tags */
    Sums *sums;    /* one more than tags */
    Block *blocks;
    /* By tag: */
    Container *containers;
    int64_t *bits;     /* of names and tags */
    int64_t *any;      /* of the element and all around it */
    int32_t *classes;  /* numbers from 1, or 0 */
    int32_t *parents;  /* 0 for the root too */
    int32_t *up;       /* the nearest element around it that holds more blocks */
    int32_t *repeated; /* how many children of its parent have its tag and class */
    size_t block_count, body;
    bool is_cjk; /* may hold Chinese or Japanese */
    int64_t page_bits, total_size, total_prose, prose_blocks;
} Survey;

Outcome survey_page(const MeasureTables *tables, const Page *page, Survey *survey);
void free_survey(Survey *survey);

static inline int traits_of(const Survey *survey, size_t tag)
{
    int64_t code = survey->page.tags[tag];
    return survey->tables->traits[code < 0 ? -code : code];
}

/* Whether the tag, of a start or an end, is of an element with a trait. */
static inline bool has(const Survey *survey, size_t tag, int trait)
{
    return traits_of(survey, tag) & trait;
}

static inline bool starts(const Survey *survey, size_t tag, int trait)
{
    return survey->page.tags[tag] > 0 && has(survey, tag, trait);
}

/* The first block of an element, and one past its last. */
static inline int32_t begin_of(const Survey *survey, int32_t tag)
{
    return survey->sums[tag].blocks;
}

static inline int32_t end_of(const Survey *survey, int32_t tag)
{
    return survey->sums[survey->page.closes[tag] + 1].blocks;
}

/* _page_measures.c */

/* What `Blocks` holds. */
typedef struct {
    int64_t *first, *last, *size, *images, *ranges;
    float *measures, *page;
} BlockArrays;

size_t measure_count(const MeasureTables *tables);
size_t page_measure_count(const MeasureTables *tables);
void write_blocks(Survey *survey, const BlockArrays *out);

/* _page_score.c */

PyObject *network(PyObject *module, PyObject *arguments);
PyObject *score_blocks(PyObject *module, PyObject *arguments);

/* _page_rules.c: functions of the module, see page_kernel.py */

PyObject *settle_blocks(PyObject *module, PyObject *arguments);
PyObject *cover_tags(PyObject *module, PyObject *arguments);

/* _page_steps.c: functions of the module */

PyObject *walk_tables(PyObject *module, PyObject *arguments);
PyObject *read_steps(PyObject *module, PyObject *arguments);

/* _page_pictures.c, _page_labels.c: functions of the module */

PyObject *weigh_pictures(PyObject *module, PyObject *arguments);
PyObject *classes_with(PyObject *module, PyObject *arguments);

#endif
