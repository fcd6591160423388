/* What would cost the square of a page's length, counted and limited before the page is parsed.

   `_count_tags` and `_limit_depth` in source_limits.py are the descriptions. */

#include "_page_scan.h"

/* Names come from Python in lower case. */
enum { LOWER = 0x20 };

static uint8_t lower(uint8_t byte)
{
    return (uint8_t)(byte - 'A') < 26 ? byte | LOWER : byte;
}

static bool is_word(uint8_t byte)
{
    return is_letter(byte) || (uint8_t)(byte - '0') < 10 || byte == '_';
}

/* --- Counting --- */

enum { MAX_FORMATTING = 64, SHORT = 8, LETTERS = 32, STEP = 64 };

/* Names of elements in lower case, those with one first letter side by side. */
typedef struct {
    uint64_t names[MAX_FORMATTING];
    uint8_t lengths[MAX_FORMATTING];
    uint8_t begins[LETTERS], ends[LETTERS]; /* by first letter */
} Formatting;

/* False where they are not as `Formatting` has them. */
static bool fill_formatting(Formatting *formatting, const uint8_t *names, size_t size)
{
    if (size % NAME_BYTES || size > MAX_FORMATTING * NAME_BYTES)
        return false;
    for (size_t nth = 0; nth < size / NAME_BYTES; nth++) {
        const uint8_t *name = names + nth * NAME_BYTES, *end = memchr(name, 0, SHORT);
        size_t letter = name[0] % LETTERS;
        if (!end || end == name || (formatting->ends[letter] && formatting->ends[letter] != nth))
            return false;
        if (!formatting->ends[letter])
            formatting->begins[letter] = (uint8_t)nth;
        formatting->ends[letter] = (uint8_t)(nth + 1);
        formatting->lengths[nth] = (uint8_t)(end - name);
        formatting->names[nth] = eight_from(name, SHORT, 0);
    }
    return true;
}

static bool is_formatting(const Formatting *formatting, uint64_t eight)
{
    size_t letter = eight % LETTERS;
    for (size_t nth = formatting->begins[letter]; nth < formatting->ends[letter]; nth++) {
        size_t length = formatting->lengths[nth];
        uint64_t different = (eight | EIGHT(LOWER)) ^ formatting->names[nth];
        if (!(different & low_bytes(length)) && ends((uint8_t)(eight >> 8 * length), NAME_END))
            return true;
    }
    return false;
}

/* White space and quotes in bytes without `>`, from the first tag in them on; 0 if they are too few. */
static size_t count_separators(const uint8_t *octets, size_t size, size_t long_tag)
{
    size_t at = 0, count = 0;
    while ((at = find_byte(octets, size, at, '<')) < size) {
        size_t name = at + 1;
        name += name < size && octets[name] == '/';
        if (name < size && is_letter(octets[name]))
            break;
        at++;
    }
    if (size - at < long_tag)
        return 0;
    for (; at < size; at++)
        count += is_python_space(octets[at]) || octets[at] == '"' || octets[at] == '\'';
    return count;
}

static void count_page(const Formatting *formatting, size_t long_tag, const uint8_t *source, size_t size,
                       TagCounts *counts)
{
    size_t gap = 0; /* where the bytes without `>` began */
    for (size_t at = 0; at < size; at += STEP) {
        uint8_t last[STEP] = {0};
        const uint8_t *octets = source + at;
        if (size - at < STEP)
            octets = memcpy(last, octets, size - at);
        uint64_t angles = equal_bytes(octets, '<', '<' ^ '>'); /* they differ in one bit */
        if (!angles && size - at > STEP)
            continue;
        uint64_t stops = equal_bytes(octets, '>', 0);
        for (uint64_t starts = angles & ~stops; starts; starts &= starts - 1) {
            size_t behind = at + (size_t)__builtin_ctzll(starts) + 1;
            bool is_end = behind < size && source[behind] == '/';
            counts->tags++;
            if (is_formatting(formatting, eight_from(source, size, behind + is_end)))
                counts->left_open += is_end ? -1 : 1;
        }
        if (!stops && size - at > STEP)
            continue;
        size_t end = stops ? at + (size_t)__builtin_ctzll(stops) : size;
        if (end - gap >= long_tag) {
            size_t crowd = count_separators(source + gap, end - gap, long_tag);
            counts->crowd = crowd > counts->crowd ? crowd : counts->crowd;
        }
        if (stops)
            gap = at + STEP - (size_t)__builtin_clzll(stops);
    }
}

bool count_tags(const uint8_t *names, size_t names_size, size_t long_tag, const uint8_t *source, size_t size,
                TagCounts *counts)
{
    Formatting formatting = {0};
    if (!fill_formatting(&formatting, names, names_size) || long_tag < STEP)
        return false;
    *counts = (TagCounts){0};
    count_page(&formatting, long_tag, source, size, counts);
    return true;
}

/* --- Limiting --- */

/* `MAX_NAMES`: real pages have a tenth of it, and names that are made to collide cost little more. */
enum { MAX_NAMES = 512, NAME_SLOTS = 2048, MAX_RAW = 16, MAX_DEPTH = 4096 };

typedef struct {
    const uint8_t *at; /* in letters of any case */
    size_t size, hash;
    size_t open, too_deep;
    bool is_passed_over, is_formatting;
} Name;

typedef struct {
    const uint8_t *source;
    size_t size;
    Name names[MAX_NAMES];
    size_t name_count;
    uint16_t slots[NAME_SLOTS]; /* numbers of names from 1, or 0 */
    const uint8_t *raw[MAX_RAW]; /* elements whose content is text, zeros behind their names */
    size_t raw_count;
    uint16_t open[MAX_DEPTH]; /* numbers of the names of open elements */
    size_t depth, formatting, max_depth, max_formatting;
} Nesting;

static bool is_same(const uint8_t *one, const uint8_t *other, size_t size)
{
    for (size_t nth = 0; nth < size; nth++)
        if (lower(one[nth]) != lower(other[nth]))
            return false;
    return true;
}

/* The number of a name from 1; 0 where there are too many. */
static uint16_t number_of(Nesting *nesting, const uint8_t *at, size_t size)
{
    size_t hash = size;
    for (size_t nth = 0; nth < size; nth++)
        hash = (size_t)mix(hash ^ lower(at[nth]), 0x9e3779b97f4a7c15u);
    size_t slot = hash % NAME_SLOTS;
    for (uint16_t number; (number = nesting->slots[slot]); slot = (slot + 1) % NAME_SLOTS) {
        const Name *name = &nesting->names[number - 1];
        if (name->hash == hash && name->size == size && is_same(name->at, at, size))
            return number;
    }
    if (nesting->name_count == MAX_NAMES)
        return 0;
    nesting->names[nesting->name_count++] = (Name){.at = at, .size = size, .hash = hash};
    nesting->slots[slot] = (uint16_t)nesting->name_count;
    return nesting->slots[slot];
}

/* The size of a raw element's name that stands somewhere, and which it is; or 0. */
static size_t raw_at(const Nesting *nesting, size_t at, const uint8_t **name)
{
    for (size_t nth = 0; nth < nesting->raw_count; nth++) {
        size_t size = strlen((const char *)nesting->raw[nth]), left = nesting->size - at;
        *name = nesting->raw[nth];
        if (left >= size && is_same(nesting->source + at, *name, size)
            && (left == size || !is_word(nesting->source[at + size])))
            return size;
    }
    return 0;
}

/* The offset behind `</` and a name, or the size. */
static size_t raw_end(const Nesting *nesting, size_t at, const uint8_t *name, size_t size)
{
    for (; (at = find_byte(nesting->source, nesting->size, at, '<')) < nesting->size; at++)
        if (nesting->size - at >= size + 2 && nesting->source[at + 1] == '/'
            && is_same(nesting->source + at + 2, name, size))
            return at + 2 + size;
    return nesting->size;
}

/* Whether a start tag stays; if so, its element is open. */
static bool open_element(Nesting *nesting, uint16_t number)
{
    Name *name = &nesting->names[number - 1];
    if (nesting->depth >= nesting->max_depth
        || (name->is_formatting && nesting->formatting >= nesting->max_formatting)) {
        name->too_deep++;
        return false;
    }
    nesting->open[nesting->depth++] = number;
    nesting->formatting += name->is_formatting;
    name->open++;
    return true;
}

/* Whether an end tag stays; if so, its element is open no more. */
static bool close_element(Nesting *nesting, uint16_t number)
{
    Name *name = &nesting->names[number - 1];
    if (name->too_deep) {
        name->too_deep--;
        return false;
    }
    for (uint16_t closed = 0; name->open && closed != number;) {
        closed = nesting->open[--nesting->depth];
        Name *element = &nesting->names[closed - 1];
        nesting->formatting -= element->is_formatting;
        element->open -= element != name;
    }
    name->open -= name->open > 0;
    return true;
}

/* Finds the tags that go: begins and ends, in turn. */
static Outcome find_too_deep(Nesting *nesting, Places *cuts)
{
    const uint8_t *source = nesting->source;
    size_t size = nesting->size;
    for (size_t at = 0; (at = find_byte(source, size, at, '<')) < size;) {
        const uint8_t *raw;
        size_t raw_size;
        if (size - at >= 4 && !memcmp(source + at, "<!--", 4)) {
            at = comment_end(&(Source){.at = source, .size = size}, at + 4);
            continue;
        }
        if ((raw_size = raw_at(nesting, at + 1, &raw))) {
            at = raw_end(nesting, at + 1 + raw_size, raw, raw_size);
            continue;
        }
        bool is_end = size - at > 1 && source[at + 1] == '/';
        size_t begin = at++, name = at + is_end, stop = name;
        if (name == size || !is_letter(source[name]))
            continue;
        while (stop < size && !is_python_space(source[stop]) && source[stop] != '/' && source[stop] != '>')
            stop++;
        at = find_byte(source, size, stop, '>');
        at += at < size;
        uint16_t number = number_of(nesting, source + name, stop - name);
        if (!number)
            return UNREADABLE;
        if (nesting->names[number - 1].is_passed_over)
            continue;
        bool stays = is_end ? close_element(nesting, number) : open_element(nesting, number);
        if (!stays && !(add_place(cuts, begin) && add_place(cuts, at)))
            return NO_MEMORY;
    }
    return READ;
}

/* False if there are too many. */
static bool add_names(Nesting *nesting, const uint8_t *names, size_t size, bool is_passed_over)
{
    for (size_t at = 0; at < size; at += NAME_BYTES) {
        const uint8_t *end = memchr(names + at, 0, NAME_BYTES);
        uint16_t number = end ? number_of(nesting, names + at, (size_t)(end - names) - at) : 0;
        if (!number)
            return false;
        nesting->names[number - 1].is_passed_over |= is_passed_over;
        nesting->names[number - 1].is_formatting |= !is_passed_over;
    }
    return true;
}

static bool add_raw(Nesting *nesting, const uint8_t *names, size_t size)
{
    for (size_t at = 0; at < size; at += NAME_BYTES) {
        if (!memchr(names + at, 0, NAME_BYTES) || !names[at] || nesting->raw_count == MAX_RAW)
            return false;
        nesting->raw[nesting->raw_count++] = names + at;
    }
    return true;
}

static PyObject *cut_source(PyObject *source, const Nesting *nesting, const Places *cuts)
{
    size_t dropped = 0;
    uint8_t *out = NULL;
    for (size_t cut = 0; cut < cuts->count; cut += 2)
        dropped += cuts->at[cut + 1] - cuts->at[cut];
    if (!dropped)
        return Py_NewRef(source);
    PyObject *left = new_bytes(nesting->size - dropped, 1, &out);
    if (left)
        copy_between(nesting->source, nesting->size, cuts, out);
    return left;
}

PyObject *limit_depth(PyObject *module, PyObject *arguments)
{
    (void)module;
    const uint8_t *passed_over, *formatting, *raw;
    Py_ssize_t passed_over_size, formatting_size, raw_size, max_depth, max_formatting, size;
    PyObject *source, *found = NULL;
    char *data;
    if (!PyArg_ParseTuple(arguments, "y#y#y#nnS:limit_depth", &passed_over, &passed_over_size, &formatting,
                          &formatting_size, &raw, &raw_size, &max_depth, &max_formatting, &source)
        || PyBytes_AsStringAndSize(source, &data, &size) < 0)
        return NULL;
    Nesting *nesting = calloc(1, sizeof *nesting);
    if (!nesting)
        return PyErr_NoMemory();
    Places cuts = {0};
    if (max_depth < 0 || max_depth > MAX_DEPTH || max_formatting < 0
        || (passed_over_size | formatting_size | raw_size) % NAME_BYTES
        || !add_names(nesting, passed_over, (size_t)passed_over_size, true)
        || !add_names(nesting, formatting, (size_t)formatting_size, false)
        || !add_raw(nesting, raw, (size_t)raw_size))
        refuse("limit_depth: not names of elements, or too deep");
    else {
        Outcome outcome;
        nesting->source = (const uint8_t *)data;
        nesting->size = (size_t)size;
        nesting->max_depth = (size_t)max_depth;
        nesting->max_formatting = (size_t)max_formatting;
        Py_BEGIN_ALLOW_THREADS
        outcome = find_too_deep(nesting, &cuts);
        Py_END_ALLOW_THREADS
        found = outcome == READ         ? cut_source(source, nesting, &cuts)
                : outcome == UNREADABLE ? Py_NewRef(Py_None)
                                        : PyErr_NoMemory();
    }
    free(cuts.at);
    free(nesting);
    return found;
}
