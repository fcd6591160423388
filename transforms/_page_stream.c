/* A page read into canonical markup, token by token; _page_stream.h says of which pages. */

#include "_page_stream.h"

enum { STEP = 64 };

static const char STREAM_TABLES[] = "transforms._page_kernel.stream_tables";

/* --- Tokens --- */

/* Reads a doctype, whose `>` stands at `end`. */
static void read_doctype(Stream *stream, size_t at, size_t end)
{
    static const char DOCTYPE[] = "<!doctype";
    const Source *source = &stream->source;
    bool is_doctype = end - at >= sizeof DOCTYPE - 1;
    for (size_t nth = 0; is_doctype && nth < sizeof DOCTYPE - 1; nth++)
        is_doctype = (source->at[at + nth] | (is_letter(source->at[at + nth]) ? 0x20 : 0)) == DOCTYPE[nth];
    if (is_doctype && stream->mode == IN_COLUMN_GROUP)
        STAND_ASIDE(stream); /* lexbor ends the group */
    if (!is_doctype || stream->mode != INITIAL)
        return;
    at = pass(source, at + sizeof DOCTYPE - 1, SPACE, true);
    bool is_html = end - at >= 4 && is_name(source, at, "html", 4);
    stream->quirks = is_html && pass(source, at + 4, SPACE, true) == end ? NO_QUIRKS : UNKNOWN;
    stream->mode = BEFORE_HTML;
}

/* Whether a tag or a comment begins at a `<`; there are zeros behind the source. */
static bool is_markup(const Source *source, size_t at)
{
    uint8_t next = source->at[at + 1];
    return is_letter(next) || next == '!' || next == '?' || (next == '/' && source->at[at + 2]);
}

/* Reads the tag or comment at a `<`; gives the offset behind it. */
static size_t read_markup(Stream *stream, size_t at)
{
    const Source *source = &stream->source;
    uint8_t first = source->at[at + 1], second = source->at[at + 2];
    bool closes_itself;
    if (is_letter(first)) {
        bool is_whole = read_attributes(stream, read_tag_name(stream, at + 1));
        check_crowd(stream, at, is_whole ? stream->tag.end : source->size);
        return is_whole && !stream->aside ? on_start_tag(stream) : source->size;
    }
    if (first == '/' && is_letter(second)) {
        size_t end = tag_end(source, read_tag_name(stream, at + 2), &closes_itself);
        check_crowd(stream, at, end);
        /* Where the source ends in the tag there is none. */
        if (!stream->aside && (end < source->size || read_attributes(stream, at + 2 + stream->tag.name_size)))
            on_end_tag(stream);
        return end;
    }
    if (first == '/' && second == '>')
        return at + 3;
    size_t end = pass_declaration(stream, at);
    check_crowd(stream, at, end);
    read_doctype(stream, at, end - 1);
    return end;
}

static size_t count_bits(uint64_t bits)
{
    bits -= bits >> 1 & EIGHT(0x55);
    bits = (bits & EIGHT(0x33)) + (bits >> 2 & EIGHT(0x33));
    return (size_t)(((bits + (bits >> 4)) & EIGHT(0x0f)) * EIGHT(1) >> 56);
}

/* Whether a source has no NUL, and nothing in it for prepare_source in source_limits.py to take out. */
static bool is_modest(const StreamTables *tables, const uint8_t *source, size_t size)
{
    size_t tags = 0;
    uint64_t zeros = 0;
    for (size_t at = 0; at < size; at += STEP) {
        uint64_t inside = low_bits(size - at); /* there are zeros behind the source */
        tags += count_bits(equal_bytes(source + at, '<', 0));
        zeros |= equal_bytes(source + at, 0, 0) & inside;
    }
    if (zeros || tags > tables->many_tags)
        return false;
    if (tags <= tables->few_tags)
        return true;
    TagCounts counts;
    count_tags(tables->formatting, tables->formatting_size, tables->long_tag, source, size, &counts);
    return counts.left_open <= (Py_ssize_t)tables->max_left_open;
}

typedef enum { WRITTEN, LEFT, GROWN, MEMORY } Result;

/* Reads the source; `LEFT` where it is left to lexbor, `GROWN` where there would be more markup than it may be. */
static Result read_source(Stream *stream, size_t largest)
{
    const Source *source = &stream->source;
    size_t at = 0, text = 0;
    if (!is_modest(stream->tables, source->at, source->size))
        return LEFT;
    while (at < source->size && !stream->aside && stream->out.size <= largest) {
        at = find(source, at, '<');
        if (at < source->size && !is_markup(source, at)) {
            at++; /* a character like another */
            continue;
        }
        on_text(stream, text, at);
        text = at;
        if (at < source->size && !stream->aside)
            text = at = read_markup(stream, at);
    }
    if (text < source->size && !stream->aside)
        on_text(stream, text, source->size);
    finish(stream);
    return stream->out.is_out_of_memory    ? MEMORY
           : stream->aside                 ? LEFT
           : stream->out.size > largest    ? GROWN
                                           : WRITTEN;
}

/* --- Functions for Python --- */

PyObject *stream_tables(PyObject *module, PyObject *arguments)
{
    (void)module;
    const uint8_t *never_read, *without_end, *formatting, *not_in_names, *references;
    Py_ssize_t never_size, without_size, formatting_size, not_in_size, references_size, long_tag, max_crowd, few_tags,
        many_tags, max_left_open;
    if (!PyArg_ParseTuple(arguments, "y#y#y#y#y#nnnnn:stream_tables", &never_read, &never_size, &without_end,
                          &without_size, &formatting, &formatting_size, &not_in_names, &not_in_size, &references,
                          &references_size, &long_tag, &max_crowd, &few_tags, &many_tags, &max_left_open))
        return NULL;
    StreamTables *tables = calloc(1, sizeof *tables);
    if (!tables)
        return PyErr_NoMemory();
    tables->long_tag = (size_t)long_tag;
    tables->max_crowd = (size_t)max_crowd;
    tables->few_tags = (size_t)few_tags;
    tables->many_tags = (size_t)many_tags;
    tables->max_left_open = (size_t)max_left_open;
    for (size_t byte = 0; byte < sizeof tables->in_names; byte++)
        tables->in_names[byte] = (uint8_t)(byte >= 'A' && byte <= 'Z' ? byte | 0x20 : byte);
    for (Py_ssize_t nth = 0; nth < not_in_size; nth++)
        tables->in_names[not_in_names[nth]] = 0;
    TagCounts counts;
    bool are_names = (size_t)formatting_size <= sizeof tables->formatting && long_tag > 0
                     && count_tags(formatting, (size_t)formatting_size, (size_t)long_tag, formatting, 0, &counts);
    if (are_names) {
        memcpy(tables->formatting, formatting, (size_t)formatting_size);
        tables->formatting_size = (size_t)formatting_size;
    }
    if (!are_names || !fill_elements(tables, never_read, (size_t)never_size, without_end, (size_t)without_size)
        || !fill_references(tables, references, (size_t)references_size)) {
        free(tables);
        return refuse("stream_tables: an element without a rule, or more than there is room for");
    }
    return keep_tables(tables, STREAM_TABLES);
}

PyObject *stream_markup(PyObject *module, PyObject *arguments)
{
    (void)module;
    PyObject *capsule, *html, *markup = NULL;
    Py_ssize_t largest;
    if (!PyArg_ParseTuple(arguments, "OUn:stream_markup", &capsule, &html, &largest))
        return NULL;
    const StreamTables *tables = PyCapsule_GetPointer(capsule, STREAM_TABLES);
    if (!tables)
        return NULL;
    size_t room = utf8_room(html);
    uint8_t *octets = room ? malloc(room + PADDING) : NULL;
    Stream *stream = malloc(sizeof *stream);
    Result result = MEMORY;
    if (octets && stream) {
        Py_BEGIN_ALLOW_THREADS
        size_t size = write_utf8(html, octets);
        memset(octets + size, 0, PADDING);
        *stream = (Stream){.tables = tables, .source = {octets, size}, .octets = octets, .muted = -1, .form = -1};
        if (room_for(&stream->out, size + PADDING))
            result = read_source(stream, largest > 0 ? (size_t)largest : 0);
        Py_END_ALLOW_THREADS
        if (result == WRITTEN)
            markup = PyBytes_FromStringAndSize((const char *)stream->out.at, (Py_ssize_t)stream->out.size);
        free(stream->out.at);
    }
    free(stream);
    free(octets);
    if (result == LEFT)
        markup = Py_NewRef(Py_None);
    else if (result == MEMORY)
        PyErr_NoMemory();
    else if (result == GROWN)
        PyErr_Format(PyExc_OverflowError, "more than %zd bytes of markup", largest);
    return markup;
}
