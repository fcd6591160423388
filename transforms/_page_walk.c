/* Content of a page as steps: what page_walk.py makes of it, the same steps. */

#include "_page_kernel.h"

enum { CODES = 256, OCTETS = 256, MAX_HINTS = 16, MAX_ENTITIES = 8, EIGHT_BYTES = 8 };

static const char WALK_TABLES[] = "transforms._page_kernel.walk_tables";

/* What an element does, as page_walk.py says it. */
enum { OPEN = 1, LINE = 2, SKIP = 4, BREAK = 8, PICTURED = 16, NAMED = 32 };

/* What happens at a tag because of an element that closes there. */
enum { ENDS_RUN = 2 };

/* Flags of steps; `ENDS_LINE` also stands among what happens at a tag. */
enum { ENDS_LINE = 1, WHOLE = 2, ALONE = 4 };

/* What a byte of text is, as page_walk.py says it; any other is copied as it is. */
enum { BLANK = 1, DROPPED = 2, REFERENCE = 3 };

/* Bytes that are looked for: equal to `key` where `mask` has bits. */
typedef struct {
    uint64_t key, mask;
} Pattern;

/* A reference to a character. */
typedef struct {
    Pattern name;
    size_t name_size, size;
    uint8_t spelling[EIGHT_BYTES];
} Entity;

typedef struct {
    uint8_t actions[CODES];
    uint8_t octets[OCTETS];
    size_t codes_count;
    uint64_t class; /* how the attribute begins, from the space before it */
    Pattern hints[MAX_HINTS];
    size_t hint_count;
    bool starts_hint[OCTETS];
    Entity entities[MAX_ENTITIES];
    size_t entity_count;
} WalkTables;

typedef struct {
    const WalkTables *tables;
    const uint8_t *source;
    size_t size, count;
    const int64_t *tags, *starts, *stops, *text_stops, *closes;
    const uint8_t *kept, *opens_line, *images;
} WalkPage;

typedef struct {
    size_t tag, text, text_stop; /* the text is a range of that of all steps */
    uint8_t code;                /* of the element that opens, or 0 */
    uint8_t flags;
} Step;

/* A page while its steps are written. */
typedef struct {
    const WalkPage *page;
    Step *steps; /* one a tag, at most */
    size_t step_count;
    uint8_t *text; /* no longer than the source: a character is no longer than its spelling */
    size_t text_size;
    uint8_t *marks;              /* by tag, what ends there */
    uint32_t *content, *images; /* tags of content, and pictures, before each tag */
    bool in_run;                 /* whether text goes to the last step */
    bool is_open;                /* whether the line may hold something */
    bool is_blank;               /* whether another blank would say nothing */
} Walk;

static bool matches(const Pattern *pattern, uint64_t eight)
{
    return ((eight ^ pattern->key) & pattern->mask) == 0;
}

/* Whether the class of a tag holds a hint, or a letter that no hint is compared with. */
static bool is_named(const WalkPage *page, size_t tag)
{
    const WalkTables *tables = page->tables;
    size_t place = (size_t)page->starts[tag], stop = (size_t)page->stops[tag];
    /* A value may end as an attribute begins: whatever may be the class is looked at. */
    while ((place = find_byte(page->source, stop, place + 1, ' ')) < stop) {
        if (eight_from(page->source, stop, place) != tables->class)
            continue;
        for (size_t at = place + EIGHT_BYTES; at < stop && page->source[at] != '"'; at++) {
            uint8_t octet = page->source[at];
            if (octet & 0x80)
                return true;
            if (!tables->starts_hint[octet])
                continue;
            uint64_t eight = eight_from(page->source, stop, at);
            for (size_t nth = 0; nth < tables->hint_count; nth++)
                if (matches(&tables->hints[nth], eight))
                    return true;
        }
    }
    return false;
}

static Step *add_step(Walk *walk, size_t tag)
{
    Step *step = &walk->steps[walk->step_count++];
    *step = (Step){.tag = tag, .text = walk->text_size, .text_stop = walk->text_size};
    walk->in_run = true;
    walk->is_blank = false;
    return step;
}

/* The reference that eight bytes begin with; NULL where their `&` is only itself. */
static const Entity *reference(const WalkTables *tables, uint64_t eight)
{
    for (size_t nth = 0; nth < tables->entity_count; nth++)
        if (matches(&tables->entities[nth].name, eight))
            return &tables->entities[nth];
    return NULL;
}

/* Copies text, its references read, each run of white space one blank; where the copy ends. `blank` is whether
   one stands before it. A function of its own, which needs all registers. */
__attribute__((noinline)) static uint8_t *copy_text(const WalkTables *tables, const uint8_t *from,
                                                    const uint8_t *stop, uint8_t *out, bool *blank)
{
    bool after_blank = *blank;
    while (from < stop) {
        uint8_t octet = *from, what = tables->octets[octet];
        if (what <= BLANK) {
            /* Without branches: every word would mislead them. */
            bool is_blank = what == BLANK;
            *out = is_blank ? ' ' : octet;
            out += !(is_blank & after_blank);
            after_blank = is_blank;
            from++;
        } else if (what == DROPPED)
            from++;
        else {
            const Entity *entity = reference(tables, eight_from(from, (size_t)(stop - from), 0));
            size_t size = entity ? entity->size : 1;
            memcpy(out, entity ? entity->spelling : from, size);
            out += size;
            from += entity ? entity->name_size : 1;
            after_blank = false;
        }
    }
    *blank = after_blank;
    return out;
}

static void add_text(Walk *walk, size_t tag)
{
    const WalkTables *tables = walk->page->tables;
    const uint8_t *from = walk->page->source + walk->page->stops[tag];
    const uint8_t *stop = walk->page->source + walk->page->text_stops[tag];
    if (!walk->is_open) {
        const uint8_t *first = from;
        while (first < stop && tables->octets[*first] == BLANK)
            first++;
        if (first == stop)
            return;
    }
    if (!walk->in_run)
        add_step(walk, tag);
    uint8_t *end = copy_text(tables, from, stop, walk->text + walk->text_size, &walk->is_blank);
    walk->is_open = true;
    walk->text_size = (size_t)(end - walk->text);
    walk->steps[walk->step_count - 1].text_stop = walk->text_size;
}

static void add_break(Walk *walk, size_t tag)
{
    if (!walk->is_open)
        return;
    if (!walk->in_run)
        add_step(walk, tag);
    walk->text[walk->text_size++] = 0;
    walk->steps[walk->step_count - 1].text_stop = walk->text_size;
    walk->is_blank = false;
}

/* What the start of an element does, given what it holds. */
static uint8_t action_at(const Walk *walk, size_t tag)
{
    const WalkPage *page = walk->page;
    if (page->tags[tag] < 0)
        return 0;
    size_t close = (size_t)page->closes[tag], end = close > tag ? close : tag + 1;
    uint8_t action = page->tables->actions[page->tags[tag]];
    if (!action || walk->content[end] == walk->content[tag])
        return 0;
    if (action & PICTURED)
        return walk->images[end] > walk->images[tag] ? OPEN : 0;
    if (action & NAMED)
        return is_named(page, tag) ? OPEN : action & LINE;
    return action;
}

static void write_steps(Walk *walk)
{
    const WalkPage *page = walk->page;
    for (size_t tag = 0; tag < page->count; tag++) {
        uint8_t action = action_at(walk, tag), marks = walk->marks[tag];
        size_t close = (size_t)page->closes[tag];
        walk->marks[close] |= (uint8_t)((action & LINE ? ENDS_LINE : 0) | (action & OPEN ? ENDS_RUN : 0));
        if (marks & ENDS_RUN) {
            walk->in_run = false;
            walk->is_open = true; /* the element may have written into the line */
        }
        bool ends_line = walk->is_open && (page->opens_line[tag] || marks & ENDS_LINE || action & LINE);
        if (ends_line)
            walk->is_open = false;
        if (ends_line || action & OPEN) {
            Step *step = add_step(walk, tag);
            step->flags = ends_line ? ENDS_LINE : 0;
            if (action & OPEN) {
                step->code = (uint8_t)page->tags[tag];
                walk->is_open = true;
            }
        }
        if (action & SKIP && close > tag) {
            tag = close - 1;
            continue;
        }
        if (action & BREAK)
            add_break(walk, tag);
        if (page->kept[tag] && page->text_stops[tag] > page->stops[tag])
            add_text(walk, tag);
    }
}

/* The flags of steps that hang on the step behind. */
static void flag_steps(Walk *walk)
{
    for (size_t nth = 0; nth < walk->step_count; nth++) {
        Step *step = &walk->steps[nth];
        bool is_last = nth + 1 == walk->step_count;
        size_t size = step->text_stop - step->text;
        if (size && (is_last || step[1].flags & ENDS_LINE) && !memchr(walk->text + step->text, 0, size))
            step->flags |= WHOLE;
        if (step->code && (is_last || step[1].tag >= (size_t)walk->page->closes[step->tag]))
            step->flags |= ALONE;
    }
}

/* Whether the arrays may be followed without looking where they lead. */
static bool is_sound(const WalkPage *page)
{
    int64_t end = 0;
    uint64_t codes = page->tables->codes_count;
    bool sound = true;
    for (uint64_t tag = 0; tag < page->count; tag++) {
        uint64_t code = (uint64_t)page->tags[tag];
        sound &= (code + codes - 1 < 2 * codes - 1) & (code != 0);
        sound &= (uint64_t)page->closes[tag] - tag < page->count - tag;
        sound &= (page->starts[tag] >= end) & (page->stops[tag] > page->starts[tag]);
        sound &= page->text_stops[tag] >= page->stops[tag];
        end = page->text_stops[tag];
    }
    return sound && end <= (int64_t)page->size && page->count < UINT32_MAX;
}

static Outcome walk_page(const WalkPage *page, Walk *walk)
{
    size_t count = page->count;
    *walk = (Walk){
        .page = page,
        .steps = malloc((count + 1) * sizeof *walk->steps),
        .text = malloc(page->size + 1),
        .marks = calloc(count + 1, 1),
        .content = calloc(count + 1, sizeof *walk->content),
        .images = calloc(count + 1, sizeof *walk->images),
    };
    if (!walk->steps || !walk->text || !walk->marks || !walk->content || !walk->images)
        return NO_MEMORY;
    for (size_t tag = 0; tag < count; tag++) {
        walk->content[tag + 1] = walk->content[tag] + (page->kept[tag] || page->images[tag]);
        walk->images[tag + 1] = walk->images[tag] + (page->images[tag] != 0);
    }
    write_steps(walk);
    flag_steps(walk);
    return READ;
}

static void free_walk(Walk *walk)
{
    free(walk->steps);
    free(walk->text);
    free(walk->marks);
    free(walk->content);
    free(walk->images);
}

static PyObject *new_step(const Walk *walk, const Step *step)
{
    const char *text = (const char *)walk->text + step->text;
    PyObject *items[] = {
        PyLong_FromSize_t(step->tag),
        PyLong_FromLong(step->flags),
        PyLong_FromLong(step->code),
        PyUnicode_DecodeUTF8(text, (Py_ssize_t)(step->text_stop - step->text), "replace"),
    };
    return new_tuple(items, sizeof items / sizeof *items);
}

static PyObject *steps_of(const WalkPage *page)
{
    Walk walk;
    Outcome outcome;
    Py_BEGIN_ALLOW_THREADS
    outcome = walk_page(page, &walk);
    Py_END_ALLOW_THREADS
    PyObject *found = outcome == READ ? PyList_New((Py_ssize_t)walk.step_count) : PyErr_NoMemory();
    for (size_t nth = 0; found && nth < walk.step_count; nth++) {
        PyObject *step = new_step(&walk, &walk.steps[nth]);
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
    PyObject *capsule, *found = NULL;
    Py_buffer source, arrays[ARRAYS];
    if (!PyArg_ParseTuple(arguments, "Oy*y*y*y*y*y*y*y*y*:read_steps", &capsule, &source, &arrays[0], &arrays[1],
                          &arrays[2], &arrays[3], &arrays[4], &arrays[5], &arrays[6], &arrays[7]))
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
        found = is_sound(&page) ? steps_of(&page) : refuse("read_steps: not the arrays of a page");
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
