/* The steps of a page for Python: paragraphs as nodes, all others as tuples. */

#include "_page_walk.h"

static const char WALK_TABLES[] = "transforms._page_kernel.walk_tables";

/* Whether a text is made of printable characters, as `str.isprintable` has it. */
static bool is_printable(PyObject *text)
{
    int kind = PyUnicode_KIND(text);
    const void *characters = PyUnicode_DATA(text);
    Py_ssize_t count = PyUnicode_IS_ASCII(text) ? 0 : PyUnicode_GET_LENGTH(text); /* controls are gone */
    for (Py_ssize_t at = 0; at < count; at++)
        if (!Py_UNICODE_ISPRINTABLE(PyUnicode_READ(kind, characters, at)))
            return false;
    return true;
}

/* The paragraph that a line is, without blanks around it; `None` if that takes more. */
static PyObject *new_paragraph(const char *text, size_t size, PyObject *node_type)
{
    size_t begin = size && text[0] == ' ', end = size;
    end -= end > begin && text[end - 1] == ' ';
    if (begin == end)
        return Py_NewRef(Py_None);
    PyObject *line = PyUnicode_DecodeUTF8(text + begin, (Py_ssize_t)(end - begin), "replace"), *node = NULL;
    if (line && is_printable(line))
        node = PyObject_CallFunction(node_type, "ssO", "text", "paragraph", line);
    else if (line)
        node = Py_NewRef(Py_None);
    Py_XDECREF(line);
    return node;
}

static PyObject *new_step(const Walk *walk, const Step *step, PyObject *node_type)
{
    const char *text = (const char *)walk->text + step->text;
    size_t size = step->text_stop - step->text;
    PyObject *node = step->flags & PARAGRAPH ? new_paragraph(text, size, node_type) : Py_NewRef(Py_None);
    if (node != Py_None)
        return node;
    Py_DECREF(node);
    PyObject *items[] = {
        PyLong_FromSize_t(step->tag),
        PyLong_FromLong(step->flags & ~PARAGRAPH),
        PyLong_FromLong(step->code),
        PyUnicode_DecodeUTF8(text, (Py_ssize_t)size, "replace"),
    };
    return new_tuple(items, sizeof items / sizeof *items);
}

static PyObject *steps_of(const WalkPage *page, PyObject *node_type)
{
    Walk walk;
    Outcome outcome;
    Py_BEGIN_ALLOW_THREADS
    outcome = walk_page(page, &walk);
    Py_END_ALLOW_THREADS
    PyObject *found = outcome == READ ? PyList_New((Py_ssize_t)walk.step_count) : PyErr_NoMemory();
    for (size_t nth = 0; found && nth < walk.step_count; nth++) {
        PyObject *step = new_step(&walk, &walk.steps[nth], node_type);
        if (!step || PyList_SetItem(found, (Py_ssize_t)nth, step) < 0)
            Py_CLEAR(found);
    }
    free_walk(&walk);
    return found;
}

PyObject *read_steps(PyObject *module, PyObject *arguments)
{
    (void)module;
    enum { NUMBERS = 5, FLAGS = 3, ARRAYS = NUMBERS + FLAGS };
    PyObject *capsule, *node_type, *found = NULL;
    Py_buffer source, arrays[ARRAYS];
    if (!PyArg_ParseTuple(arguments, "OOy*y*y*y*y*y*y*y*y*:read_steps", &capsule, &node_type, &source, &arrays[0],
                          &arrays[1], &arrays[2], &arrays[3], &arrays[4], &arrays[5], &arrays[6], &arrays[7]))
        return NULL;
    const WalkTables *tables = PyCapsule_GetPointer(capsule, WALK_TABLES);
    Py_ssize_t count = arrays[NUMBERS].len;
    bool alike = true;
    for (int nth = 0; nth < ARRAYS; nth++) {
        Py_ssize_t width = nth < NUMBERS ? EIGHT_BYTES : 1;
        alike &= arrays[nth].len == count * width && (uintptr_t)arrays[nth].buf % (size_t)width == 0;
    }
    if (tables && alike) {
        WalkPage page = {
            .tables = tables,
            .source = source.buf,
            .size = (size_t)source.len,
            .count = (size_t)count,
            .tags = arrays[0].buf,
            .starts = arrays[1].buf,
            .stops = arrays[2].buf,
            .text_stops = arrays[3].buf,
            .closes = arrays[4].buf,
            .kept = arrays[5].buf,
            .opens_line = arrays[6].buf,
            .images = arrays[7].buf,
        };
        found = is_walkable(&page) ? steps_of(&page, node_type) : refuse("read_steps: not the arrays of a page");
    } else if (tables)
        refuse("read_steps: arrays of different sizes");
    PyBuffer_Release(&source);
    for (int nth = 0; nth < ARRAYS; nth++)
        PyBuffer_Release(&arrays[nth]);
    return found;
}

/* Hints come as eight bytes and which of their bits count. */
static void fill_hints(WalkTables *tables, const uint8_t *hints, size_t size)
{
    for (size_t at = 0; at < size; at += 2 * EIGHT_BYTES) {
        Pattern hint = {eight_from(hints, size, at), eight_from(hints, size, at + EIGHT_BYTES)};
        for (size_t octet = 0; octet < OCTETS; octet++)
            tables->starts_hint[octet] |= ((octet ^ hint.key) & hint.mask & 0xff) == 0;
        tables->hints[tables->hint_count++] = hint;
    }
}

/* References come as eight bytes and which of them count, and the UTF-8 of a character; zeros behind. False
   where one is shorter than its character, so that the text could outgrow the source. */
static bool fill_entities(WalkTables *tables, const uint8_t *entities, size_t size)
{
    for (size_t at = 0; at < size; at += 3 * EIGHT_BYTES) {
        Entity *entity = &tables->entities[tables->entity_count++];
        entity->name = (Pattern){eight_from(entities, size, at), eight_from(entities, size, at + EIGHT_BYTES)};
        while (entity->name_size < EIGHT_BYTES && entity->name.mask >> 8 * entity->name_size & 0xff)
            entity->name_size++;
        memcpy(entity->spelling, entities + at + 2 * EIGHT_BYTES, EIGHT_BYTES);
        while (entity->size < EIGHT_BYTES && entity->spelling[entity->size])
            entity->size++;
        if (!entity->name_size || entity->size > entity->name_size)
            return false;
    }
    return true;
}

PyObject *walk_tables(PyObject *module, PyObject *arguments)
{
    (void)module;
    enum { HINT = 2 * EIGHT_BYTES, ENTITY = 3 * EIGHT_BYTES };
    const uint8_t *actions, *octets, *hints, *entities;
    Py_ssize_t actions_size, octets_size, hints_size, entities_size;
    unsigned long long class;
    if (!PyArg_ParseTuple(arguments, "y#y#Ky#y#:walk_tables", &actions, &actions_size, &octets, &octets_size,
                          &class, &hints, &hints_size, &entities, &entities_size))
        return NULL;
    if (!actions_size || actions_size > CODES || octets_size != OCTETS || hints_size % HINT
        || hints_size > MAX_HINTS * HINT || entities_size % ENTITY || entities_size > MAX_ENTITIES * ENTITY)
        return refuse("walk_tables: sizes do not agree");
    WalkTables *tables = calloc(1, sizeof *tables);
    if (!tables)
        return PyErr_NoMemory();
    memcpy(tables->actions, actions, (size_t)actions_size);
    memcpy(tables->octets, octets, OCTETS);
    tables->codes_count = (size_t)actions_size;
    tables->class = class;
    fill_hints(tables, hints, (size_t)hints_size);
    if (fill_entities(tables, entities, (size_t)entities_size))
        return keep_tables(tables, WALK_TABLES);
    free(tables);
    return refuse("walk_tables: a reference that is shorter than its character");
}
