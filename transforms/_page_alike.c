/* Paragraphs that stand as others do that are kept: `keep_alike` of content_rules.py, with the same
   result. */

#include "_page_rules.h"

enum { FIRST_SLOTS = 64 };

/* The name of an element: what it is, and its class. */
typedef struct {
    int64_t code;
    const uint8_t *value;
    size_t length;
    uint64_t hash;
} Name;

/* An element around a paragraph, and the names that lead from it to the paragraph, the last one first. */
typedef struct {
    int64_t steps;
    int32_t element;
    bool has_class; /* whether one of the names has */
    int32_t names[MOST_STEPS]; /* zeros behind them */
    uint32_t count;           /* of kept paragraphs */
} Place;

typedef struct {
    const Rules *rules;
    Name *names;
    Place *places;
    int32_t *name_slots, *place_slots; /* numbers from 1, or 0 */
    size_t name_count, place_count, slot_count;
    int32_t *name_of; /* by tag, a number from 1, or 0 where nobody asked */
} Alike;

static bool is_paragraph(const Rules *rules, size_t block)
{
    const float *measures = measures_of(rules, block);
    bool is_part = false;
    for (int nth = 0; nth < PARTS; nth++)
        is_part |= measures[rules->blocks->width - (size_t)rules->tables->parts[nth]] > 0;
    return rules->blocks->size[block] >= rules->tables->paragraph && !is_part
           && measures[rules->tables->linked] <= (float)rules->tables->max_links;
}

static bool is_wanted(const Rules *rules, size_t block)
{
    return !rules->keep[block] && !rules->chrome[block] && is_paragraph(rules, block);
}

static Name read_name(const Rules *rules, size_t tag)
{
    const Page *page = rules->page;
    Name name = {.code = page->tags[tag], .value = page->source};
    Attribute found;
    if (find_attribute(page, tag, &rules->tables->class_name, &found)) {
        name.value = page->source + found.value;
        name.length = found.closing - found.value;
    }
    uint64_t hash = rules->tables->seed ^ (uint64_t)name.code;
    for (size_t nth = 0; nth < name.length; nth += 8)
        hash = mix(hash ^ 0x9e3779b97f4a7c15u,
                   eight_from(name.value, name.length, nth) ^ rules->tables->seed);
    name.hash = mix(hash ^ name.length, 0xff51afd7ed558ccdu);
    return name;
}

/* The number of an element's name; there is room for all. */
static int32_t name_of(Alike *alike, size_t tag)
{
    if (alike->name_of[tag])
        return alike->name_of[tag];
    Name name = read_name(alike->rules, tag);
    size_t slot = name.hash & (alike->slot_count - 1);
    for (; alike->name_slots[slot]; slot = (slot + 1) & (alike->slot_count - 1)) {
        const Name *other = &alike->names[alike->name_slots[slot] - 1];
        if (other->hash == name.hash && other->code == name.code && other->length == name.length
            && !memcmp(other->value, name.value, name.length))
            return alike->name_of[tag] = alike->name_slots[slot];
    }
    alike->names[alike->name_count++] = name;
    alike->name_slots[slot] = (int32_t)alike->name_count;
    return alike->name_of[tag] = (int32_t)alike->name_count;
}

/* The slot of a place or, where it has none, the one where it would stand. */
static size_t place_slot(const Alike *alike, const Place *place)
{
    uint64_t hash = alike->rules->tables->seed;
    for (int64_t nth = 0; nth < place->steps; nth++)
        hash = mix(hash ^ (uint64_t)place->names[nth], 0x9e3779b97f4a7c15u);
    hash = mix(hash ^ (uint64_t)place->element, 0xff51afd7ed558ccdu ^ (uint64_t)place->steps);
    size_t slot = hash & (alike->slot_count - 1);
    for (; alike->place_slots[slot]; slot = (slot + 1) & (alike->slot_count - 1)) {
        const Place *other = &alike->places[alike->place_slots[slot] - 1];
        if (other->element == place->element && other->steps == place->steps
            && !memcmp(other->names, place->names, sizeof place->names))
            break;
    }
    return slot;
}

/* The element whose text starts a block. */
static int64_t own_element(const Rules *rules, size_t block)
{
    int64_t tag = rules->blocks->first[block];
    return rules->page->tags[tag] > 0 ? tag : rules->page->parents[tag];
}

/* Goes from a place, or from a block's own element, to the next one outward; false where there is none. */
static bool step_out(Alike *alike, int64_t *tag, Place *place)
{
    if (*tag < 0 || place->steps == alike->rules->tables->steps)
        return false;
    int32_t name = name_of(alike, (size_t)*tag);
    place->names[place->steps++] = name;
    place->has_class |= alike->names[name - 1].length > 0;
    *tag = alike->rules->page->parents[*tag];
    place->element = (int32_t)*tag;
    return true;
}

/* Counts the places of a kept paragraph; there is room for all. */
static void add_kept(Alike *alike, size_t block)
{
    Place place = {0};
    for (int64_t tag = own_element(alike->rules, block); step_out(alike, &tag, &place);) {
        if (!place.has_class)
            continue;
        size_t slot = place_slot(alike, &place);
        if (!alike->place_slots[slot]) {
            alike->places[alike->place_count++] = place;
            alike->place_slots[slot] = (int32_t)alike->place_count;
        }
        alike->places[alike->place_slots[slot] - 1].count++;
    }
}

/* Whether enough kept paragraphs have a place of a block. */
static bool is_alike(Alike *alike, size_t block)
{
    Place place = {0};
    for (int64_t tag = own_element(alike->rules, block); step_out(alike, &tag, &place);) {
        int32_t number = place.has_class ? alike->place_slots[place_slot(alike, &place)] : 0;
        if (number && alike->places[number - 1].count >= (uint64_t)alike->rules->tables->alike)
            return true;
    }
    return false;
}

Outcome keep_alike(const Rules *rules)
{
    size_t kept = 0, wanted = 0, slot_count = FIRST_SLOTS, steps = (size_t)rules->tables->steps;
    for (size_t block = 0; block < rules->blocks->count; block++)
        if (rules->keep[block])
            kept += is_paragraph(rules, block);
        else
            wanted += is_wanted(rules, block);
    if (!wanted || kept < (size_t)rules->tables->alike)
        return READ;
    while (slot_count < 2 * steps * (kept + wanted))
        slot_count *= 2;
    Alike alike = {.rules = rules, .slot_count = slot_count, .name_of = rules->layouts};
    alike.names = malloc(steps * (kept + wanted) * sizeof *alike.names);
    alike.places = malloc(steps * kept * sizeof *alike.places);
    alike.name_slots = calloc(2 * slot_count, sizeof *alike.name_slots);
    bool has_room = alike.names && alike.places && alike.name_slots;
    if (has_room) {
        alike.place_slots = alike.name_slots + slot_count;
        memset(alike.name_of, 0, rules->page->count * sizeof *alike.name_of); /* nobody asks for it any more */
        for (size_t block = 0; block < rules->blocks->count; block++)
            if (rules->keep[block] && is_paragraph(rules, block))
                add_kept(&alike, block);
        /* None of those that are wanted is counted, so they may be kept at once. */
        for (size_t block = 0; block < rules->blocks->count; block++)
            if (is_wanted(rules, block))
                rules->keep[block] = is_alike(&alike, block);
    }
    free(alike.names);
    free(alike.places);
    free(alike.name_slots);
    return has_room ? READ : NO_MEMORY;
}
