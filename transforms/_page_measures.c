/* The second half of content_features.py, with the same numbers: what is said of each block. */

#include "_page_kernel.h"

enum { PERCENTS = 4, SHARE = 64, FARTHEST = 40 };
static const int64_t PERCENT[PERCENTS] = {35, 50, 70, 85};

/* How many measures there are of each kind, in their order. */
enum {
    CONTAINER_LOGS = 4 * LEVELS,
    BLOCK_LOGS = 16 + 2 * PERCENTS,
    CONTAINER_SHARES = 3 * LEVELS,
    BLOCK_SHARES = 5,
    BLOCK_FLAGS = 5 + PERCENTS, /* and those of edges */
    DISTANCES = LEVELS + 1,     /* and twice the bits */
    PAGE_LOGS = 3,              /* and those that are counted */
    PAGE_SHARES = 2,
    PAGE_TYPES = 4,
};

/* What the pass over the blocks knows before it comes to a block. */
typedef struct {
    int32_t begins[PERCENTS], ends[PERCENTS]; /* the blocks of `find_prose` */
    int64_t first_h1, last_h1;                /* blocks, -1 where there is none */
    int64_t order, earlier;                   /* blocks before this one, and their bytes */
    int64_t last_heading;                     /* block, -1 before the first; this one may be it */
} Passage;

size_t measure_count(const MeasureTables *tables)
{
    return CONTAINER_LOGS + BLOCK_LOGS + CONTAINER_SHARES + BLOCK_SHARES + BLOCK_FLAGS
           + tables->first_count + tables->last_count + DISTANCES + 2 * tables->bits;
}

size_t page_measure_count(const MeasureTables *tables)
{
    return PAGE_LOGS + tables->counted_count + PAGE_SHARES + tables->groups + PAGE_TYPES;
}

/* Eight times the logarithm to base 2 of one more than a value, linear between powers of two. */
static float log8(int64_t value)
{
    uint64_t more = (uint64_t)value + 1;
    int exponent = 63 - __builtin_clzll(more);
    uint64_t eighths = exponent >= 3 ? more >> (exponent - 3) : more << (3 - exponent);
    return (float)(exponent * 8 + (int)eighths - 8);
}

static float share(int64_t part, int64_t whole)
{
    uint64_t parts = (uint64_t)part * SHARE, wholes = whole > 1 ? (uint64_t)whole : 1;
    /* The division of shorter numbers gives the same, faster. */
    if ((parts | wholes) >> 32 == 0)
        return (float)((uint32_t)parts / (uint32_t)wholes);
    return (float)(parts / wholes);
}

static float flag(bool holds)
{
    return holds ? UNIT : 0;
}

static float *write_bits(const MeasureTables *tables, float *out, uint64_t bits, size_t count)
{
    float *end = out + count;
    for (; end - out >= 8; out += 8, bits >>= 8)
        memcpy(out, tables->unpacked[bits & 255], 8 * sizeof *out);
    memcpy(out, tables->unpacked[bits & 255], (size_t)(end - out) * sizeof *out);
    return end;
}

/* The smallest elements that hold a part, half, or most of the page's prose. */
static void find_prose(const Survey *survey, Passage *passage)
{
    const Page *page = &survey->page;
    int64_t total = survey->total_prose > 1 ? survey->total_prose : 1;
    int64_t deepest[PERCENTS] = {-1, -1, -1, -1};
    int32_t elements[PERCENTS];
    for (int nth = 0; nth < PERCENTS; nth++)
        elements[nth] = (int32_t)survey->body;
    for (size_t tag = 0; tag < page->count; tag++) {
        int64_t prose = survey->sums[page->closes[tag]].prose - survey->sums[tag].prose;
        /* Of those equally deep the first one counts. */
        for (int nth = 0; nth < PERCENTS && prose * 100 >= PERCENT[nth] * total; nth++)
            if (page->levels[tag] > deepest[nth] && page->tags[tag] > 0) {
                deepest[nth] = page->levels[tag];
                elements[nth] = (int32_t)tag;
            }
    }
    for (int nth = 0; nth < PERCENTS; nth++) {
        passage->begins[nth] = begin_of(survey, elements[nth]);
        passage->ends[nth] = end_of(survey, elements[nth]);
    }
}

static Passage begin_passage(const Survey *survey)
{
    Passage passage = {.first_h1 = -1, .last_h1 = -1, .last_heading = -1};
    find_prose(survey, &passage);
    for (size_t order = 0; order < survey->block_count; order++)
        if (has(survey, (size_t)survey->blocks[order].element, H1)) {
            passage.first_h1 = passage.first_h1 < 0 ? (int64_t)order : passage.first_h1;
            passage.last_h1 = (int64_t)order;
        }
    return passage;
}

/* The containers around a block, from the inside. */
static void find_around(const Survey *survey, const Block *block, int32_t around[LEVELS])
{
    int32_t element = block->element;
    bool is_container = end_of(survey, element) - begin_of(survey, element) > 1;
    around[0] = is_container ? element : survey->up[element];
    for (int level = 1; level < LEVELS; level++)
        around[level] = survey->up[around[level - 1]];
}

static const Container *measure_container(Survey *survey, int32_t element)
{
    Container *container = &survey->containers[element];
    if (container->is_measured)
        return container;
    const Sums *begin = &survey->sums[element], *end = &survey->sums[survey->page.closes[element]];
    int64_t size = end->counters[VISIBLE] - begin->counters[VISIBLE];
    int64_t prose = end->prose - begin->prose;
    *container = (Container){
        .size = log8(size),
        .blocks = log8(end->blocks - begin->blocks),
        .repeated = log8(survey->repeated[element]),
        .images = log8(end->images - begin->images),
        .linked_share = share(end->linked - begin->linked, size),
        .prose_part = share(prose, survey->total_prose),
        .prose_share = share(prose, size),
        .is_measured = true,
    };
    return container;
}

static void write_containers(Survey *survey, const int32_t around[LEVELS], float *logs, float *shares)
{
    for (int level = 0; level < LEVELS; level++) {
        const Container *container = measure_container(survey, around[level]);
        logs[level] = container->size;
        logs[LEVELS + level] = container->blocks;
        logs[2 * LEVELS + level] = container->repeated;
        logs[3 * LEVELS + level] = container->images;
        shares[level] = container->linked_share;
        shares[LEVELS + level] = container->prose_part;
        shares[2 * LEVELS + level] = container->prose_share;
    }
}

static void write_block_logs(const Survey *survey, const Passage *passage, const Block *block, float *out)
{
    const Sums *begin = &survey->sums[block->first], *end = &survey->sums[block->stop];
    int64_t order = passage->order;
    int64_t ends = end->counters[ENDS] - begin->counters[ENDS];
    int64_t commas = end->counters[COMMAS] - begin->counters[COMMAS];
    int32_t one = block->element, two = survey->parents[one], three = survey->parents[two];
    *out++ = log8(survey->repeated[one]);
    *out++ = log8(survey->repeated[two]);
    *out++ = log8(survey->repeated[three]);
    for (int nth = 0; nth < PERCENTS; nth++) {
        int64_t before = passage->begins[nth] - order, behind = order - passage->ends[nth] + 1;
        out[nth] = log8(before > 0 ? before : 0);
        out[PERCENTS + nth] = log8(behind > 0 ? behind : 0);
    }
    out += 2 * PERCENTS;
    *out++ = log8(end->counters[VISIBLE] - begin->counters[VISIBLE]);
    *out++ = log8(end->links - begin->links);
    *out++ = log8(end->images - begin->images);
    *out++ = log8(end->inputs - begin->inputs);
    *out++ = log8(end->breaks - begin->breaks);
    *out++ = log8(ends);
    *out++ = log8(ends);
    *out++ = log8(commas);
    *out++ = log8(commas);
    *out++ = log8(end->counters[SIGNS] - begin->counters[SIGNS]);
    *out++ = log8(order);
    *out++ = log8((int64_t)survey->block_count - order);
    *out++ = log8(order - passage->last_heading);
}

static void write_block_shares(const Survey *survey, const Passage *passage, const Block *block, float *out)
{
    const Sums *begin = &survey->sums[block->first], *end = &survey->sums[block->stop];
    int64_t size = end->counters[VISIBLE] - begin->counters[VISIBLE];
    out[0] = share(end->linked - begin->linked, size);
    out[1] = share(end->counters[DIGITS] - begin->counters[DIGITS], size);
    out[2] = share(end->counters[CAPITALS] - begin->counters[CAPITALS], size);
    out[3] = share(passage->order, (int64_t)survey->block_count);
    out[4] = share(passage->earlier, survey->total_size);
}

static bool is_visible(const Survey *survey, int32_t at)
{
    return survey->tables->counters[survey->text[at]] & 1; /* the lowest counter is `VISIBLE` */
}

/* The first and the last visible byte of a block; zeros where it has none. */
static void find_edges(const Survey *survey, const Block *block, uint8_t edges[2])
{
    const Sums *begin = &survey->sums[block->first], *end = &survey->sums[block->stop];
    edges[0] = edges[1] = 0;
    if (end->counters[VISIBLE] == begin->counters[VISIBLE])
        return;
    int32_t first = begin->text, last = end->text - 1;
    while (!is_visible(survey, first))
        first++;
    while (!is_visible(survey, last))
        last--;
    edges[0] = survey->text[first];
    edges[1] = survey->text[last];
}

static float *write_flags(const Survey *survey, const Passage *passage, const Block *block, float *out)
{
    const MeasureTables *tables = survey->tables;
    uint8_t edges[2];
    find_edges(survey, block, edges);
    int64_t order = passage->order;
    bool has_h1 = passage->first_h1 >= 0;
    for (int nth = 0; nth < PERCENTS; nth++)
        *out++ = flag(order >= passage->begins[nth] && order < passage->ends[nth]);
    out = write_bits(tables, out, tables->last_edges[edges[1]], tables->last_count);
    out = write_bits(tables, out, tables->first_edges[edges[0]], tables->first_count);
    *out++ = flag(passage->last_heading == order);
    *out++ = flag(has_h1);
    *out++ = flag(has_h1 && order > passage->first_h1);
    *out++ = flag(has_h1 && order > passage->last_h1);
    *out++ = flag(block->prose > 0);
    return out;
}

/* How far the containers and the root are above the element of the block. */
static float *write_distances(const Survey *survey, const Block *block, const int32_t around[LEVELS], float *out)
{
    const int64_t *levels = survey->page.levels;
    for (int level = 0; level <= LEVELS; level++) {
        int64_t distance = levels[block->element] - (level < LEVELS ? levels[around[level]] : 0);
        *out++ = (float)(distance < FARTHEST ? distance : FARTHEST);
    }
    return out;
}

/* The bits of the three nearest elements around a block, and of those in it. */
static uint64_t near_bits(const Survey *survey, const Block *block)
{
    int32_t one = block->element, two = survey->parents[one], three = survey->parents[two];
    int64_t bits = survey->bits[one] | survey->bits[two] | survey->bits[three];
    for (int32_t tag = block->first; tag < block->stop; tag++)
        bits |= survey->bits[tag];
    return (uint64_t)bits;
}

static void write_measures(Survey *survey, const Passage *passage, const Block *block,
                           const int32_t around[LEVELS], float *out)
{
    float *block_logs = out + CONTAINER_LOGS, *shares = block_logs + BLOCK_LOGS;
    float *block_shares = shares + CONTAINER_SHARES;
    write_containers(survey, around, out, shares);
    write_block_logs(survey, passage, block, block_logs);
    write_block_shares(survey, passage, block, block_shares);
    out = write_flags(survey, passage, block, block_shares + BLOCK_SHARES);
    out = write_distances(survey, block, around, out);
    out = write_bits(survey->tables, out, (uint64_t)survey->any[block->element], survey->tables->bits);
    write_bits(survey->tables, out, near_bits(survey, block), survey->tables->bits);
}

static bool holds(const uint8_t *octets, size_t size, const char *wanted)
{
    size_t length = strlen(wanted);
    for (size_t at = 0; at + length <= size; at++)
        if (!memcmp(octets + at, wanted, length))
            return true;
    return false;
}

/* What the page's own metadata calls it. */
static void write_types(const Page *page, float *out)
{
    const uint8_t *source = page->source, *said = NULL;
    size_t at = 0, length = 0;
    /* Colons are rarer than quotes. */
    for (; !said && (at = find_byte(source, page->size, at, ':')) < page->size; at++)
        if (at >= 3 && page->size - at >= 6 && !memcmp(source + at - 3, "\"og:type\"", 9)) {
            size_t begin = at - 3 > 80 ? at - 3 - 80 : 0, end = at - 3 + 80;
            said = source + begin;
            length = (end < page->size ? end : page->size) - begin;
        }
    out[0] = flag(said && holds(said, length, "\"article\""));
    out[1] = flag(said && holds(said, length, "product"));
    out[2] = flag(said && holds(said, length, "\"website\""));
    out[3] = flag(!said);
}

static void write_page(const Survey *survey, float *out)
{
    const MeasureTables *tables = survey->tables;
    const Page *page = &survey->page;
    int64_t elements[256] = {0};
    for (size_t tag = 0; tag < page->count; tag++)
        if (page->tags[tag] > 0)
            elements[page->tags[tag]]++;
    *out++ = log8((int64_t)survey->block_count);
    *out++ = log8(survey->total_size);
    *out++ = log8(survey->prose_blocks);
    for (size_t nth = 0; nth < tables->counted_count; nth++)
        *out++ = log8(elements[tables->counted[nth]]);
    *out++ = share(survey->total_prose, survey->total_size);
    *out++ = share(survey->sums[page->count].linked, survey->total_size);
    out = write_bits(tables, out, (uint64_t)survey->page_bits, tables->groups);
    write_types(page, out);
}

/* Fills the arrays of a page that has blocks. */
void write_blocks(Survey *survey, const BlockArrays *out)
{
    size_t count = survey->block_count, width = measure_count(survey->tables);
    Passage passage = begin_passage(survey);
    for (size_t order = 0; order < count; order++) {
        const Block *block = &survey->blocks[order];
        const Sums *begin = &survey->sums[block->first], *end = &survey->sums[block->stop];
        int32_t around[LEVELS];
        find_around(survey, block, around);
        passage.order = (int64_t)order;
        if (starts(survey, (size_t)block->element, HEADING))
            passage.last_heading = (int64_t)order;
        write_measures(survey, &passage, block, around, out->measures + order * width);
        out->first[order] = block->first;
        out->last[order] = block->stop - 1;
        out->size[order] = end->counters[VISIBLE] - begin->counters[VISIBLE];
        out->images[order] = end->images - begin->images;
        passage.earlier += out->size[order];
        for (size_t level = 0; level < LEVELS; level++) {
            int64_t *range = out->ranges + 2 * level * count + order;
            int32_t from = begin_of(survey, around[level]), to = end_of(survey, around[level]);
            range[0] = from < (int32_t)order ? from : (int32_t)order;
            range[count] = to > (int32_t)order + 1 ? to : (int32_t)order + 1;
        }
    }
    write_page(survey, out->page);
}
