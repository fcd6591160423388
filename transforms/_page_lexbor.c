/* Canonical markup straight from lexbor's tree, in one walk.

   lexbor is the one that selectolax brings along. It is called through functions that parse_kernel.py
   found by name, and what they hand out is never looked into: no layout of its structures is known
   here. What is written is what `_write_lexbor` in html_parsers.py writes. */

#include "_page_allotment.h"
#include "_page_markup.h"

/* A document, node, element or attribute of lexbor's. An element and a text are nodes too. */
typedef void Opaque;

/* In the order of `parse_kernel._LEXBOR`. A function without a value for an answer gives NULL. */
typedef struct {
    Opaque *(*create)(void);
    void (*set_options)(Opaque *document, unsigned options);
    unsigned (*parse_begin)(Opaque *document); /* 0: it went well; as of the next two */
    unsigned (*parse_chunk)(Opaque *document, const uint8_t *source, size_t size);
    unsigned (*parse_end)(Opaque *document);
    Opaque *(*destroy)(Opaque *document);
    Opaque *(*root)(Opaque *document);
    unsigned (*type)(Opaque *node);
    Opaque *(*first_child)(Opaque *node);
    Opaque *(*last_child)(Opaque *node);
    Opaque *(*next)(Opaque *node);
    Opaque *(*previous)(Opaque *node);
    Opaque *(*parent)(Opaque *node);
    const uint8_t *(*text)(Opaque *node, size_t *size); /* the document keeps it */
    const uint8_t *(*name)(Opaque *element, size_t *size);
    Opaque *(*first_attribute)(Opaque *element);
    Opaque *(*next_attribute)(Opaque *attribute);
    const uint8_t *(*attribute_name)(Opaque *attribute, size_t *size);
    const uint8_t *(*attribute_value)(Opaque *attribute, size_t *size);
    unsigned (*take_memory_by)(void *(*)(size_t), void *(*)(void *, size_t), void *(*)(size_t, size_t),
                               void (*)(void *)); /* 0: it went well */
} Functions;

/* Types of nodes, by dom.spec.whatwg.org, 4.4. */
enum { ELEMENT_NODE = 1, TEXT_NODE = 3 };

/* What is written of an element. */
typedef enum { WHOLE, START_TAG, NOTHING } Extent;

/* What became of a page. */
typedef enum {
    WRITTEN,
    REFUSED,
    ROOTLESS,
    MEMORY,
    NOT_UTF8,
    LARGE_MARKUP,
    LARGE_TREE,
    DEEP,
    CROWDED,
    LATE
} Result;

/* `CHUNK`: bytes that are parsed at a time. */
enum { NAME_SLOTS = 256, MAX_NAMES = NAME_SLOTS / 4, STEP = 64, CHUNK = 4096 };

typedef struct {
    Functions lexbor;
    unsigned options;
    size_t max_depth, max_attributes;
    struct {
        uint64_t key[2]; /* zeros where there is none */
        Extent extent;
    } names[NAME_SLOTS];
    bool cannot_be_spelled[256]; /* by byte, in names */
} Lexbor;

static const char LEXBOR[] = "transforms._page_kernel.lexbor";

/* The slot of a name or, where it has none, the one where it would stand. */
static size_t name_slot(const Lexbor *lexbor, const uint64_t key[2])
{
    size_t slot = mix(key[0] ^ EIGHT(0x5a), key[1] ^ 0x9e3779b97f4a7c15u) % NAME_SLOTS;
    while (lexbor->names[slot].key[0] && memcmp(lexbor->names[slot].key, key, NAME_BYTES))
        slot = (slot + 1) % NAME_SLOTS;
    return slot;
}

static Extent extent_of(const Lexbor *lexbor, const uint8_t *name, size_t size)
{
    if (size > NAME_BYTES)
        return WHOLE;
    uint64_t key[] = {eight_from(name, size, 0), size > 8 ? eight_from(name, size, 8) : 0};
    return lexbor->names[name_slot(lexbor, key)].extent;
}

/* --- Writing --- */

/* Writes a name; false, and nothing is written, where markup cannot spell it. */
static bool write_name(const Lexbor *lexbor, Markup *out, const uint8_t *name, size_t size)
{
    uint8_t *to = room_for(out, size);
    bool is_odd = !size;
    for (size_t nth = 0; to && nth < size; nth++) {
        is_odd |= lexbor->cannot_be_spelled[name[nth]];
        to[nth] = name[nth];
    }
    if (to && !is_odd)
        out->size += size;
    return !is_odd;
}

static void write_element_name(const Lexbor *lexbor, Markup *out, const uint8_t *name, size_t size)
{
    static const char STAND_IN[] = "span";
    if (!write_name(lexbor, out, name, size))
        write_bytes(out, STAND_IN, sizeof STAND_IN - 1);
}

static void write_attributes(const Lexbor *lexbor, Markup *out, Opaque *element)
{
    const Functions *call = &lexbor->lexbor;
    for (Opaque *each = call->first_attribute(element); each; each = call->next_attribute(each)) {
        size_t name_size = 0, value_size = 0, begin = out->size;
        const uint8_t *name = call->attribute_name(each, &name_size);
        write_bytes(out, " ", 1);
        if (!name || !write_name(lexbor, out, name, name_size)) {
            out->size = begin;
            continue;
        }
        const uint8_t *value = call->attribute_value(each, &value_size);
        write_bytes(out, "=\"", 2);
        if (value)
            write_escaped(out, value, value_size, true);
        write_bytes(out, "\"", 1);
    }
}

static void write_end_tag(const Lexbor *lexbor, Markup *out, Opaque *element)
{
    size_t size = 0;
    const uint8_t *name = lexbor->lexbor.name(element, &size);
    write_bytes(out, "</", 2);
    write_element_name(lexbor, out, name, name ? size : 0);
    write_bytes(out, ">", 1);
}

/* Writes a text or a start tag; true if the content and the end tag of an element follow. */
static bool begin_node(const Lexbor *lexbor, Markup *out, Opaque *node)
{
    const Functions *call = &lexbor->lexbor;
    unsigned type = call->type(node);
    size_t size = 0;
    if (type == TEXT_NODE) {
        const uint8_t *text = call->text(node, &size);
        if (text)
            write_escaped(out, text, size, false);
    }
    if (type != ELEMENT_NODE)
        return false;
    const uint8_t *name = call->name(node, &size);
    Extent extent = extent_of(lexbor, name, name ? size : 0);
    if (extent == NOTHING)
        return false;
    write_bytes(out, "<", 1);
    write_element_name(lexbor, out, name, name ? size : 0);
    write_attributes(lexbor, out, node);
    write_bytes(out, ">", 1);
    return extent == WHOLE;
}

/* Stops soon behind the largest markup that there may be, and where elements are too deep. */
static Result write_tree(const Lexbor *lexbor, Markup *out, Opaque *root, size_t largest)
{
    const Functions *call = &lexbor->lexbor;
    size_t depth = 0;
    for (Opaque *node = root; !out->is_out_of_memory;) {
        if (out->size > largest)
            return LARGE_MARKUP;
        if (begin_node(lexbor, out, node)) {
            Opaque *child = call->first_child(node);
            if (child) {
                if (++depth > lexbor->max_depth)
                    return DEEP;
                node = child;
                continue;
            }
            write_end_tag(lexbor, out, node);
        }
        Opaque *following = NULL;
        while (node != root && !(following = call->next(node))) {
            node = call->parent(node);
            depth--;
            write_end_tag(lexbor, out, node);
        }
        if (node == root)
            return out->size > largest ? LARGE_MARKUP : WRITTEN;
        node = following;
    }
    return MEMORY;
}

/* --- Functions for Python --- */

PyObject *lexbor(PyObject *module, PyObject *arguments)
{
    (void)module;
    const uint8_t *functions, *never_read, *without_end, *not_in_names;
    Py_ssize_t functions_size, never_size, without_size, not_in_size;
    Py_ssize_t max_depth, max_attributes;
    unsigned options;
    if (!PyArg_ParseTuple(arguments, "y#Iy#y#y#nn:lexbor", &functions, &functions_size, &options, &never_read,
                          &never_size, &without_end, &without_size, &not_in_names, &not_in_size, &max_depth,
                          &max_attributes))
        return NULL;
    if (max_depth < 0 || max_attributes < 0 || functions_size != sizeof(Functions) || never_size % NAME_BYTES || without_size % NAME_BYTES
        || never_size + without_size > MAX_NAMES * NAME_BYTES)
        return refuse("lexbor: sizes do not agree");
    for (size_t nth = 0; nth < sizeof(Functions); nth += sizeof(void *))
        if (!eight_from(functions, sizeof(Functions), nth))
            return refuse("lexbor: a function is missing");
    Lexbor *made = calloc(1, sizeof *made);
    if (!made)
        return PyErr_NoMemory();
    memcpy(&made->lexbor, functions, sizeof made->lexbor); /* addresses, one behind the other */
    /* Whoever calls lexbor elsewhere gets Python's memory, as selectolax has it. */
    if (made->lexbor.take_memory_by(allotted_malloc, allotted_realloc, allotted_calloc, allotted_free)) {
        free(made);
        return refuse("lexbor: it takes no functions for its memory");
    }
    made->options = options;
    made->max_depth = (size_t)max_depth;
    made->max_attributes = (size_t)max_attributes;
    for (Py_ssize_t nth = 0; nth < not_in_size; nth++)
        made->cannot_be_spelled[not_in_names[nth]] = true;
    for (Py_ssize_t at = 0; at < never_size + without_size; at += NAME_BYTES) {
        uint64_t key[2];
        memcpy(key, at < never_size ? never_read + at : without_end + at - never_size, NAME_BYTES);
        size_t slot = name_slot(made, key);
        if (made->names[slot].key[0])
            continue; /* what is never read needs no other rule */
        memcpy(made->names[slot].key, key, NAME_BYTES);
        made->names[slot].extent = at < never_size ? NOTHING : START_TAG;
    }
    return keep_tables(made, LEXBOR);
}

/* Whether `STEP` bytes are. */
static bool is_ascii(const uint8_t *octets)
{
    uint64_t any = 0;
    for (size_t at = 0; at < STEP; at += 8)
        any |= eight_from(octets, STEP, at);
    return !(any & EIGHT(0x80));
}

/* Whether a source is UTF-8: nothing cut off, longer than needed, a surrogate or above U+10FFFF. */
static bool is_utf8(const uint8_t *octets, size_t size)
{
    for (size_t at = 0; at < size;) {
        if (octets[at] < 0x80) {
            for (at++; size - at >= STEP && is_ascii(octets + at); at += STEP)
                ;
            continue;
        }
        uint8_t lead = octets[at];
        uint8_t lowest = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
        uint8_t highest = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
        size_t length = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
        if (lead < 0xc2 || lead > 0xf4 || size - at < length || octets[at + 1] < lowest || octets[at + 1] > highest)
            return false;
        for (size_t nth = 2; nth < length; nth++)
            if (octets[at + nth] >> 6 != 2)
                return false;
        at += length;
    }
    return true;
}

static size_t count_attributes(const Functions *call, Opaque *element)
{
    size_t count = 0;
    for (Opaque *each = call->first_attribute(element); each; each = call->next_attribute(each))
        count++;
    return count;
}

/* The last element in an element, unless much else follows it. */
static Opaque *last_element(const Functions *call, Opaque *element)
{
    Opaque *node = call->last_child(element);
    for (int passed = 0; node && call->type(node) != ELEMENT_NODE; node = call->previous(node))
        if (++passed > STEP)
            return NULL;
    return node;
}

/* What is wrong with a tree that is being made, or `WRITTEN`: the open elements, which each tag may have
   to pass, are the last of their parents but for some; `html` and `body` get the attributes of all tags
   of their names, and each is compared with all that they have. */
static Result check_tree(const Lexbor *lexbor, Opaque *document)
{
    const Functions *call = &lexbor->lexbor;
    size_t depth = 0;
    Opaque *node = call->root(document);
    if (node && call->type(node) != ELEMENT_NODE)
        return WRITTEN; /* there are only comments yet */
    for (; node; node = last_element(call, node)) {
        if (depth++ > lexbor->max_depth)
            return DEEP;
        if (depth <= 2 && count_attributes(call, node) > lexbor->max_attributes)
            return CROWDED;
    }
    return WRITTEN;
}

/* `WRITTEN` if the tree is there. */
static Result parse(const Lexbor *lexbor, Opaque *document, const uint8_t *source, size_t size, double deadline)
{
    const Functions *call = &lexbor->lexbor;
    Result result = call->parse_begin(document) ? REFUSED : WRITTEN;
    for (size_t at = 0; result == WRITTEN && at < size; at += CHUNK) {
        if (call->parse_chunk(document, source + at, size - at < CHUNK ? size - at : CHUNK))
            return REFUSED;
        result = now() > deadline ? LATE : check_tree(lexbor, document);
    }
    return result == WRITTEN && call->parse_end(document) ? REFUSED : result;
}

static Result write_page(const Lexbor *lexbor, const uint8_t *source, size_t size, size_t largest, double deadline,
                         Markup *out)
{
    const Functions *call = &lexbor->lexbor;
    Opaque *document = call->create(), *root;
    if (!document)
        return MEMORY;
    call->set_options(document, lexbor->options);
    Result result = parse(lexbor, document, source, size, deadline);
    if (result == WRITTEN && !(root = call->root(document)))
        result = ROOTLESS;
    /* Mostly less than the source, and seldom more. */
    if (result == WRITTEN)
        result = room_for(out, size + STEP) ? write_tree(lexbor, out, root, largest) : MEMORY;
    call->destroy(document);
    return result;
}

/* `write_page` with a limit on lexbor's memory and time. */
static Result write_allotted(const Lexbor *lexbor, const uint8_t *source, size_t size, size_t largest,
                             Allotment *allotment, Markup *out)
{
    switch (setjmp(allotment->refused)) {
    case 0:
        return write_page(lexbor, source, size, largest, allotment->deadline, out);
    case SPENT:
        return LARGE_TREE;
    case OVERDUE:
        return LATE;
    default:
        return MEMORY;
    }
}

PyObject *lexbor_markup(PyObject *module, PyObject *arguments)
{
    (void)module;
    PyObject *capsule, *source, *markup = NULL;
    char *data;
    Py_ssize_t size, most_memory, largest;
    double seconds;
    if (!PyArg_ParseTuple(arguments, "OSnnd:lexbor_markup", &capsule, &source, &largest, &most_memory, &seconds)
        || PyBytes_AsStringAndSize(source, &data, &size) < 0)
        return NULL;
    const Lexbor *lexbor = PyCapsule_GetPointer(capsule, LEXBOR);
    if (!lexbor)
        return NULL;
    if (most_memory < 0 || largest < 0)
        return refuse("lexbor_markup: a limit below 0");
    Markup out = {0};
    Allotment allotment; /* not where `setjmp` is called: it changes until that answers again */
    Result result = NOT_UTF8;
    Py_BEGIN_ALLOW_THREADS
    if (is_utf8((const uint8_t *)data, (size_t)size)) {
        begin_allotment(&allotment, (size_t)most_memory, now() + seconds);
        result = write_allotted(lexbor, (const uint8_t *)data, (size_t)size, (size_t)largest, &allotment, &out);
        end_allotment(&allotment);
    }
    Py_END_ALLOW_THREADS
    switch (result) {
    case WRITTEN:
        markup = PyBytes_FromStringAndSize((const char *)out.at, (Py_ssize_t)out.size);
        break;
    case MEMORY:
        PyErr_NoMemory();
        break;
    case NOT_UTF8:
        PyErr_SetString(PyExc_ValueError, "the source is not UTF-8");
        break;
    case LARGE_MARKUP:
        PyErr_Format(PyExc_OverflowError, "more than %zd bytes of markup", largest);
        break;
    case LARGE_TREE:
        PyErr_Format(PyExc_OverflowError, "more than %zd bytes of memory for the tree", most_memory);
        break;
    case DEEP:
        PyErr_Format(PyExc_OverflowError, "elements nested more than %zu deep", lexbor->max_depth);
        break;
    case CROWDED:
        PyErr_Format(PyExc_OverflowError, "more than %zu attributes of one element", lexbor->max_attributes);
        break;
    case LATE:
        PyErr_SetString(PyExc_TimeoutError, "parsing took too long");
        break;
    default:
        PyErr_SetString(PyExc_RuntimeError,
                        result == REFUSED ? "it cannot parse the page" : "the page has no root element");
    }
    free(out.at);
    return markup;
}
