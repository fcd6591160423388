/* The first half of content_features.py, with the same numbers: blocks, sums and containers.

   Read that file first. Here its running sums stand side by side, one `Sums` for each place between
   two tags, so that what an element or a block holds is the difference of two of them. */

#include "_page_kernel.h"

enum { UP_STEPS = 5, ANY_ROUNDS = 9 };

/* --- text --- */

static bool holds_spaces_by_name(const Page *page)
{
    for (size_t at = 0; (at = find_byte(page->source, page->size, at, '&')) < page->size; at++)
        if (page->size - at >= 6 && !memcmp(page->source + at, "&nbsp;", 6))
            return true;
    return false;
}

/* The bytes of the page without its tags, and zeros behind; spaces for each `&nbsp;`. */
static void copy_text(Survey *survey)
{
    const Page *page = &survey->page;
    size_t size = 0;
    for (size_t tag = 0; tag < page->count; tag++) {
        size_t begin = (size_t)page->stops[tag];
        size_t end = tag + 1 < page->count ? (size_t)page->starts[tag + 1] : page->size;
        survey->sums[tag].text = (int32_t)size;
        /* Most texts are short: sixteen bytes at once, the rest of which the next text covers. */
        for (size_t at = begin; at < end; at += 16)
            memcpy(survey->text + size + (at - begin), page->source + at, 16);
        size += end - begin;
    }
    survey->sums[page->count].text = (int32_t)size;
    memset(survey->text + size, 0, PADDING);
    survey->is_cjk = memchr(survey->text, 0xe3, size) != NULL;
    if (!holds_spaces_by_name(page))
        return;
    for (size_t at = 0; (at = find_byte(survey->text, size, at, '&')) < size; at++)
        if (size - at >= 6 && !memcmp(survey->text + at, "&nbsp;", 6))
            memset(survey->text + at, ' ', 6);
}

/* Adds the bytes from `begin` to `end` of the text to the counters. */
static void count_text(const Survey *survey, int32_t begin, int32_t end, int32_t *counters)
{
    const uint8_t *text = survey->text;
    const uint64_t *table = survey->tables->counters;
    const int32_t most = ((1 << COUNTER_BITS) - 1) & ~7;
    /* Chinese and Japanese stops and commas: U+3000 to U+303F begin with E3 80. */
    for (int32_t at = begin; survey->is_cjk && at < end; at++)
        counters[ENDS] += text[at] == 0xe3 && text[at + 1] == 0x80;
    while (begin < end) {
        int32_t stop = end - begin > most ? begin + most : end;
        uint64_t packed = 0;
        /* Eight at once: zeros, which count for nothing, in place of what is behind the end. */
        for (; begin < stop; begin += 8) {
            uint64_t eight;
            memcpy(&eight, text + begin, sizeof eight);
            eight &= low_bytes((size_t)(stop - begin));
            packed += table[eight & 255] + table[eight >> 8 & 255] + table[eight >> 16 & 255]
                      + table[eight >> 24 & 255] + table[eight >> 32 & 255] + table[eight >> 40 & 255]
                      + table[eight >> 48 & 255] + table[eight >> 56];
        }
        begin = stop;
        for (int counter = 0; counter < COUNTERS; counter++, packed >>= COUNTER_BITS)
            counters[counter] += (int32_t)(packed & ((1 << COUNTER_BITS) - 1));
    }
}

/* The running sums of what tags and the texts behind them hold. */
static void sum_up(Survey *survey)
{
    const Page *page = &survey->page;
    int32_t open_links = 0;
    Sums sums = {0};
    for (size_t tag = 0; tag < page->count; tag++) {
        Sums *here = &survey->sums[tag];
        sums.text = here->text;
        *here = sums;
        int32_t traits = traits_of(survey, tag), is_start = page->tags[tag] > 0;
        int32_t is_link = traits / LINK & 1;
        open_links += is_start ? is_link : -is_link;
        count_text(survey, here->text, here[1].text, sums.counters);
        sums.linked += open_links > 0 ? sums.counters[VISIBLE] - here->counters[VISIBLE] : 0;
        sums.links += is_link & is_start;
        sums.images += traits / IMAGE & is_start;
        sums.inputs += traits / INPUT & is_start;
        sums.breaks += traits / LINE_BREAK & 1;
    }
    sums.text = survey->sums[page->count].text;
    survey->sums[page->count] = sums;
}

/* --- blocks --- */

static void add_block(Survey *survey, size_t first, size_t stop)
{
    const Sums *begin = &survey->sums[first], *end = &survey->sums[stop];
    int32_t size = end->counters[VISIBLE] - begin->counters[VISIBLE];
    if (size == 0 && end->images == begin->images)
        return;
    const Page *page = &survey->page;
    bool opens = page->tags[first] > 0 && page->closes[first] != (int64_t)first;
    bool is_prose = size >= (int64_t)survey->tables->sentence
                    && (int64_t)(end->linked - begin->linked) * 2 < size;
    survey->blocks[survey->block_count++] = (Block){
        .first = (int32_t)first,
        .stop = (int32_t)stop,
        .element = opens ? (int32_t)first : survey->parents[first],
        .prose = is_prose ? size : 0,
    };
    survey->total_size += size;
    survey->total_prose += is_prose ? size : 0;
    survey->prose_blocks += is_prose;
}

/* What stands between two tags that part lines, if it holds text or a picture; from `body` on. */
static void find_blocks(Survey *survey)
{
    const Page *page = &survey->page;
    while (survey->body < page->count && !starts(survey, survey->body, BODY))
        survey->body++;
    if (survey->body == page->count)
        survey->body = 0;
    size_t first = survey->body;
    for (size_t tag = first + 1; tag <= page->count; tag++)
        if (tag == page->count || has(survey, tag, BREAKING)) {
            add_block(survey, first, tag);
            first = tag;
        }
    /* The running sums of blocks and of their prose. */
    int32_t blocks = 0, prose = 0;
    for (size_t tag = 0; tag <= page->count; tag++) {
        survey->sums[tag].blocks = blocks;
        survey->sums[tag].prose = prose;
        if (blocks < (int32_t)survey->block_count && survey->blocks[blocks].first == (int32_t)tag)
            prose += survey->blocks[blocks++].prose;
    }
}

/* --- elements --- */

/* Names and tags as bits, of each element behind `body` and of all around it. */
static Outcome find_bits(Survey *survey)
{
    const Page *page = &survey->page;
    Outcome outcome = read_names(&survey->tables->names, page, survey->bits, survey->classes);
    if (outcome != READ)
        return outcome;
    survey->page_bits = survey->bits[0] | survey->bits[survey->body];
    int64_t deepest = 0;
    int32_t *above = survey->up; /* lent */
    for (size_t tag = 0; tag < page->count; tag++) {
        int64_t code = page->tags[tag];
        bool is_inside = code > 0 && tag > survey->body;
        survey->bits[tag] = is_inside ? survey->bits[tag] | survey->tables->tag_bits[code] : 0;
        survey->any[tag] = survey->bits[tag];
        above[tag] = survey->parents[tag];
        deepest = page->levels[tag] > deepest ? page->levels[tag] : deepest;
    }
    if (deepest < 1 << ANY_ROUNDS) {
        for (size_t tag = 0; tag < page->count; tag++)
            survey->any[tag] |= survey->any[above[tag]];
        return READ;
    }
    /* Too deep for the reference to reach up to the root: each round reaches twice as far up. From
       the end on, so that a round reads what the last one left. */
    for (int round = 0; round < ANY_ROUNDS; round++)
        for (size_t tag = page->count; tag-- > 0;) {
            survey->any[tag] |= survey->any[above[tag]];
            above[tag] = above[above[tag]];
        }
    return READ;
}

static void find_containers(Survey *survey)
{
    int32_t body = (int32_t)survey->body;
    for (size_t tag = 0; tag < survey->page.count; tag++) {
        if (survey->page.tags[tag] < 0)
            continue; /* containers are elements */
        int32_t up = survey->parents[tag] > body ? survey->parents[tag] : body;
        int32_t begin = begin_of(survey, (int32_t)tag), end = end_of(survey, (int32_t)tag);
        for (int step = 0; step < UP_STEPS; step++) {
            if (begin_of(survey, up) != begin || end_of(survey, up) != end)
                break;
            up = survey->parents[up] > body ? survey->parents[up] : body;
        }
        survey->up[tag] = up;
    }
}

/* How many children of its parent have the tag and the class of each element. */
static Outcome count_repeats(Survey *survey)
{
    const Page *page = &survey->page;
    size_t elements = 0, slot_count = 16;
    for (size_t tag = 0; tag < page->count; tag++)
        elements += page->tags[tag] > 0;
    while (slot_count < 2 * elements)
        slot_count *= 2;
    struct {
        uint64_t key;
        int64_t count;
    } *slots = calloc(slot_count, sizeof *slots);
    if (!slots)
        return NO_MEMORY;
    for (size_t tag = 0; tag < page->count; tag++) {
        if (page->tags[tag] < 0)
            continue;
        uint64_t siblings = ((uint64_t)survey->parents[tag] + 1) * survey->tables->names_count;
        uint64_t same = (uint64_t)(survey->classes[tag] % 4096);
        uint64_t key = (siblings + (uint64_t)page->tags[tag]) * 4096 + same;
        size_t slot = mix(key ^ survey->tables->names.seed, 0x9e3779b97f4a7c15u) & (slot_count - 1);
        while (slots[slot].count && slots[slot].key != key)
            slot = (slot + 1) & (slot_count - 1);
        slots[slot].key = key;
        slots[slot].count++;
        survey->repeated[tag] = (int32_t)slot;
    }
    for (size_t tag = 0; tag < page->count; tag++)
        survey->repeated[tag] = page->tags[tag] > 0 ? (int32_t)slots[survey->repeated[tag]].count : 0;
    free(slots);
    return READ;
}

/* --- all of it --- */

/* The arrays of a survey in one block of memory, widest entries first. */
static bool make_room(Survey *survey)
{
    size_t count = survey->page.count;
    size_t each = sizeof(Sums) + sizeof(Block) + 2 * sizeof(int64_t) + sizeof(Container) + 4 * sizeof(int32_t);
    uint8_t *room = malloc(count * each + sizeof(Sums) + 2 * (survey->page.size + PADDING));
    if (!room)
        return false;
    survey->bits = (int64_t *)room;
    survey->any = survey->bits + count;
    survey->sums = (Sums *)(survey->any + count);
    survey->blocks = (Block *)(survey->sums + count + 1);
    survey->containers = (Container *)(survey->blocks + count);
    survey->classes = (int32_t *)(survey->containers + count);
    survey->parents = survey->classes + count;
    survey->up = survey->parents + count;
    survey->repeated = survey->up + count;
    survey->text = (uint8_t *)(survey->repeated + count);
    uint8_t *source = survey->text + survey->page.size + PADDING;
    memcpy(source, survey->page.source, survey->page.size);
    memset(source + survey->page.size, 0, PADDING);
    survey->page.source = source;
    memset(survey->containers, 0, count * sizeof *survey->containers);
    for (size_t tag = 0; tag < count; tag++)
        survey->parents[tag] = survey->page.parents[tag] > 0 ? (int32_t)survey->page.parents[tag] : 0;
    return true;
}

/* What has to be known of a page before its blocks are written; `free_survey` in any case. */
Outcome survey_page(const MeasureTables *tables, const Page *page, Survey *survey)
{
    *survey = (Survey){.tables = tables, .page = *page};
    if (!make_room(survey))
        return NO_MEMORY;
    copy_text(survey);
    sum_up(survey);
    find_blocks(survey);
    if (!survey->block_count)
        return READ;
    Outcome outcome = find_bits(survey);
    if (outcome == READ)
        outcome = count_repeats(survey);
    find_containers(survey);
    return outcome;
}

void free_survey(Survey *survey)
{
    free(survey->bits);
    survey->bits = NULL;
}
