/* What of a page is sure chrome: `sure_chrome` of content_rules.py, with the same result. */

#include "_page_rules.h"

bool survey_blocks(const RuledBlocks *blocks, const Page *page, int64_t *before)
{
    int64_t end = 0, size = 0;
    bool sound = true;
    before[0] = 0;
    for (size_t nth = 0; sound && nth < blocks->count; nth++) {
        sound = blocks->first[nth] >= end && blocks->last[nth] >= blocks->first[nth]
                && blocks->last[nth] < (int64_t)page->count && (uint64_t)blocks->size[nth] <= page->size;
        end = sound ? blocks->last[nth] + 1 : 0;
        before[nth + 1] = size += sound ? blocks->size[nth] : 0;
    }
    return sound && size <= (int64_t)page->size;
}

bool read_buffers(const Py_buffer *buffers, Page *page, RuledBlocks *blocks)
{
    size_t tags = (size_t)buffers[TAGS].len / sizeof(int64_t), count = (size_t)buffers[FIRST].len / sizeof(int64_t);
    size_t row = count * sizeof(float), width = count ? (size_t)buffers[MEASURES].len / row : 0;
    *page = (Page){
        .source = buffers[SOURCE].buf, .size = (size_t)buffers[SOURCE].len, .count = tags,
        .tags = buffers[TAGS].buf, .starts = buffers[STARTS].buf, .stops = buffers[STOPS].buf,
        .closes = buffers[CLOSES].buf, .parents = buffers[PARENTS].buf,
    };
    *blocks = (RuledBlocks){
        .first = buffers[FIRST].buf, .last = buffers[LAST].buf, .size = buffers[SIZE].buf,
        .measures = buffers[MEASURES].buf, .scores = buffers[SCORES].buf, .count = count, .width = width,
    };
    bool alike = tags < INT32_MAX && count && buffers[SOURCE].len <= INT32_MAX;
    for (int nth = TAGS; nth <= SIZE; nth++)
        alike &= (size_t)buffers[nth].len == (nth < FIRST ? tags : count) * sizeof(int64_t)
                 && (uintptr_t)buffers[nth].buf % sizeof(int64_t) == 0;
    return alike && (size_t)buffers[MEASURES].len == width * row && (size_t)buffers[SCORES].len == row
           && (size_t)buffers[CHROME].len == count && (size_t)buffers[KEEP].len == count
           && ((uintptr_t)buffers[MEASURES].buf | (uintptr_t)buffers[SCORES].buf) % sizeof(float) == 0;
}

bool are_sound(const Page *page)
{
    const int64_t *tags = page->tags, *closes = page->closes, *parents = page->parents;
    uint64_t count = page->count;
    int64_t end = 0;
    bool sound = true;
    /* Without a sign what is below zero is above everything: one comparison for both ends. */
    for (uint64_t tag = 0; tag < count; tag++) {
        sound &= ((uint64_t)tags[tag] + 255 < 511) & ((uint64_t)closes[tag] - tag < count - tag);
        sound &= (uint64_t)parents[tag] + 1 <= count;
    }
    for (uint64_t tag = 0; tag < count; tag++) {
        sound &= (page->starts[tag] >= end) & (page->stops[tag] > page->starts[tag]);
        end = page->stops[tag];
    }
    return sound && end <= (int64_t)page->size;
}

bool survey_rules(Rules *rules)
{
    const int64_t *tags = rules->page->tags, *first = rules->blocks->first;
    const uint16_t *traits = rules->tables->traits;
    int32_t *begins = rules->begins, *layouts = rules->layouts, *marked = rules->marked;
    int32_t block = 0, layout = 0, count = (int32_t)rules->page->count, blocks = (int32_t)rules->blocks->count;
    size_t marks = 0;
    int all = 0;
    if (!are_sound(rules->page) || !survey_blocks(rules->blocks, rules->page, rules->before))
        return false;
    for (int32_t tag = 0; tag < count; tag++) {
        int trait = tags[tag] > 0 ? traits[tags[tag]] : 0;
        begins[tag] = block;
        layouts[tag] = layout;
        block += block < blocks && first[block] == tag;
        layout += (trait & IS_LAYOUT) != 0;
        marked[marks] = tag;
        marks += (trait & (IS_LAYOUT - 1)) != 0;
        all |= trait;
    }
    begins[count] = block;
    layouts[count] = layout;
    rules->marked_count = marks;
    rules->is_small = rules->before[blocks] < rules->tables->min_text && !(all & IS_FURNITURE);
    return true;
}

bool is_word(const RuleWord *word, const uint8_t *value, size_t length)
{
    return word->length == length && !memcmp(word->letters, value, length);
}

size_t behind_word(const uint8_t *value, size_t length, size_t at, const RuleWord *word)
{
    if (length - at < word->length)
        return 0;
    for (size_t nth = 0; nth < word->length; nth++)
        if ((value[at + nth] | 0x20) != word->letters[nth])
            return 0;
    return at + word->length;
}

static size_t skip_spaces(const uint8_t *value, size_t length, size_t at)
{
    while (at < length && is_python_space(value[at]))
        at++;
    return at;
}

/* Whether a style hides: a property, white space, `:`, white space and a word, anywhere in it. */
static bool hides(const RuleTables *tables, const uint8_t *style, size_t length)
{
    for (size_t at = 0; at < length; at++)
        for (int nth = 0; nth < HIDING; nth++) {
            size_t next = behind_word(style, length, at, &tables->hiding[nth][0]);
            if (!next)
                continue;
            next = skip_spaces(style, length, next);
            if (next == length || style[next] != ':')
                continue;
            next = skip_spaces(style, length, next + 1);
            if (behind_word(style, length, next, &tables->hiding[nth][1]))
                return true;
        }
    return false;
}

static bool makes_chrome(const RuleTables *tables, int attribute, const uint8_t *value, size_t length)
{
    if (attribute == HIDDEN)
        return !is_word(&tables->found_later, value, length);
    if (attribute == STYLE)
        return hides(tables, value, length);
    for (int role = 0; role < ROLES; role++)
        if (tables->roles[role].length && is_word(&tables->roles[role], value, length))
            return true;
    return false;
}

/* Notes in `changes` where an element of chrome starts and ends, unless it holds most of the page. */
static void add_chrome(const Rules *rules, size_t tag, int32_t *changes)
{
    size_t begin = begin_in(rules, tag), end = end_in(rules, tag);
    int64_t inside = rules->before[end] - rules->before[begin];
    if (PERCENT * inside <= rules->tables->max_share * rules->before[rules->blocks->count]) {
        changes[begin]++;
        changes[end]--;
    }
}

/* Each `=` of 64 bytes that stands behind one of three letters; the bit is the letter's. */
static uint64_t name_ends(const uint8_t *source, size_t size, size_t from, uint8_t one, uint8_t two, uint8_t three)
{
    uint8_t rest[65], ends[64];
    const uint8_t *octets = source + from;
    if (size - from < sizeof rest) {
        memset(rest, 0, sizeof rest);
        memcpy(rest, octets, size - from);
        octets = rest;
    }
    for (int at = 0; at < 64; at++)
        ends[at] = ((octets[at] == one) | (octets[at] == two) | (octets[at] == three)) & (octets[at + 1] == '=');
    return equal_bytes(ends, 1, 0);
}

/* The eight bytes up to the quote tell attributes apart; what is before these is looked at then. */
typedef struct {
    uint64_t key, mask;
} Ending;

static Ending ending_of(const RuleWord *attribute)
{
    uint8_t padded[8 + RULE_WORD] = {0};
    memcpy(padded + 8, attribute->letters, RULE_WORD);
    size_t shorter = attribute->length < 8 ? 8u - attribute->length : 0;
    return (Ending){eight_from(padded, sizeof padded, attribute->length), ~low_bytes(shorter)};
}

static bool differs(Ending ending, uint64_t eight)
{
    return (eight & ending.mask) != ending.key;
}

static bool ends_name(uint8_t byte)
{
    return is_python_space(byte) || byte == '=' || byte == '>' || byte == '/';
}

bool next_attribute(const uint8_t *source, size_t at, size_t stop, Attribute *found)
{
    while ((at = find_byte(source, stop, at, ' ')) < stop) {
        size_t end = at + 1;
        while (end < stop && !ends_name(source[end]))
            end++;
        size_t value = end + 2;
        size_t closing = value < stop && source[end] == '=' && source[end + 1] == '"' && end > at + 1
                             ? find_byte(source, stop, value, '"')
                             : stop;
        if (closing < stop) {
            *found = (Attribute){at, value, closing};
            return true;
        }
        at = end;
    }
    return false;
}

bool find_attribute(const Page *page, size_t tag, const RuleWord *name, Attribute *found)
{
    const uint8_t *source = page->source;
    size_t at = (size_t)page->starts[tag], stop = (size_t)page->stops[tag];
    bool is_there = false;
    for (Attribute each; next_attribute(source, at, stop, &each); at = each.closing + 1)
        if (is_word(name, source + each.begin, each.value - each.begin)) {
            *found = each;
            is_there = true;
        }
    return is_there;
}

/* Whether an attribute of a tag makes it chrome. */
static bool is_chrome_by_attributes(const Rules *rules, size_t tag)
{
    const uint8_t *source = rules->page->source;
    size_t at = (size_t)rules->page->starts[tag], stop = (size_t)rules->page->stops[tag];
    for (Attribute found; next_attribute(source, at, stop, &found); at = found.closing + 1)
        for (int name = 0; name < RULE_ATTRIBUTES; name++)
            if (is_word(&rules->tables->attributes[name], source + found.begin, found.value - found.begin)
                && makes_chrome(rules->tables, name, source + found.value, found.closing - found.value))
                return true;
    return false;
}

static uint8_t last_letter(const RuleWord *attribute)
{
    return (uint8_t)attribute->letters[attribute->length - 3];
}

static void add_by_attributes(const Rules *rules, int32_t *changes)
{
    const Page *page = rules->page;
    const RuleWord *names = rules->tables->attributes;
    Ending role = ending_of(&names[ROLE]), hidden = ending_of(&names[HIDDEN]), style = ending_of(&names[STYLE]);
    uint8_t one = last_letter(&names[ROLE]), two = last_letter(&names[HIDDEN]), three = last_letter(&names[STYLE]);
    size_t tag = 0, behind_tag = 0;
    for (size_t from = 0; from < page->size; from += 64) {
        uint64_t found = name_ends(page->source, page->size, from, one, two, three);
        for (; found; found &= found - 1) {
            size_t value = from + (size_t)__builtin_ctzll(found) + 3;
            uint64_t eight = value < 8 || value > page->size ? 0 : eight_from(page->source, page->size, value - 8);
            if (differs(role, eight) & differs(hidden, eight) & differs(style, eight))
                continue;
            int name = !differs(role, eight) ? ROLE : !differs(hidden, eight) ? HIDDEN : STYLE;
            size_t end = find_byte(page->source, page->size, value, '"');
            if (value <= behind_tag || !makes_chrome(rules->tables, name, page->source + value, end - value))
                continue;
            /* It may be the end of another value, or text: the tag tells, once for all of its attributes. */
            while (tag + 1 < page->count && page->starts[tag + 1] < (int64_t)value)
                tag++;
            if (behind_tag < (size_t)page->stops[tag] && is_chrome_by_attributes(rules, tag))
                add_chrome(rules, tag, changes);
            behind_tag = (size_t)page->stops[tag];
        }
    }
}

void find_chrome(const Rules *rules)
{
    int32_t *changes = rules->numbers, open = 0;
    size_t article_end = 0;
    memset(changes, 0, (rules->blocks->count + 1) * sizeof *changes);
    for (size_t nth = 0; nth < rules->marked_count; nth++) {
        size_t tag = (size_t)rules->marked[nth];
        int trait = trait_of(rules, tag);
        if (trait & IS_ARTICLE && tag >= article_end)
            article_end = (size_t)rules->page->closes[tag];
        if (trait & IS_CHROME || (trait & IS_FOOTER && tag >= article_end))
            add_chrome(rules, tag, changes);
    }
    add_by_attributes(rules, changes);
    for (size_t block = 0; block < rules->blocks->count; block++)
        rules->chrome[block] = (open += changes[block]) > 0;
}
