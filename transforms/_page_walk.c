/* Content of a page as steps: what page_walk.py makes of it, the same steps. */

#include "_page_walk.h"

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

/* The flags of steps that hang on others. */
static void flag_steps(Walk *walk)
{
    size_t open_until = 0; /* where the elements close that are steps */
    for (size_t nth = 0; nth < walk->step_count; nth++) {
        Step *step = &walk->steps[nth];
        bool is_last = nth + 1 == walk->step_count;
        size_t size = step->text_stop - step->text, close = (size_t)walk->page->closes[step->tag];
        if (size && (is_last || step[1].flags & ENDS_LINE) && !memchr(walk->text + step->text, 0, size))
            step->flags |= WHOLE;
        if (step->code && (is_last || step[1].tag >= close))
            step->flags |= ALONE;
        bool is_line = step->flags & WHOLE && (nth == 0 || step->flags & ENDS_LINE);
        if (is_line && !step->code && step->tag >= open_until)
            step->flags |= PARAGRAPH;
        if (step->code && close > open_until)
            open_until = close;
    }
}

bool is_walkable(const WalkPage *page)
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

Outcome walk_page(const WalkPage *page, Walk *walk)
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

void free_walk(Walk *walk)
{
    free(walk->steps);
    free(walk->text);
    free(walk->marks);
    free(walk->content);
    free(walk->images);
}
