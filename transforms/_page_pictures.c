/* Which pictures of a page may be content: content_images.py, with the same result. */

#include "_page_pictures.h"

/* Fills what is known by tag. */
static void survey_tags(Pictures *pictures)
{
    const RuledBlocks *blocks = pictures->blocks;
    const int64_t *tags = pictures->page->tags;
    int32_t *begins = pictures->begins, *found = pictures->found;
    int32_t block = 0, count = (int32_t)pictures->page->count, block_count = (int32_t)blocks->count;
    size_t pictures_found = 0;
    for (int32_t tag = 0; tag < count; tag++) {
        begins[tag] = block;
        block += block < block_count && blocks->first[block] == tag;
        /* Also tags at which a block starts belong to the block. */
        if (tags[tag] > 0 && pictures->tables->traits[tags[tag]] & IS_IMAGE && block
            && tag <= blocks->last[block - 1])
            found[pictures_found++] = tag;
    }
    begins[count] = block;
    pictures->found_count = pictures_found;
}

/* The first block that may hold a picture that leads in the content. */
static int64_t lead_start(const Pictures *pictures, int64_t first_kept)
{
    const Page *page = pictures->page;
    int64_t first = pictures->blocks->first[first_kept], start = first_kept, house = first_kept;
    int open = IS_H1 | IS_HOUSE;
    for (int64_t tag = first; open && tag-- > 0;) {
        int trait = picture_trait(pictures, (size_t)tag) & open;
        if (trait & IS_H1) {
            start = pictures->begins[tag];
            open &= ~IS_H1;
        } else if (trait & IS_HOUSE && page->closes[tag] > first) {
            house = pictures->begins[tag];
            open &= ~IS_HOUSE;
        }
    }
    start = house < start ? house : start;
    return start > first_kept - pictures->tables->lead ? start : first_kept - pictures->tables->lead;
}

static bool is_bad(const Pictures *pictures, size_t block)
{
    const PictureTables *tables = pictures->tables;
    if (pictures->chrome[block])
        return true;
    /* A figure may be shared, or open a dialog. */
    if (pictures->flags[block] & IN_FIGURE || !(pictures->blocks->scores[block] < tables->very_sure))
        return false;
    bool is_named = false;
    for (int nth = 0; nth < UNWANTED; nth++)
        is_named |= has_measure(pictures, block, tables->unwanted[nth]);
    return is_named;
}

/* Whether a block goes on with the kept text beside it. */
static bool goes_on(const Pictures *pictures, int64_t block)
{
    return (!pictures->blocks->size[block] || pictures->flags[block] & CAPTION) && !is_bad(pictures, (size_t)block);
}

/* Marks the blocks whose pictures may stay; false where no block is kept. */
static bool mark_may_stay(const Pictures *pictures)
{
    const RuledBlocks *blocks = pictures->blocks;
    int64_t count = (int64_t)blocks->count, first = 0, last = count - 1;
    while (first < count && !pictures->keep[first])
        first++;
    if (first == count)
        return false;
    while (!pictures->keep[last])
        last--;
    int64_t start = lead_start(pictures, first), reach = pictures->tables->reach;
    /* Pictures and captions beside the first and the last kept text go with it. */
    while (last + 1 < count && goes_on(pictures, last + 1))
        last++;
    while (start > 0 && goes_on(pictures, start - 1))
        start--;
    for (int64_t block = 0; block < count; block++) {
        bool liked = blocks->scores[block] > pictures->tables->sure;
        int64_t from = first - (liked ? reach : 1);
        int64_t to = last + (liked || pictures->flags[block] & IN_FIGURE ? reach : 0);
        bool is_near = block >= (start < from ? start : from) && block <= to;
        if (pictures->keep[block] || (is_near && !is_bad(pictures, (size_t)block)))
            pictures->flags[block] |= MAY_STAY;
    }
    return true;
}

static Outcome collect(Pictures *pictures)
{
    size_t count = 0;
    int64_t noscript_end = 0;
    size_t tag = 0;
    for (size_t nth = 0; nth < pictures->found_count; nth++) {
        int32_t found = pictures->found[nth];
        if (pictures->flags[pictures->begins[found + 1] - 1] & MAY_STAY)
            pictures->found[count++] = found;
    }
    pictures->pictures = calloc(count + 1, sizeof *pictures->pictures);
    if (!pictures->pictures)
        return NO_MEMORY;
    for (size_t nth = 0; nth < count; nth++) {
        int32_t found = pictures->found[nth];
        for (; tag <= (size_t)found; tag++)
            if (picture_trait(pictures, tag) & IS_NOSCRIPT && pictures->page->closes[tag] > noscript_end)
                noscript_end = pictures->page->closes[tag];
        pictures->in_noscript |= found < noscript_end;
        pictures->pictures[nth].tag = found;
        pictures->pictures[nth].place = pictures->begins[found + 1] - 1;
    }
    pictures->count = count;
    return READ;
}

/* Whether most of the text right around a picture is kept. */
static bool is_among_kept(const Pictures *pictures, size_t picture)
{
    int64_t element = pictures->page->parents[picture];
    for (int64_t step = 0; step < pictures->tables->max_steps && element >= 0; step++) {
        size_t begin = first_in(pictures, (size_t)element), end = behind_last(pictures, (size_t)element);
        int64_t size = pictures->text[end] - pictures->text[begin];
        if (size >= pictures->tables->some_text || !element)
            return 2 * (pictures->kept_text[end] - pictures->kept_text[begin]) >= size;
        element = pictures->page->parents[element];
    }
    return false;
}

/* Whether a picture stands in an `aside`, or in the header of the page, that is left out. */
static bool is_beside_text(const Pictures *pictures, size_t picture)
{
    int64_t box = 0, element = pictures->page->parents[picture];
    for (int64_t step = 0; step < pictures->tables->aside_reach && element > 0; step++) {
        int trait = picture_trait(pictures, (size_t)element);
        box = trait & (IS_SIDEBAR | IS_HEADER) ? element : trait & IS_PART ? 0 : box;
        if (trait & IS_SIDEBAR)
            break;
        if (trait & IS_FIGURE)
            return false;
        element = pictures->page->parents[element];
    }
    if (!box)
        return false;
    size_t begin = first_in(pictures, (size_t)box), end = behind_last(pictures, (size_t)box);
    int64_t least = picture_trait(pictures, (size_t)box) & IS_SIDEBAR ? pictures->tables->some_text : 1;
    return pictures->text[end] - pictures->text[begin] >= least
           && pictures->kept_text[end] == pictures->kept_text[begin];
}

/* How many elements, from a picture outward, may have the name of what is no content. */
static uint8_t named_boxes(const Pictures *pictures, size_t picture)
{
    int64_t element = (int64_t)picture, named = 0;
    for (int64_t number = 1; number <= pictures->tables->named_boxes; number++) {
        if (may_be_beside(pictures, (size_t)element))
            named = number;
        element = pictures->page->parents[element];
        if (element <= 0)
            break;
        size_t begin = first_in(pictures, (size_t)element), end = behind_last(pictures, (size_t)element);
        if (pictures->all_text[end] - pictures->all_text[begin] > pictures->tables->gap)
            break;
    }
    return (uint8_t)named;
}

static uint8_t decorative(const Pictures *pictures, const Picture *picture)
{
    return picture->stays && may_be_decoration(pictures, (size_t)picture->tag) ? DECORATIVE : 0;
}

/* Says of each candidate whether it stays, and what is to be asked before. */
static void decide(const Pictures *pictures)
{
    const PictureTables *tables = pictures->tables;
    const int64_t *text = pictures->text, *kept_text = pictures->kept_text;
    int32_t count = (int32_t)pictures->blocks->count, before = -1, next = 0;
    int32_t *behind = pictures->numbers; /* the first kept block from one on */
    behind[count] = count;
    for (int32_t block = count; block-- > 0;)
        behind[block] = pictures->keep[block] ? block : behind[block + 1];
    for (size_t nth = 0; nth < pictures->count; nth++) {
        Picture *picture = &pictures->pictures[nth];
        int32_t place = picture->place, later = behind[place];
        float score = pictures->blocks->scores[place];
        for (; next <= place; next++)
            if (pictures->keep[next])
                before = next;
        if (picture->verdict == STAYS || picture->verdict == GOES || pictures->keep[place]) {
            picture->stays = picture->verdict != GOES;
            /* In a line of kept text, only the picture's own names say something. */
            picture->boxes = (picture->verdict == NO_CARD || picture->verdict == OPEN)
                             && may_be_beside(pictures, (size_t)picture->tag);
            picture->signs = decorative(pictures, picture);
            continue;
        }
        bool is_liked = score > tables->sure;
        bool is_between = before >= 0 && later < count
                          && text[later] - kept_text[later] - text[before + 1] + kept_text[before + 1] <= tables->gap;
        picture->stays = is_liked || (picture->verdict == NO_CARD && is_between)
                         || is_among_kept(pictures, (size_t)picture->tag);
        picture->stays &= is_liked || !is_beside_text(pictures, (size_t)picture->tag);
        if (!picture->stays)
            continue;
        picture->boxes = score < tables->very_sure ? named_boxes(pictures, (size_t)picture->tag) : 0;
        picture->signs = decorative(pictures, picture) | (is_liked ? 0 : signs_of(pictures, (size_t)picture->tag));
    }
    /* Captions go with their pictures. */
    for (size_t nth = 0; nth < pictures->count; nth++) {
        int32_t place = pictures->pictures[nth].place;
        if (pictures->pictures[nth].stays)
            for (int32_t block = place ? place - 1 : 0; block <= place + 1 && block < count; block++)
                pictures->flags[block] |= BESIDE;
    }
}

/* What the arrays lead to; UNREADABLE where they are not those of a page. */
static Outcome weigh(Pictures *pictures)
{
    if (!are_sound(pictures->page) || !survey_blocks(pictures->blocks, pictures->page, pictures->all_text))
        return UNREADABLE;
    survey_tags(pictures);
    survey_hints(pictures);
    if (!survey_captions(pictures))
        return UNREADABLE;
    if (!pictures->found_count || !mark_may_stay(pictures))
        return READ;
    if (collect(pictures) != READ || judge_cards(pictures) != READ)
        return NO_MEMORY;
    decide(pictures);
    return READ;
}

static PyObject *new_candidates(const Pictures *pictures)
{
    PyObject *found = PyList_New((Py_ssize_t)pictures->count);
    for (size_t nth = 0; found && nth < pictures->count; nth++) {
        const Picture *picture = &pictures->pictures[nth];
        PyObject *items[] = {
            PyLong_FromLong(picture->tag),   PyLong_FromLong(picture->place),
            PyBool_FromLong(picture->stays), PyLong_FromLong(picture->boxes),
            PyLong_FromLong(picture->signs),
        };
        PyObject *candidate = new_tuple(items, sizeof items / sizeof *items);
        if (!candidate || PyList_SetItem(found, (Py_ssize_t)nth, candidate) < 0)
            Py_CLEAR(found);
    }
    return found;
}

enum { NAMED = BUFFERS, ALL_BUFFERS };

/* Whether blocks have the measures that are asked for. */
static bool have_measures(const PictureTables *tables, const RuledBlocks *blocks)
{
    size_t width = blocks->width;
    bool have = (uint64_t)tables->linked < width && (uint64_t)tables->near_caption - 1 < width
                && (uint64_t)tables->near_figure - 1 < width && (uint64_t)tables->around_figure - 1 < width;
    for (int nth = 0; nth < UNWANTED; nth++)
        have &= (uint64_t)tables->unwanted[nth] - 1 < width;
    return have;
}

static bool are_tables(const PictureTables *tables)
{
    enum { FROM = offsetof(PictureTables, some_text), TO = offsetof(PictureTables, unwanted) };
    int64_t numbers[(TO - FROM) / sizeof(int64_t)];
    memcpy(numbers, (const uint8_t *)tables + FROM, sizeof numbers);
    bool fit = tables->href.length && tables->href.length <= RULE_WORD && tables->named_boxes <= UINT8_MAX;
    for (size_t nth = 0; nth < sizeof numbers / sizeof *numbers; nth++)
        fit &= numbers[nth] >= 0;
    for (size_t nth = 0; nth < ATTRIBUTES; nth++)
        fit &= tables->attributes[nth].length && tables->attributes[nth].length <= RULE_WORD;
    for (size_t nth = 0; nth < ENDINGS; nth++)
        fit &= tables->endings[nth].length <= RULE_WORD;
    for (size_t nth = 0; nth < HINT_LISTS * HINTS; nth++)
        fit &= tables->hints[nth / HINTS][nth % HINTS].length <= RULE_WORD;
    return fit;
}

/* Where results are written; one block of memory. False where there is none. */
static bool make_pictures(Pictures *pictures)
{
    size_t tags = pictures->page->count + 1, blocks = pictures->blocks->count + 1;
    int64_t *memory = malloc(blocks * (5 * sizeof *memory + sizeof(int32_t) + 1) + 2 * tags * sizeof(int32_t));
    if (!memory)
        return false;
    pictures->all_text = memory;
    pictures->text = memory + blocks;
    pictures->kept_text = memory + 2 * blocks;
    pictures->heads = memory + 3 * blocks;
    pictures->kept_heads = memory + 4 * blocks;
    pictures->numbers = (int32_t *)(void *)(memory + 5 * blocks);
    pictures->begins = pictures->numbers + blocks;
    pictures->found = pictures->begins + tags;
    pictures->flags = (uint8_t *)(pictures->found + tags);
    return true;
}

static PyObject *weigh_page(const PictureTables *tables, const Py_buffer *buffers)
{
    Page page;
    RuledBlocks ruled;
    const Py_buffer *named = &buffers[NAMED];
    bool is_sound = read_buffers(buffers, &page, &ruled) && have_measures(tables, &ruled)
                    && named->len % (Py_ssize_t)sizeof(int64_t) == 0
                    && (uintptr_t)named->buf % sizeof(int64_t) == 0;
    Pictures pictures = {
        .tables = tables, .page = &page, .blocks = &ruled, .chrome = buffers[CHROME].buf, .keep = buffers[KEEP].buf,
        .named = named->buf, .named_count = (size_t)named->len / sizeof(int64_t),
    };
    Outcome outcome = UNREADABLE;
    PyObject *found = NULL;
    if (is_sound) {
        Py_BEGIN_ALLOW_THREADS
        outcome = make_pictures(&pictures) ? weigh(&pictures) : NO_MEMORY;
        Py_END_ALLOW_THREADS
    }
    if (outcome == READ) {
        PyObject *items[] = {
            new_candidates(&pictures), new_captions(&pictures), PyBool_FromLong(pictures.in_noscript),
        };
        found = new_tuple(items, sizeof items / sizeof *items);
    } else if (outcome == NO_MEMORY)
        PyErr_NoMemory();
    else
        refuse("weigh_pictures: not the arrays of a page");
    free(pictures.all_text);
    free(pictures.pictures);
    return found;
}

PyObject *weigh_pictures(PyObject *module, PyObject *arguments)
{
    (void)module;
    const char *packed;
    Py_ssize_t packed_size;
    Py_buffer of[ALL_BUFFERS];
    if (!PyArg_ParseTuple(arguments, "y#y*y*y*y*y*y*y*y*y*y*y*y*y*y*:weigh_pictures", &packed, &packed_size,
                          &of[SOURCE], &of[TAGS], &of[STARTS], &of[STOPS], &of[CLOSES], &of[PARENTS], &of[FIRST],
                          &of[LAST], &of[SIZE], &of[MEASURES], &of[SCORES], &of[CHROME], &of[KEEP], &of[NAMED]))
        return NULL;
    PictureTables tables = {0};
    if (packed_size == sizeof tables)
        memcpy(&tables, packed, sizeof tables);
    PyObject *found = are_tables(&tables) ? weigh_page(&tables, of)
                                          : refuse("weigh_pictures: not the tables of pictures");
    for (int nth = 0; nth < ALL_BUFFERS; nth++)
        PyBuffer_Release(&of[nth]);
    return found;
}
