/* Canonical markup straight from lexbor's tree, in one walk.

   lexbor is the one that selectolax brings along. It is called through functions that parse_kernel.py
   found by name, and what they hand out is never looked into: no layout of its structures is known
   here. What is written is what `_write_lexbor` in html_parsers.py writes. */

#include "_page_markup.h"

/* A document, node, element or attribute of lexbor's. An element and a text are nodes too. */
typedef void Opaque;

/* In the order of `parse_kernel._LEXBOR`. A function without a value for an answer gives NULL. */
typedef struct {
    Opaque *(*create)(void);
    void (*set_options)(Opaque *document, unsigned options);
    unsigned (*parse)(Opaque *document, const uint8_t *source, size_t size); /* 0: it went well */
    Opaque *(*destroy)(Opaque *document);
    Opaque *(*root)(Opaque *document);
    unsigned (*type)(Opaque *node);
    Opaque *(*first_child)(Opaque *node);
    Opaque *(*next)(Opaque *node);
    Opaque *(*parent)(Opaque *node);
    const uint8_t *(*text)(Opaque *node, size_t *size); /* the document keeps it */
    const uint8_t *(*name)(Opaque *element, size_t *size);
    Opaque *(*first_attribute)(Opaque *element);
    Opaque *(*next_attribute)(Opaque *attribute);
    const uint8_t *(*attribute_name)(Opaque *attribute, size_t *size);
    const uint8_t *(*attribute_value)(Opaque *attribute, size_t *size);
} Functions;

/* Types of nodes, by dom.spec.whatwg.org, 4.4. */
enum { ELEMENT_NODE = 1, TEXT_NODE = 3 };

/* What is written of an element. */
typedef enum { WHOLE, START_TAG, NOTHING } Extent;

enum { NAME_SLOTS = 256, MAX_NAMES = NAME_SLOTS / 4, STEP = 64 };

typedef struct {
    Functions lexbor;
    unsigned options;
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

static void write_tree(const Lexbor *lexbor, Markup *out, Opaque *root)
{
    const Functions *call = &lexbor->lexbor;
    for (Opaque *node = root; !out->is_out_of_memory;) {
        if (begin_node(lexbor, out, node)) {
            Opaque *child = call->first_child(node);
            if (child) {
                node = child;
                continue;
            }
            write_end_tag(lexbor, out, node);
        }
        Opaque *following = NULL;
        while (node != root && !(following = call->next(node))) {
            node = call->parent(node);
            write_end_tag(lexbor, out, node);
        }
        if (node == root)
            return;
        node = following;
    }
}

/* --- Functions for Python --- */

PyObject *lexbor(PyObject *module, PyObject *arguments)
{
    (void)module;
    const uint8_t *functions, *never_read, *without_end, *not_in_names;
    Py_ssize_t functions_size, never_size, without_size, not_in_size;
    unsigned options;
    if (!PyArg_ParseTuple(arguments, "y#Iy#y#y#:lexbor", &functions, &functions_size, &options, &never_read,
                          &never_size, &without_end, &without_size, &not_in_names, &not_in_size))
        return NULL;
    if (functions_size != sizeof(Functions) || never_size % NAME_BYTES || without_size % NAME_BYTES
        || never_size + without_size > MAX_NAMES * NAME_BYTES)
        return refuse("lexbor: sizes do not agree");
    for (size_t nth = 0; nth < sizeof(Functions); nth += sizeof(void *))
        if (!eight_from(functions, sizeof(Functions), nth))
            return refuse("lexbor: a function is missing");
    Lexbor *made = calloc(1, sizeof *made);
    if (!made)
        return PyErr_NoMemory();
    memcpy(&made->lexbor, functions, sizeof made->lexbor); /* addresses, one behind the other */
    made->options = options;
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

typedef enum { WRITTEN, REFUSED, ROOTLESS, MEMORY, NOT_UTF8 } Result;

static Result write_page(const Lexbor *lexbor, const uint8_t *source, size_t size, Markup *out)
{
    const Functions *call = &lexbor->lexbor;
    Result result = ROOTLESS;
    if (!is_utf8(source, size))
        return NOT_UTF8;
    Opaque *document = call->create(), *root;
    if (!document)
        return MEMORY;
    call->set_options(document, lexbor->options);
    if (call->parse(document, source, size))
        result = REFUSED;
    else if ((root = call->root(document))) {
        /* Mostly less than the source, and seldom more. */
        result = room_for(out, size + STEP) ? WRITTEN : MEMORY;
        if (result == WRITTEN)
            write_tree(lexbor, out, root);
        if (out->is_out_of_memory)
            result = MEMORY;
    }
    call->destroy(document);
    return result;
}

PyObject *lexbor_markup(PyObject *module, PyObject *arguments)
{
    (void)module;
    PyObject *capsule, *source, *markup = NULL;
    char *data;
    Py_ssize_t size;
    if (!PyArg_ParseTuple(arguments, "OS:lexbor_markup", &capsule, &source)
        || PyBytes_AsStringAndSize(source, &data, &size) < 0)
        return NULL;
    const Lexbor *lexbor = PyCapsule_GetPointer(capsule, LEXBOR);
    if (!lexbor)
        return NULL;
    Markup out = {0};
    Result result;
    Py_BEGIN_ALLOW_THREADS
    result = write_page(lexbor, (const uint8_t *)data, (size_t)size, &out);
    Py_END_ALLOW_THREADS
    if (result == WRITTEN)
        markup = PyBytes_FromStringAndSize((const char *)out.at, (Py_ssize_t)out.size);
    else if (result == MEMORY)
        PyErr_NoMemory();
    else if (result == NOT_UTF8)
        PyErr_SetString(PyExc_ValueError, "the source is not UTF-8");
    else
        PyErr_SetString(PyExc_RuntimeError,
                        result == REFUSED ? "it cannot parse the page" : "the page has no root element");
    free(out.at);
    return markup;
}
