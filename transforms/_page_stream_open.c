/* Open elements: the stack of html.spec.whatwg.org, 13.2.4.2, and the active formatting elements,
   13.2.4.3. Markup is written where they open and close. */

#include "_page_stream.h"

/* --- Opening and closing --- */

static void open_named(Stream *stream, Element element, const uint8_t *name, size_t name_size)
{
    if (stream->depth == MAX_OPEN) {
        STAND_ASIDE(stream);
        stream->depth--;
    }
    if (stream->muted < 0 && is_a(stream, element, NEVER_READ))
        stream->muted = stream->depth;
    stream->paragraphs += element == E_P;
    stream->open[stream->depth++] = (Open){element, name, name_size, -1};
}

void push(Stream *stream, const Tag *tag)
{
    open_named(stream, tag->element, tag->name, tag->name_size);
    if (stream->muted < 0)
        write_start_tag(stream, tag);
}

void push_implied(Stream *stream, Element element, const char *name)
{
    const Tag tag = {.element = element, .name = (const uint8_t *)name, .name_size = strlen(name)};
    push(stream, &tag);
}

void pop(Stream *stream)
{
    const Open *top = &stream->open[--stream->depth];
    Markup *out = &stream->out;
    stream->paragraphs -= top->element == E_P;
    if (top->entry >= 0)
        stream->list[top->entry].open = -1;
    if (stream->form == stream->depth)
        stream->form = -2;
    if (stream->muted == stream->depth) {
        stream->muted = -1;
        return;
    }
    uint8_t *to = stream->muted < 0 ? room_for(out, top->name_size + 3) : NULL;
    if (!to)
        return;
    memcpy(to, "</", 2);
    memcpy(to + 2, top->name, top->name_size);
    to[2 + top->name_size] = '>';
    out->size += top->name_size + 3;
}

void pop_to(Stream *stream, int depth)
{
    while (stream->depth > depth)
        pop(stream);
}

/* Closes all up to and with the innermost element of a kind, which is not the root. */
void pop_until(Stream *stream, Element element)
{
    int nth = stream->depth - 1;
    while (nth > 0 && stream->open[nth].element != element)
        nth--;
    pop_to(stream, nth);
}

void put_void(Stream *stream, const Tag *tag)
{
    if (stream->muted >= 0 || is_a(stream, tag->element, NEVER_READ))
        return;
    write_start_tag(stream, tag);
    if (!is_a(stream, tag->element, NO_END)) {
        write_bytes(&stream->out, "</", 2);
        write_bytes(&stream->out, tag->name, tag->name_size);
        write_bytes(&stream->out, ">", 1);
    }
}

/* --- Scopes --- */

int find_in_scope(const Stream *stream, Element element, Element bound, Element other_bound)
{
    for (int nth = stream->depth - 1; nth >= 0; nth--) {
        Element each = stream->open[nth].element;
        if (each == element)
            return nth;
        if (is_a(stream, each, SCOPE) || each == bound || each == other_bound)
            return -1;
    }
    return -1;
}

int find_in_table_scope(const Stream *stream, Element element)
{
    for (int nth = stream->depth - 1; nth >= 0; nth--) {
        Element each = stream->open[nth].element;
        if (each == element)
            return nth;
        if (each == E_TABLE || each == E_HTML)
            return -1;
    }
    return -1;
}

void close_implied(Stream *stream, Element but)
{
    while (current(stream) != but && is_a(stream, current(stream), IMPLIED))
        pop(stream);
}

/* Closes the paragraph in button scope, if there is one. */
void close_paragraph(Stream *stream)
{
    if (!stream->paragraphs || find_in_scope(stream, E_P, E_BUTTON, E_BUTTON) < 0)
        return;
    close_implied(stream, E_P);
    pop_until(stream, E_P);
}

/* --- Formatting elements --- */

void add_marker(Stream *stream)
{
    if (stream->entries == MAX_FORMATTING_OPEN) {
        STAND_ASIDE(stream);
        return;
    }
    stream->list[stream->entries++] = (Entry){.element = E_OTHER, .open = -1};
}

static void remove_entry(Stream *stream, int nth)
{
    if (stream->list[nth].open >= 0)
        stream->open[stream->list[nth].open].entry = -1;
    stream->entries--;
    for (; nth < stream->entries; nth++) {
        stream->list[nth] = stream->list[nth + 1];
        if (stream->list[nth].open >= 0)
            stream->open[stream->list[nth].open].entry = nth;
    }
}

void clear_to_marker(Stream *stream)
{
    while (stream->entries) {
        bool is_marker = stream->list[stream->entries - 1].element == E_OTHER;
        remove_entry(stream, stream->entries - 1);
        if (is_marker)
            return;
    }
}

/* Whether the markup does not tell if two of one element have the same attributes. */
static bool is_doubtful(const Entry *one, const Entry *other, bool are_equal)
{
    if (!one->size || !other->size)
        return true; /* it stands in what is never read */
    return are_equal ? one->is_odd || other->is_odd
                     : one->size == other->size && one->has_order && other->has_order;
}

/* Of three that are alike the first goes: the Noah's Ark clause. */
static void keep_three(Stream *stream, const Entry *made)
{
    int alike = 0, doubtful = 0, first = -1;
    for (int nth = stream->entries - 1; nth >= 0 && stream->list[nth].element != E_OTHER; nth--) {
        const Entry *each = &stream->list[nth];
        if (each->element != made->element)
            continue;
        bool are_equal = each->size == made->size
                         && !memcmp(stream->out.at + each->begin, stream->out.at + made->begin, made->size);
        if (is_doubtful(each, made, are_equal))
            doubtful++;
        else if (are_equal) {
            alike++;
            first = nth;
        }
    }
    if (doubtful && alike + doubtful >= 3)
        STAND_ASIDE(stream);
    else if (alike == 3)
        remove_entry(stream, first);
}

/* Opens the formatting element of the tag. */
void add_formatting(Stream *stream)
{
    const Tag *tag = &stream->tag;
    Entry made = {
        .element = tag->element,
        .name = tag->name,
        .name_size = tag->name_size,
        .begin = stream->out.size,
        .open = stream->depth,
        .has_order = tag->count > 1,
    };
    push(stream, tag);
    made.size = stream->out.size - made.begin;
    for (size_t nth = 0; nth < tag->count; nth++)
        made.is_odd |= !tag->attributes[nth].is_spelled;
    if (stream->aside || stream->out.is_out_of_memory)
        return;
    keep_three(stream, &made);
    if (stream->entries == MAX_FORMATTING_OPEN) {
        STAND_ASIDE(stream);
        return;
    }
    stream->open[stream->depth - 1].entry = stream->entries;
    stream->list[stream->entries++] = made;
}

/* Opens again what was closed without an end tag of its own. */
void reopen_formatting(Stream *stream)
{
    int nth = stream->entries;
    while (nth && stream->list[nth - 1].element != E_OTHER && stream->list[nth - 1].open < 0)
        nth--;
    for (; nth < stream->entries && !stream->aside; nth++) {
        Entry *each = &stream->list[nth];
        open_named(stream, each->element, each->name, each->name_size);
        each->open = stream->depth - 1;
        stream->open[stream->depth - 1].entry = nth;
        if (stream->muted >= 0)
            continue;
        if (!each->size) { /* it was opened in what is never read */
            STAND_ASIDE(stream);
            return;
        }
        uint8_t *to = room_for(&stream->out, each->size);
        if (!to)
            return;
        memcpy(to, stream->out.at + each->begin, each->size);
        stream->out.size += each->size;
    }
}

/* Closes as an end tag does whose element is no other: 13.2.6.4.7, "any other end tag". */
void close_other(Stream *stream, Element element, const uint8_t *name, size_t size)
{
    for (int nth = stream->depth - 1; nth >= 0; nth--) {
        const Open *each = &stream->open[nth];
        if (each->element == element
            && (element != E_OTHER || (each->name_size == size && !memcmp(each->name, name, size)))) {
            pop_to(stream, nth);
            return;
        }
        if (is_a(stream, each->element, SPECIAL))
            return;
    }
}

/* The adoption agency, as far as there is nobody to adopt. */
void close_formatting(Stream *stream, Element element)
{
    const Open *top = &stream->open[stream->depth - 1];
    if (top->element == element && top->entry < 0) {
        pop(stream);
        return;
    }
    int entry = stream->entries - 1;
    while (entry >= 0 && stream->list[entry].element != element && stream->list[entry].element != E_OTHER)
        entry--;
    if (entry < 0 || stream->list[entry].element == E_OTHER) {
        close_other(stream, element, NULL, 0);
        return;
    }
    int open = stream->list[entry].open;
    if (open < 0) {
        remove_entry(stream, entry);
        return;
    }
    bool holds_block = false;
    for (int nth = stream->depth - 1; nth > open; nth--) {
        Element each = stream->open[nth].element;
        if (is_a(stream, each, SCOPE))
            return; /* it is not in scope */
        holds_block |= is_a(stream, each, SPECIAL);
    }
    if (holds_block) {
        STAND_ASIDE(stream); /* the block moves out of it */
        return;
    }
    remove_entry(stream, entry);
    pop_to(stream, open);
}
