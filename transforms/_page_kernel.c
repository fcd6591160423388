/* The page kernel as a Python module: arguments in, bytes out. page_kernel.py is its only caller.

   Other threads run while it reads. Tables are made once from what the Python modules say, and are
   not changed afterwards. */

#include "_page_kernel.h"

enum { EIGHT_BYTES = 8, OCTETS = 256, TABLES = 3 };

uint64_t last_eight(const uint8_t *octets, size_t size)
{
    if (size >= 4) { /* two halves, which overlap */
        uint32_t low, high;
        size = size < 8 ? size : 8;
        memcpy(&low, octets, 4);
        memcpy(&high, octets + size - 4, 4);
        return low | (uint64_t)high << 8 * (size - 4);
    }
    uint64_t found = 0;
    while (size--)
        found = found << 8 | octets[size];
    return found;
}

bool make_places(Places *places)
{
    size_t room = places->room ? 2 * places->room : 4096;
    size_t *at = room <= SIZE_MAX / sizeof *at ? realloc(places->at, room * sizeof *at) : NULL;
    if (!at)
        return false;
    places->at = at;
    places->room = room;
    return true;
}

static const char TAG_NAMES[] = "transforms._page_kernel.tag_names";
static const char MEASURE_TABLES[] = "transforms._page_kernel.measure_tables";

static void free_tables(PyObject *capsule)
{
    free(PyCapsule_GetPointer(capsule, PyCapsule_GetName(capsule)));
}

PyObject *keep_tables(void *tables, const char *name)
{
    PyObject *capsule = PyCapsule_New(tables, name, free_tables);
    if (!capsule)
        free(tables);
    return capsule;
}

PyObject *refuse(const char *what)
{
    PyErr_SetString(PyExc_ValueError, what);
    return NULL;
}

PyObject *new_bytes(size_t count, size_t width, void *where)
{
    PyObject *bytes = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)(count * width));
    void *data = bytes ? PyBytes_AsString(bytes) : NULL;
    memcpy(where, &data, sizeof data);
    return bytes;
}

PyObject *new_tuple(PyObject **items, Py_ssize_t count)
{
    PyObject *tuple = PyTuple_New(count);
    bool complete = tuple != NULL;
    for (Py_ssize_t nth = 0; nth < count; nth++) {
        complete &= items[nth] != NULL;
        if (tuple)
            PyTuple_SetItem(tuple, nth, items[nth]);
        else
            Py_XDECREF(items[nth]);
    }
    if (!complete)
        Py_CLEAR(tuple);
    return tuple;
}

/* --- slim --- */

static PyObject *slim(PyObject *module, PyObject *arguments)
{
    (void)module;
    const uint8_t *names;
    Py_ssize_t names_size, long_tag;
    PyObject *html;
    if (!PyArg_ParseTuple(arguments, "y#nU:slim", &names, &names_size, &long_tag, &html))
        return NULL;
    /* Memory that is not written to costs nothing, so no bytes are counted beforehand. */
    size_t room = utf8_room(html), size, dropped = 0;
    uint8_t *source = room ? malloc(room) : NULL, *out = NULL;
    if (!source)
        return PyErr_NoMemory();
    Places cuts = {0};
    TagCounts counts;
    Outcome outcome;
    bool are_names;
    Py_BEGIN_ALLOW_THREADS
    size = write_utf8(html, source);
    are_names = count_tags(names, (size_t)names_size, (size_t)long_tag, source, size, &counts);
    outcome = find_droppable(source, size, &cuts);
    for (size_t cut = 0; cut < cuts.count; cut += 2)
        dropped += cuts.at[cut + 1] - cuts.at[cut];
    Py_END_ALLOW_THREADS
    PyObject *slimmed = NULL;
    if (!are_names)
        refuse("slim: not names of elements, or a length that is no long one");
    else
        slimmed = outcome == READ ? new_bytes(size - dropped, 1, &out) : PyErr_NoMemory();
    if (slimmed) {
        Py_BEGIN_ALLOW_THREADS
        copy_between(source, size, &cuts, out);
        Py_END_ALLOW_THREADS
    }
    free(source);
    free(cuts.at);
    return slimmed ? Py_BuildValue("(Nnnn)", slimmed, (Py_ssize_t)counts.tags, counts.left_open,
                                   (Py_ssize_t)counts.crowd)
                   : NULL;
}

/* --- read_tags --- */

static PyObject *tag_names(PyObject *module, PyObject *arguments)
{
    (void)module;
    const uint8_t *keys, *codes, *is_void;
    Py_ssize_t keys_size, codes_size, void_size;
    int other;
    if (!PyArg_ParseTuple(arguments, "y#y#y#i:tag_names", &keys, &keys_size, &codes, &codes_size, &is_void,
                          &void_size, &other))
        return NULL;
    if (keys_size != codes_size * EIGHT_BYTES || void_size > MAX_CODES || other < 0 || other >= void_size)
        return refuse("tag_names: sizes do not agree");
    TagNames *names = calloc(1, sizeof *names);
    if (!names)
        return PyErr_NoMemory();
    names->other = (uint8_t)other;
    memcpy(names->is_void, is_void, (size_t)void_size);
    for (Py_ssize_t nth = 0; nth < codes_size; nth++) {
        uint64_t key = eight_from(keys, (size_t)keys_size, (size_t)nth * EIGHT_BYTES);
        if (codes[nth] >= void_size || !key || !add_tag_name(names, key, codes[nth])) {
            free(names);
            return refuse("tag_names: a name without a place");
        }
    }
    return keep_tables(names, TAG_NAMES);
}

static PyObject *fill_tags(const TagNames *names, const uint8_t *source, size_t size, const Places *marks)
{
    size_t count = marks->count / 2;
    int64_t *numbers;
    uint8_t *held;
    PyObject *items[] = {
        new_bytes(TAG_ARRAYS * count, sizeof *numbers, &numbers),
        new_bytes(MAX_CODES, 1, &held),
    };
    PyObject *tuple = new_tuple(items, sizeof items / sizeof *items);
    if (!tuple)
        return NULL;
    TagArrays out = {
        .tags = numbers,
        .starts = numbers + count,
        .stops = numbers + 2 * count,
        .closes = numbers + 3 * count,
        .levels = numbers + 4 * count,
        .parents = numbers + 5 * count,
        .text_stops = numbers + 6 * count,
        .held = held,
    };
    Outcome outcome;
    Py_BEGIN_ALLOW_THREADS
    outcome = read_tags(names, source, size, marks, &out);
    Py_END_ALLOW_THREADS
    if (outcome == READ)
        return tuple;
    Py_DECREF(tuple);
    Py_RETURN_NONE;
}

static PyObject *read_tags_of(PyObject *module, PyObject *arguments)
{
    (void)module;
    PyObject *capsule, *found = NULL;
    const uint8_t *source;
    Py_ssize_t size, max_tags;
    if (!PyArg_ParseTuple(arguments, "Oy#n:read_tags", &capsule, &source, &size, &max_tags))
        return NULL;
    const TagNames *names = PyCapsule_GetPointer(capsule, TAG_NAMES);
    if (!names)
        return NULL;
    Places marks = {0};
    Outcome outcome;
    Py_BEGIN_ALLOW_THREADS
    outcome = find_tags(source, (size_t)size, max_tags > 0 ? (size_t)max_tags : 0, &marks);
    Py_END_ALLOW_THREADS
    if (outcome == READ)
        found = fill_tags(names, source, (size_t)size, &marks);
    else if (outcome == UNREADABLE)
        found = Py_NewRef(Py_None);
    else if (outcome == NO_MEMORY)
        PyErr_NoMemory();
    else
        PyErr_Format(PyExc_OverflowError, "more than %zd tags", max_tags);
    free(marks.at);
    return found;
}

/* --- measure_blocks --- */

/* The tables of `_class_of_bytes`, each with two counters of 32 bits, as one of six shorter ones. */
static bool fill_counters(MeasureTables *tables, const uint8_t *counters, size_t size)
{
    for (size_t nth = 0; nth < TABLES * OCTETS; nth++) {
        uint64_t two = eight_from(counters, size, nth * EIGHT_BYTES);
        uint64_t packed = (two & 1) | (two >> 32 & 1) << COUNTER_BITS;
        tables->counters[nth % OCTETS] |= packed << nth / OCTETS * 2 * COUNTER_BITS;
    }
    return tables->counters[0] == 0; /* zeros stand for nothing */
}

static PyObject *measure_tables(PyObject *module, PyObject *arguments)
{
    (void)module;
    const uint8_t *words, *attributes, *traits, *tag_bits, *counted, *counters, *first_edges, *last_edges;
    Py_ssize_t words_size, attributes_size, traits_size, tag_bits_size, counted_size, counters_size, first_size,
        last_size, levels, first_count, last_count, groups, bits, sentence;
    long long hidden;
    unsigned long long seed;
    if (!PyArg_ParseTuple(arguments, "y#y#LKy#y#y#y#y#y#nnnnnn:measure_tables", &words, &words_size, &attributes,
                          &attributes_size, &hidden, &seed, &traits, &traits_size, &tag_bits, &tag_bits_size,
                          &counted, &counted_size, &counters, &counters_size, &first_edges, &first_size,
                          &last_edges, &last_size, &levels, &first_count, &last_count, &groups, &bits, &sentence))
        return NULL;
    bool agree = words_size % (WORD_BYTES + EIGHT_BYTES) == 0 && attributes_size % (3 * EIGHT_BYTES) == 0
                 && traits_size > 0 && traits_size <= MAX_CODES && tag_bits_size == traits_size * EIGHT_BYTES
                 && counted_size <= MAX_COUNTED && counters_size == TABLES * OCTETS * EIGHT_BYTES
                 && first_size == OCTETS && last_size == OCTETS && levels == LEVELS && first_count >= 0
                 && first_count <= 8 && last_count >= 0 && last_count <= 8 && groups >= 0 && groups < 64
                 && bits >= 0 && bits < 64 && sentence >= 0;
    if (!agree)
        return refuse("measure_tables: sizes do not agree");
    MeasureTables *tables = calloc(1, sizeof *tables);
    if (!tables)
        return PyErr_NoMemory();
    tables->names.hidden = hidden;
    tables->names.seed = seed;
    tables->names_count = (size_t)traits_size;
    tables->counted_count = (size_t)counted_size;
    tables->first_count = (size_t)first_count;
    tables->last_count = (size_t)last_count;
    tables->groups = (size_t)groups;
    tables->bits = (size_t)bits;
    tables->sentence = (size_t)sentence;
    memcpy(tables->traits, traits, (size_t)traits_size);
    memcpy(tables->tag_bits, tag_bits, (size_t)tag_bits_size);
    memcpy(tables->counted, counted, (size_t)counted_size);
    memcpy(tables->first_edges, first_edges, OCTETS);
    memcpy(tables->last_edges, last_edges, OCTETS);
    for (size_t nth = 0; nth < OCTETS * 8; nth++)
        tables->unpacked[nth / 8][nth % 8] = nth / 8 >> nth % 8 & 1 ? (float)UNIT : 0;
    if (!fill_counters(tables, counters, (size_t)counters_size)
        || !fill_words(&tables->names, words, (size_t)words_size)
        || !fill_attributes(&tables->names, attributes, (size_t)attributes_size)) {
        free(tables);
        return refuse("measure_tables: too many words or attributes, or zeros that count");
    }
    return keep_tables(tables, MEASURE_TABLES);
}

/* Whether the arrays may be followed without looking where they lead. */
static bool is_sound(const MeasureTables *tables, const Page *page)
{
    int64_t end = 0;
    uint64_t codes = tables->names_count;
    bool sound = true;
    /* Without a sign what is below zero is above everything: one comparison for both ends. */
    for (uint64_t tag = 0; tag < page->count; tag++) {
        uint64_t code = (uint64_t)page->tags[tag];
        sound &= (code + codes - 1 < 2 * codes - 1) & (code != 0);
        sound &= (uint64_t)page->closes[tag] - tag < page->count - tag;
        sound &= ((uint64_t)page->parents[tag] + 1 <= tag) & ((uint64_t)page->levels[tag] <= tag);
        sound &= (page->starts[tag] >= end) & (page->stops[tag] > page->starts[tag]);
        end = page->stops[tag];
    }
    return sound && page->count && end <= (int64_t)page->size && page->starts[0] == 0 && page->tags[0] > 0;
}

static PyObject *write_survey(Survey *survey)
{
    BlockArrays out;
    size_t count = survey->block_count;
    size_t width = count ? measure_count(survey->tables) : 0;
    int64_t *numbers;
    PyObject *items[] = {
        new_bytes((4 + 2 * LEVELS) * count, sizeof *numbers, &numbers),
        new_bytes(count * width, sizeof(float), &out.measures),
        new_bytes(count ? page_measure_count(survey->tables) : 0, sizeof(float), &out.page),
    };
    PyObject *tuple = new_tuple(items, sizeof items / sizeof *items);
    out.first = numbers;
    out.last = numbers + count;
    out.size = numbers + 2 * count;
    out.images = numbers + 3 * count;
    out.ranges = numbers + 4 * count;
    if (tuple && count) {
        Py_BEGIN_ALLOW_THREADS
        write_blocks(survey, &out);
        Py_END_ALLOW_THREADS
    }
    return tuple;
}

static PyObject *measure_page(const MeasureTables *tables, const Page *page)
{
    Survey survey;
    Outcome outcome;
    if (!is_sound(tables, page) || page->size > INT32_MAX / 4)
        return refuse("measure_blocks: not the arrays of a page");
    Py_BEGIN_ALLOW_THREADS
    outcome = survey_page(tables, page, &survey);
    Py_END_ALLOW_THREADS
    PyObject *found = outcome == READ ? write_survey(&survey) : PyErr_NoMemory();
    free_survey(&survey);
    return found;
}

static PyObject *measure_blocks(PyObject *module, PyObject *arguments)
{
    (void)module;
    enum { ARRAYS = 6 };
    PyObject *capsule, *found = NULL;
    Py_buffer source, arrays[ARRAYS];
    if (!PyArg_ParseTuple(arguments, "Oy*y*y*y*y*y*y*:measure_blocks", &capsule, &source, &arrays[0], &arrays[1],
                          &arrays[2], &arrays[3], &arrays[4], &arrays[5]))
        return NULL;
    const MeasureTables *tables = PyCapsule_GetPointer(capsule, MEASURE_TABLES);
    bool alike = true;
    for (int nth = 0; nth < ARRAYS; nth++)
        alike &= arrays[nth].len == arrays[0].len && arrays[nth].len % EIGHT_BYTES == 0
                 && (uintptr_t)arrays[nth].buf % EIGHT_BYTES == 0;
    if (tables && alike) {
        Page page = {
            .source = source.buf,
            .size = (size_t)source.len,
            .count = (size_t)arrays[0].len / EIGHT_BYTES,
            .tags = arrays[0].buf,
            .starts = arrays[1].buf,
            .stops = arrays[2].buf,
            .closes = arrays[3].buf,
            .levels = arrays[4].buf,
            .parents = arrays[5].buf,
        };
        found = measure_page(tables, &page);
    } else if (tables)
        refuse("measure_blocks: arrays of different sizes");
    PyBuffer_Release(&source);
    for (int nth = 0; nth < ARRAYS; nth++)
        PyBuffer_Release(&arrays[nth]);
    return found;
}

static PyMethodDef METHODS[] = {
    {"slim", slim, METH_VARARGS, "A source, UTF-8, without scripts and drawings; what it counts with them."},
    {"limit_depth", limit_depth, METH_VARARGS, "The source without tags that nest too deep."},
    {"lexbor", lexbor, METH_VARARGS, "lexbor's functions, for `lexbor_markup`."},
    {"lexbor_markup", lexbor_markup, METH_VARARGS, "Canonical markup of a source."},
    {"stream_tables", stream_tables, METH_VARARGS, "The tables for `stream_markup`."},
    {"stream_markup", stream_markup, METH_VARARGS, "Canonical markup of a page; None if lexbor has to read it."},
    {"tag_names", tag_names, METH_VARARGS, "The table for `read_tags`."},
    {"read_tags", read_tags_of, METH_VARARGS, "The arrays of `Dom` and its elements; None if it is not canonical."},
    {"attributes", attributes_of, METH_VARARGS, "The attributes of a tag."},
    {"measure_tables", measure_tables, METH_VARARGS, "The tables for `measure_blocks`."},
    {"measure_blocks", measure_blocks, METH_VARARGS, "The arrays of `Blocks`."},
    {"network", network, METH_VARARGS, "The network for `score_blocks`."},
    {"score_blocks", score_blocks, METH_VARARGS, "The log-odds of blocks, float32."},
    {"settle_blocks", settle_blocks, METH_VARARGS, "Which blocks are sure chrome and which are content."},
    {"cover_tags", cover_tags, METH_VARARGS, "Which tags lie in chosen blocks, and at which one starts."},
    {"walk_tables", walk_tables, METH_VARARGS, "The tables for `read_steps`."},
    {"read_steps", read_steps, METH_VARARGS, "The steps of a page's content."},
    {"classes_with", classes_with, METH_VARARGS, "The elements whose start tags hold a word, with their classes."},
    {"weigh_pictures", weigh_pictures, METH_VARARGS, "The pictures that may be content, and captions beside them."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef MODULE = {
    PyModuleDef_HEAD_INIT,
    .m_name = "_page_kernel",
    .m_doc = "Pages read fast; see page_kernel.py.",
    .m_methods = METHODS,
};

PyMODINIT_FUNC PyInit__page_kernel(void)
{
    return PyModuleDef_Init(&MODULE);
}
