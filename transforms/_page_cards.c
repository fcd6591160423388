/* Pictures that stand with the headline of another page: image_cards.py, with the same result. */

#include "_page_pictures.h"

/* A bit for each of 64 places with one byte there and another one some bytes behind. */
static uint64_t pairs_of(const uint8_t *octets, uint8_t first, size_t apart, uint8_t last)
{
#ifdef __SSE2__
    __m128i firsts = _mm_set1_epi8((char)first), lasts = _mm_set1_epi8((char)last), both[4];
    for (size_t nth = 0; nth < 4; nth++) {
        __m128i here = _mm_loadu_si128((const __m128i *)(const void *)(octets + 16 * nth));
        __m128i there = _mm_loadu_si128((const __m128i *)(const void *)(octets + 16 * nth + apart));
        both[nth] = _mm_and_si128(_mm_cmpeq_epi8(here, firsts), _mm_cmpeq_epi8(there, lasts));
    }
    if (!_mm_movemask_epi8(_mm_or_si128(_mm_or_si128(both[0], both[1]), _mm_or_si128(both[2], both[3]))))
        return 0;
    uint64_t found = 0;
    for (size_t nth = 0; nth < 4; nth++)
        found |= (uint64_t)(uint32_t)_mm_movemask_epi8(both[nth]) << 16 * nth;
    return found;
#else
    return equal_bytes(octets, first, 0) & equal_bytes(octets + apart, last, 0);
#endif
}

size_t find_bytes(const uint8_t *octets, size_t from, size_t stop, const uint8_t *word, size_t length)
{
    size_t last = length - 1;
    for (; from < stop && stop - from >= 64 + last; from += 64)
        for (uint64_t found = pairs_of(octets + from, word[0], last, word[last]); found; found &= found - 1) {
            size_t at = from + (size_t)__builtin_ctzll(found);
            if (!memcmp(octets + at, word, length))
                return at;
        }
    for (; from < stop && stop - from >= length; from++) {
        from = find_byte(octets, stop - last, from, word[0]);
        if (from == stop - last)
            break;
        if (!memcmp(octets + from, word, length))
            return from;
    }
    return stop;
}

/* The link that a picture stands in; 0 where there is none near. */
static size_t link_around(const Pictures *pictures, size_t picture)
{
    int64_t element = (int64_t)picture;
    for (int64_t step = 0; step < pictures->tables->link_steps; step++) {
        element = pictures->page->parents[element];
        if (element <= 0)
            return 0;
        if (picture_trait(pictures, (size_t)element) & IS_ANCHOR)
            return (size_t)element;
    }
    return 0;
}

/* Whether what a link leads to has the ending of a picture file. */
static bool is_picture_file(const PictureTables *tables, const uint8_t *reference, size_t length)
{
    for (size_t dot = 0; (dot = find_byte(reference, length, dot, '.')) < length; dot++)
        for (int nth = 0; nth < ENDINGS; nth++) {
            const RuleWord *ending = &tables->endings[nth];
            size_t end = ending->length ? behind_word(reference, length, dot + 1, ending) : 0;
            /* An expression's `$` is also before a last line end. */
            if (end && (end == length || reference[end] == '?' || reference[end] == '#'
                        || (end + 1 == length && reference[end] == '\n')))
                return true;
        }
    return false;
}

/* The attribute that says where a link leads, with its name; its length, 0 if to no other page. */
static size_t reference_of(const Pictures *pictures, size_t link, const uint8_t **reference)
{
    const PictureTables *tables = pictures->tables;
    const uint8_t *source = pictures->page->source;
    size_t start = (size_t)pictures->page->starts[link], stop = (size_t)pictures->page->stops[link];
    size_t name = tables->href.length;
    if (stop - start > (size_t)tables->longest_link)
        stop = start + (size_t)tables->longest_link;
    size_t begin = find_bytes(source, start, stop, (const uint8_t *)tables->href.letters, name);
    if (begin == stop)
        return 0;
    size_t end = find_byte(source, stop, begin + name, '"');
    *reference = source + begin;
    if (end == stop || end == begin + name || source[begin + name] == '#'
        || is_picture_file(tables, source + begin, end - begin))
        return 0;
    return end + 1 - begin;
}

static bool has_headline(const Pictures *pictures, size_t link)
{
    static const uint8_t BLANK[] = {'&', 'n', 'b', 's', 'p', ';'};
    const Page *page = pictures->page;
    size_t at = (size_t)page->stops[link], end = (size_t)page->starts[page->closes[link]];
    int64_t seen = 0;
    if (end > at && end - at > (size_t)pictures->tables->longest_link)
        end = at + (size_t)pictures->tables->longest_link;
    size_t last_tag = end; /* where tags stop to have an end */
    while (at < end && seen < pictures->tables->headline) {
        uint8_t octet = page->source[at];
        if (octet == '<' && at < last_tag) {
            size_t close = find_byte(page->source, end, at, '>');
            if (close < end) {
                at = close + 1;
                continue;
            }
            last_tag = at;
        }
        if (octet == '&' && end - at >= sizeof BLANK && !memcmp(page->source + at, BLANK, sizeof BLANK)) {
            at += sizeof BLANK;
            continue;
        }
        seen += !is_python_space(octet);
        at++;
    }
    return seen >= pictures->tables->headline;
}

/* The tag at a place, or before it, between two; `low` starts before the place. */
static size_t tag_before(const Page *page, size_t low, size_t high, size_t place)
{
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (page->starts[middle] < (int64_t)place)
            low = middle;
        else
            high = middle;
    }
    return low;
}

/* A link around a picture, while others to the same page are looked for. */
typedef struct {
    const uint8_t *reference;
    size_t length;
    int64_t here;  /* links, and what reads like one, in the element */
    int64_t links; /* in it and all those in it, each counted as often as it was in one */
} Search;

/* The first link with a headline that starts between two places of an element; 0 if there is none. */
static size_t find_link(const Pictures *pictures, Search *search, size_t element, size_t from, size_t stop)
{
    const Page *page = pictures->page;
    size_t tag = element, behind = (size_t)page->closes[element] + 1, name = pictures->tables->href.length;
    for (; (from = find_bytes(page->source, from, stop, search->reference, search->length)) < stop; from += name) {
        tag = tag_before(page, tag, behind, from);
        bool is_link = (int64_t)from < page->stops[tag] && picture_trait(pictures, tag) & IS_ANCHOR;
        if (is_link && has_headline(pictures, tag))
            return tag;
        search->here++;
        if (++search->links > pictures->tables->max_links)
            return 0;
    }
    return 0;
}

/* Finds the smallest element that holds a picture and a text that links to the same page. */
static void find_card(const Pictures *pictures, Picture *picture)
{
    const PictureTables *tables = pictures->tables;
    const Page *page = pictures->page;
    size_t link = link_around(pictures, (size_t)picture->tag);
    Search search = {0};
    if (link)
        search.length = reference_of(pictures, link, &search.reference);
    if (!search.length)
        return;
    if (has_headline(pictures, link)) {
        picture->link = picture->element = (int32_t)link;
        return;
    }
    int64_t element = page->parents[link];
    /* What was looked through: a reference holds no `<` or `>`, so none lies across its ends. */
    size_t seen_from = (size_t)page->starts[link], seen_to = seen_from;
    for (int64_t step = 0; step < tables->max_steps && element > 0; step++) {
        size_t begin = (size_t)page->starts[element], end = (size_t)page->stops[page->closes[element]];
        if (end - begin > (size_t)tables->widest_card)
            return;
        int64_t before = search.here;
        size_t found = find_link(pictures, &search, (size_t)element, begin, seen_from);
        if (!found) {
            search.links += before;
            if (search.links > tables->max_links)
                return;
            found = find_link(pictures, &search, (size_t)element, seen_to, end);
        }
        if (found) {
            picture->link = (int32_t)found;
            picture->element = (int32_t)element;
            return;
        }
        if (search.links > tables->max_links)
            return;
        seen_from = begin;
        seen_to = end;
        element = page->parents[element];
    }
}

/* Adds up, by element, the paragraphs directly in it that are kept outside cards; the largest sum. */
static int64_t add_prose(const Pictures *pictures, const int32_t *changes, int64_t *prose)
{
    const Page *page = pictures->page;
    const RuledBlocks *blocks = pictures->blocks;
    int64_t largest = 0;
    int32_t cards = 0;
    for (size_t block = 0; block < blocks->count; block++) {
        cards += changes[block];
        if (cards || !pictures->keep[block] || pictures->flags[block] & CAPTION
            || blocks->size[block] < pictures->tables->prose
            || !(2 * blocks->measures[block * blocks->width + (size_t)pictures->tables->linked] < LINKED_UNIT))
            continue;
        /* A paragraph is the start tag before the text, or the element around the end tag before it. */
        int64_t paragraph = blocks->first[block];
        if (page->closes[paragraph] <= paragraph)
            paragraph = page->parents[paragraph];
        int64_t element = page->parents[paragraph > 0 ? paragraph : 0];
        int64_t sum = prose[element > 0 ? element : 0] += blocks->size[block];
        largest = sum > largest ? sum : largest;
    }
    return largest;
}

static bool is_among_prose(const Pictures *pictures, const int64_t *prose, const Picture *picture)
{
    int64_t element = picture->element;
    for (int64_t step = 0; step < pictures->tables->prose_steps; step++) {
        element = pictures->page->parents[element];
        if (element <= 0)
            return false;
        if (prose[element] >= pictures->tables->among_prose)
            return true;
    }
    return false;
}

/* Whether the model is sure of a kept text of a link. */
static bool is_sure(const Pictures *pictures, size_t link)
{
    size_t first = (size_t)pictures->begins[link + 1], stop = behind_last(pictures, link);
    for (size_t block = first ? first - 1 : 0; block < stop; block++)
        if (pictures->keep[block] && pictures->blocks->scores[block] >= pictures->tables->sure_card)
            return true;
    return false;
}

static void judge(const Pictures *pictures, size_t looked_at, const int64_t *prose, bool has_article)
{
    int32_t last_link = -1, last_place = 0;
    for (size_t nth = 0; nth < looked_at; nth++) {
        Picture *picture = &pictures->pictures[nth];
        int64_t size = pictures->heads[picture->end] - pictures->heads[picture->begin];
        int64_t kept = pictures->kept_heads[picture->end] - pictures->kept_heads[picture->begin];
        if (!picture->link || size <= 0 || size > pictures->tables->largest_card)
            continue;
        /* The same link again, behind text: the picture for another width of screen. */
        bool again = picture->link == last_link
                     && pictures->all_text[picture->place] > pictures->all_text[last_place];
        last_link = picture->link;
        last_place = picture->place;
        if (2 * kept < size)
            picture->verdict = has_article ? GOES : OPEN;
        else if (again)
            picture->verdict = GOES;
        else
            picture->verdict = !has_article || is_among_prose(pictures, prose, picture)
                                       || is_sure(pictures, (size_t)picture->link)
                                   ? STAYS
                                   : GOES;
    }
}

Outcome judge_cards(const Pictures *pictures)
{
    int32_t *changes = pictures->numbers;
    size_t looked_at = pictures->count, cards = 0;
    if (looked_at > (size_t)pictures->tables->max_cards)
        looked_at = (size_t)pictures->tables->max_cards;
    memset(changes, 0, (pictures->blocks->count + 1) * sizeof *changes);
    for (size_t nth = 0; nth < looked_at; nth++) {
        Picture *picture = &pictures->pictures[nth];
        find_card(pictures, picture);
        if (!picture->link)
            continue;
        /* A line that a card stands in is that of the card. */
        int32_t begin = (int32_t)first_in(pictures, (size_t)picture->element);
        int32_t end = (int32_t)behind_last(pictures, (size_t)picture->element);
        picture->begin = begin < picture->place ? begin : picture->place;
        picture->end = end > picture->place + 1 ? end : picture->place + 1;
        changes[picture->begin]++;
        changes[picture->end]--;
        cards++;
    }
    if (!cards)
        return READ;
    int64_t *prose = calloc(pictures->page->count, sizeof *prose);
    if (!prose)
        return NO_MEMORY;
    bool has_article = add_prose(pictures, changes, prose) >= pictures->tables->article;
    judge(pictures, looked_at, prose, has_article);
    free(prose);
    return READ;
}
