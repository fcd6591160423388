/* Which blocks of a page are kept: `decide` of main_content.py, with the same result. */

#include "_page_rules.h"

static void keep_by_score(Rules *rules)
{
    const RuledBlocks *blocks = rules->blocks;
    float best = LEAST_SCORE;
    for (size_t block = 0; block < blocks->count; block++)
        if (blocks->size[block] > 0 && blocks->scores[block] > best)
            best = blocks->scores[block];
    double near_best = best - rules->tables->below_best, threshold = rules->tables->threshold;
    float least = (float)(near_best < threshold ? near_best : threshold);
    rules->least = least;
    for (size_t block = 0; block < blocks->count; block++)
        rules->keep[block] = (blocks->scores[block] > least) & !rules->chrome[block];
}

/* The first block from one on that no element has settled yet. */
static size_t unsettled(int32_t *next, size_t block)
{
    while (next[block] != (int32_t)block) {
        next[block] = next[next[block]];
        block = (size_t)next[block];
    }
    return block;
}

static void keep_whole(const Rules *rules)
{
    const RuledBlocks *blocks = rules->blocks;
    const int64_t *before = rules->before;
    int64_t *kept = rules->sums, *linked = rules->sums + blocks->count + 1;
    double *weighed = rules->weighed;
    kept[0] = linked[0] = 0;
    weighed[0] = 0;
    for (size_t block = 0; block < blocks->count; block++) {
        float share = measures_of(rules, block)[rules->tables->linked];
        kept[block + 1] = kept[block] + (rules->keep[block] ? blocks->size[block] : 0);
        int64_t parts = share > 0 && share <= LINKED_UNIT ? (int64_t)share : 0;
        linked[block + 1] = linked[block] + blocks->size[block] * parts;
        double above = (double)blocks->scores[block] - rules->least;
        weighed[block + 1] = weighed[block] + (rules->chrome[block] ? 0 : (double)blocks->size[block] * above);
    }
    for (size_t block = 0; block <= blocks->count; block++)
        rules->numbers[block] = (int32_t)block;
    /* The innermost element has the last word, so it comes first. */
    for (size_t nth = rules->marked_count; nth-- > 0;) {
        size_t tag = (size_t)rules->marked[nth];
        int trait = trait_of(rules, tag);
        if (!(trait & (IS_WHOLE | IS_LIST)))
            continue;
        size_t begin = begin_in(rules, tag), end = end_in(rules, tag);
        int64_t size = before[end] - before[begin], in_links = linked[end] - linked[begin];
        if (end - begin < 2 || !size
            || (!(trait & IS_WHOLE) && PERCENT * in_links <= rules->tables->max_linked * LINKED_UNIT * size)
            || (trait & IS_TABLE && rules->layouts[rules->page->closes[tag]] > rules->layouts[tag + 1]))
            continue;
        bool stays = 2 * (kept[end] - kept[begin]) > size || (trait & IS_WHOLE && weighed[end] - weighed[begin] > 0);
        bool is_terms = trait & IS_WHOLE && !(trait & (IS_TABLE | IS_CODE));
        for (size_t at = begin; (at = unsettled(rules->numbers, at)) < end; at++) {
            rules->keep[at] = stays & (is_terms | !rules->chrome[at]);
            rules->numbers[at] = (int32_t)at + 1;
        }
    }
}

static void keep_code(const Rules *rules)
{
    const RuledBlocks *blocks = rules->blocks;
    /* By block: the text before it as a number from 1, and the first text from it on. */
    int64_t *earlier = rules->sums, *later = rules->sums + blocks->count + 1;
    size_t kept_to = 0;
    bool is_ready = false;
    for (size_t nth = 0; nth < rules->marked_count; nth++) {
        size_t tag = (size_t)rules->marked[nth];
        if (!(trait_of(rules, tag) & IS_CODE))
            continue;
        if (!is_ready) {
            earlier[0] = 0;
            later[blocks->count] = (int64_t)blocks->count;
            for (size_t block = 0; block < blocks->count; block++)
                earlier[block + 1] = blocks->size[block] > 0 ? (int64_t)block + 1 : earlier[block];
            for (size_t block = blocks->count; block-- > 0;)
                later[block] = blocks->size[block] > 0 ? (int64_t)block : later[block + 1];
            is_ready = true;
        }
        size_t begin = begin_in(rules, tag), end = end_in(rules, tag);
        if (!earlier[begin] || later[end] == (int64_t)blocks->count || !rules->keep[earlier[begin] - 1]
            || !rules->keep[later[end]])
            continue;
        for (size_t block = begin > kept_to ? begin : kept_to; block < end; block++)
            rules->keep[block] = 1;
        kept_to = end > kept_to ? end : kept_to;
    }
}

static int heading_level(const Rules *rules, size_t block)
{
    size_t first = (size_t)rules->blocks->first[block];
    int64_t parent = rules->page->parents[first];
    return trait_of(rules, rules->page->tags[first] > 0 ? first : (size_t)(parent > 0 ? parent : 0)) >> LEVEL_SHIFT;
}

/* One past the last block in the `aside` around a block; the number of blocks without one. */
static size_t end_of_aside(const Rules *rules, size_t block)
{
    int64_t element = rules->page->parents[rules->blocks->first[block]];
    for (int64_t step = 0; step < rules->tables->aside_reach && element > 0; step++) {
        if (trait_of(rules, (size_t)element) & IS_ASIDE)
            return end_in(rules, (size_t)element);
        element = rules->page->parents[element];
    }
    return rules->blocks->count;
}

static void drop_lone_headings(const Rules *rules)
{
    /* What is kept behind a block: the first text before the next heading, and that. */
    size_t text = SIZE_MAX, next = SIZE_MAX;
    int next_level = 0;
    for (size_t block = rules->blocks->count; block-- > 0;) {
        int level = heading_level(rules, block);
        if (!level) {
            text = rules->keep[block] ? block : text;
            continue;
        }
        if (rules->keep[block] && !(rules->blocks->scores[block] > rules->tables->sure_heading)) {
            size_t end = end_of_aside(rules, block);
            rules->keep[block] = (text < end) | ((next < end) & (next_level > level));
            /* What is left out of it for this does not part a heading from what it heads. */
            if (!rules->keep[block] && end < rules->blocks->count)
                continue;
        }
        text = SIZE_MAX;
        next = rules->keep[block] ? block : SIZE_MAX;
        next_level = level;
    }
}

/* Whether all of a heading is a link, and its first one leads to the front page of the site. */
static bool names_site(const Rules *rules, size_t heading, size_t block)
{
    size_t stop = (size_t)rules->page->closes[heading];
    Attribute found;
    if (measures_of(rules, block)[rules->tables->linked] != LINKED_UNIT)
        return false;
    if (stop - heading > (size_t)rules->tables->link_reach)
        stop = heading + (size_t)rules->tables->link_reach;
    for (size_t tag = heading + 1; tag < stop; tag++)
        if (trait_of(rules, tag) & IS_LINK)
            return find_attribute(rules->page, tag, &rules->tables->link, &found)
                   && found.closing - found.value == 1 && rules->page->source[found.value] == '/';
    return false;
}

/* Of each block, how many stand before it outside any `aside`. */
static const int32_t *number_outside(const Rules *rules)
{
    size_t block = 0;
    int32_t number = 0;
    for (size_t nth = 0; nth < rules->marked_count; nth++) {
        size_t tag = (size_t)rules->marked[nth];
        if (!(trait_of(rules, tag) & IS_ASIDE))
            continue;
        for (; block < begin_in(rules, tag); block++)
            rules->numbers[block] = number++;
        for (; block < end_in(rules, tag); block++)
            rules->numbers[block] = number;
    }
    for (; block < rules->blocks->count; block++)
        rules->numbers[block] = number++;
    return rules->numbers;
}

static void keep_headline(const Rules *rules)
{
    const RuledBlocks *blocks = rules->blocks;
    const int32_t *numbers = number_outside(rules);
    size_t kept = 0, title = blocks->count;
    while (kept < blocks->count && !(rules->keep[kept] && blocks->size[kept] > 0))
        kept++;
    if (kept == blocks->count)
        return;
    for (size_t nth = 0; nth < rules->marked_count; nth++) {
        size_t tag = (size_t)rules->marked[nth], block = begin_in(rules, tag);
        if (trait_of(rules, tag) & IS_TITLE && block <= kept && numbers[kept] - numbers[block] <= rules->tables->reach
            && blocks->first[block] < rules->page->closes[tag] && !names_site(rules, tag, block))
            title = block;
    }
    if (title < blocks->count && !rules->chrome[title])
        rules->keep[title] = 1;
}

static bool is_lost(const Rules *rules)
{
    int64_t seen = 0;
    for (size_t block = 0; block < rules->blocks->count; block++) {
        if (rules->keep[block] && rules->blocks->size[block] > 0)
            return false;
        seen += rules->chrome[block] ? 0 : rules->blocks->size[block];
    }
    return seen < rules->tables->min_text;
}

/* Where the rules write; one block of memory. False where there is none. */
static bool make_rules(Rules *rules)
{
    size_t tags = rules->page->count + 1, blocks = rules->blocks->count + 1;
    int64_t *memory = malloc(blocks * (3 * sizeof *memory + sizeof(double)) + (3 * tags + blocks) * sizeof(int32_t));
    if (!memory)
        return false;
    rules->before = memory;
    rules->sums = memory + blocks;
    rules->weighed = (double *)(void *)(memory + 3 * blocks);
    rules->begins = (int32_t *)(void *)(rules->weighed + blocks);
    rules->layouts = rules->begins + tags;
    rules->marked = rules->layouts + tags;
    rules->numbers = rules->marked + tags;
    return true;
}

static Outcome decide(Rules *rules)
{
    find_chrome(rules);
    if (!rules->is_small) {
        keep_by_score(rules);
        keep_whole(rules);
        keep_code(rules);
        if (keep_alike(rules) != READ || drop_twins(rules) != READ)
            return NO_MEMORY;
        drop_lone_headings(rules);
        keep_headline(rules);
    }
    if (rules->is_small || is_lost(rules))
        for (size_t block = 0; block < rules->blocks->count; block++)
            rules->keep[block] = !rules->chrome[block];
    return READ;
}

static bool are_words(const RuleWord *words, size_t count, size_t shortest)
{
    bool fit = true;
    for (size_t nth = 0; nth < count; nth++)
        fit &= words[nth].length <= RULE_WORD && words[nth].length >= shortest;
    return fit;
}

/* An attribute has a letter, `=` and `"`. */
static bool are_tables(const RuleTables *tables)
{
    return tables->max_share >= 0 && tables->max_share <= PERCENT && tables->max_linked >= 0
           && tables->max_linked <= PERCENT && tables->alike > 0 && tables->steps > 0 && tables->link_reach > 0
           && tables->steps <= MOST_STEPS && are_words(tables->attributes, RULE_ATTRIBUTES, 3)
           && are_words(&tables->class_name, 1, 3) && are_words(&tables->link, 1, 3) && are_words(&tables->found_later, 1, 1)
           && are_words(&tables->hiding[0][0], 2 * HIDING, 1) && are_words(tables->roles, ROLES, 0);
}

/* Whether blocks have the measures that the rules ask for. */
static bool have_measures(const RuleTables *tables, const RuledBlocks *blocks)
{
    bool have = (uint64_t)tables->linked < blocks->width;
    for (int nth = 0; nth < MEANT; nth++)
        have &= (uint64_t)tables->meant[nth] - 1 < blocks->width;
    for (int nth = 0; nth < PARTS; nth++)
        have &= (uint64_t)tables->parts[nth] - 1 < blocks->width;
    return have;
}

static PyObject *settle(const RuleTables *tables, const Py_buffer *buffers)
{
    Page page;
    RuledBlocks ruled;
    bool is_sound = read_buffers(buffers, &page, &ruled) && have_measures(tables, &ruled);
    Rules rules = {
        .tables = tables, .page = &page, .blocks = &ruled, .chrome = buffers[CHROME].buf, .keep = buffers[KEEP].buf,
    };
    Outcome outcome = is_sound && make_rules(&rules) ? READ : NO_MEMORY;
    if (outcome == READ) {
        Py_BEGIN_ALLOW_THREADS
        is_sound = survey_rules(&rules);
        if (is_sound)
            outcome = decide(&rules);
        Py_END_ALLOW_THREADS
    }
    free(rules.before);
    if (!is_sound)
        return refuse("settle_blocks: not the arrays of a page");
    return outcome == READ ? PyBool_FromLong(rules.is_small) : PyErr_NoMemory();
}

PyObject *settle_blocks(PyObject *module, PyObject *arguments)
{
    (void)module;
    const char *packed;
    Py_ssize_t packed_size;
    Py_buffer of[BUFFERS];
    if (!PyArg_ParseTuple(arguments, "y#y*y*y*y*y*y*y*y*y*y*y*w*w*:settle_blocks", &packed, &packed_size, &of[SOURCE],
                          &of[TAGS], &of[STARTS], &of[STOPS], &of[CLOSES], &of[PARENTS], &of[FIRST], &of[LAST],
                          &of[SIZE], &of[MEASURES], &of[SCORES], &of[CHROME], &of[KEEP]))
        return NULL;
    RuleTables tables = {0};
    if (packed_size == sizeof tables)
        memcpy(&tables, packed, sizeof tables);
    PyObject *found = are_tables(&tables) ? settle(&tables, of)
                                          : refuse("settle_blocks: not the tables of the rules");
    for (int nth = 0; nth < BUFFERS; nth++)
        PyBuffer_Release(&of[nth]);
    return found;
}

/* Of each tag, whether it lies in a kept block, and whether one starts there. */
PyObject *cover_tags(PyObject *module, PyObject *arguments)
{
    (void)module;
    Py_buffer first, last, keep, kept, opens;
    if (!PyArg_ParseTuple(arguments, "y*y*y*w*w*:cover_tags", &first, &last, &keep, &kept, &opens))
        return NULL;
    const int64_t *firsts = first.buf, *lasts = last.buf;
    size_t blocks = (size_t)keep.len, tags = (size_t)kept.len;
    bool sound = (size_t)first.len == blocks * sizeof *firsts && first.len == last.len && kept.len == opens.len
                 && ((uintptr_t)firsts | (uintptr_t)lasts) % sizeof *firsts == 0;
    memset(kept.buf, 0, tags);
    memset(opens.buf, 0, (size_t)opens.len);
    for (size_t block = 0; sound && block < blocks; block++) {
        if (!((const uint8_t *)keep.buf)[block])
            continue;
        sound = (uint64_t)firsts[block] <= (uint64_t)lasts[block] && (uint64_t)lasts[block] < tags;
        if (!sound)
            break;
        ((uint8_t *)opens.buf)[firsts[block]] = 1;
        memset((uint8_t *)kept.buf + firsts[block], 1, (size_t)(lasts[block] - firsts[block] + 1));
    }
    PyBuffer_Release(&first);
    PyBuffer_Release(&last);
    PyBuffer_Release(&keep);
    PyBuffer_Release(&kept);
    PyBuffer_Release(&opens);
    return sound ? Py_NewRef(Py_None) : refuse("cover_tags: not the blocks of a page");
}
