/* What the names of elements say, as bits: content_names.py, with the same numbers. */

#include "_page_kernel.h"

/* How an attribute is read; page_kernel.py passes the numbers of content_names.py. */
enum { NAMED = 1, CLASS, STYLE, FLAG, ARIA };

/* The distinct values of the attributes of a page, numbered as they come. */
typedef struct {
    size_t begin, length;
    uint64_t hash;
    int64_t bits; /* of its words; `UNKNOWN` until somebody asks */
} Value;

typedef struct {
    Value *at;
    int32_t *slots; /* a number from 1, or 0 */
    size_t count, slot_count;
} Values;

enum { UNKNOWN = -1, FIRST_SLOTS = 1024, EIGHT_BYTES = 8 };

static bool is_lower(uint8_t byte)
{
    return (uint8_t)(byte - 'a') < 26;
}

static bool is_upper(uint8_t byte)
{
    return (uint8_t)(byte - 'A') < 26;
}

static size_t slot_of_word(const uint64_t key[2])
{
    return (size_t)(((key[0] ^ key[1] * 0xff51afd7ed558ccdu) * 0x9e3779b97f4a7c15u) >> 52);
}

/* False where the table is full; `word` has `WORD_BYTES`, zeros behind its lower-case letters. */
static bool add_word(NameTables *tables, const uint8_t *word, int64_t bits)
{
    uint64_t key[2];
    memcpy(key, word, sizeof key);
    if (tables->word_count == MAX_WORDS)
        return false;
    size_t slot = slot_of_word(key);
    while (tables->word_slots[slot])
        slot = (slot + 1) % WORD_SLOTS;
    memcpy(tables->words[tables->word_count].key, key, sizeof key);
    tables->words[tables->word_count++].bits = bits;
    tables->word_slots[slot] = (uint16_t)tables->word_count;
    return true;
}

/* Words come with the bits of their groups; false where the table is full. */
bool fill_words(NameTables *names, const uint8_t *words, size_t size)
{
    for (size_t at = 0; at < size; at += WORD_BYTES + EIGHT_BYTES)
        if (!add_word(names, words + at, (int64_t)eight_from(words, size, at + WORD_BYTES)))
            return false;
    return true;
}

/* Attributes come as eight bytes from the space before them, which of these count, and a kind. */
bool fill_attributes(NameTables *names, const uint8_t *attributes, size_t size)
{
    enum { EACH = 3 * EIGHT_BYTES };
    size_t count = 0;
    for (size_t slot = 0; slot < ATTRIBUTE_SLOTS; slot++) {
        names->attributes_from[slot] = (uint8_t)count;
        for (size_t at = 0; at < size; at += EACH) {
            uint64_t key = eight_from(attributes, size, at);
            if (attribute_slot(key) == slot && count < MAX_ATTRIBUTES) {
                names->attributes[count].key = key;
                names->attributes[count].mask = eight_from(attributes, size, at + EIGHT_BYTES);
                names->attributes[count++].kind = (int64_t)eight_from(attributes, size, at + 2 * EIGHT_BYTES);
            }
        }
    }
    names->attributes_from[ATTRIBUTE_SLOTS] = (uint8_t)count;
    return count * EACH == size;
}

/* The groups of a word, whose letters may be of either case. */
static int64_t bits_of_word(const NameTables *tables, const uint8_t *word, size_t length)
{
    if (length > WORD_BYTES)
        return 0;
    uint64_t key[2];
    memcpy(key, word, sizeof key);
    key[0] = (key[0] | EIGHT(0x20)) & low_bytes(length);
    key[1] = length > 8 ? (key[1] | EIGHT(0x20)) & low_bytes(length - 8) : 0;
    size_t slot = slot_of_word(key);
    for (; tables->word_slots[slot]; slot = (slot + 1) % WORD_SLOTS) {
        size_t found = tables->word_slots[slot] - 1u;
        if (tables->words[found].key[0] == key[0] && tables->words[found].key[1] == key[1])
            return tables->words[found].bits;
    }
    return 0;
}

/* The end of the word that starts at `at`: `[A-Z]?[a-z]+|[A-Z]+(?![a-z])`. */
static size_t word_end(const uint8_t *value, size_t length, size_t at)
{
    size_t end = at + 1;
    if (is_upper(value[at]) && !(end < length && is_lower(value[end]))) {
        while (end < length && is_upper(value[end]))
            end++;
        /* The hump of the next word: at least two capitals were passed then. */
        return end < length && is_lower(value[end]) ? end - 1 : end;
    }
    while (end < length && is_lower(value[end]))
        end++;
    return end;
}

static int64_t bits_of_words(const NameTables *tables, const uint8_t *value, size_t length)
{
    int64_t bits = 0;
    for (size_t at = 0; at < length;) {
        if (!is_lower(value[at]) && !is_upper(value[at])) {
            at++;
            continue;
        }
        size_t end = word_end(value, length, at);
        bits |= bits_of_word(tables, value + at, end - at);
        at = end;
    }
    return bits;
}

uint64_t hash_of(const uint8_t *value, size_t length, uint64_t seed)
{
    uint64_t hash = seed ^ length, eight;
    for (size_t at = 0; at < length; at += 8) {
        memcpy(&eight, value + at, sizeof eight);
        hash = mix(hash ^ 0x9e3779b97f4a7c15u, (eight & low_bytes(length - at)) ^ seed);
    }
    return mix(hash, 0xff51afd7ed558ccdu);
}

/* Twice the slots, and the numbers where they belong among them. */
static bool grow(Values *values)
{
    size_t slot_count = values->slot_count ? 2 * values->slot_count : FIRST_SLOTS;
    if (slot_count > INT32_MAX)
        return false;
    Value *at = realloc(values->at, slot_count / 2 * sizeof *at);
    if (at)
        values->at = at;
    int32_t *slots = calloc(slot_count, sizeof *slots);
    if (!at || !slots) {
        free(slots);
        return false;
    }
    for (size_t number = 1; number <= values->count; number++) {
        size_t slot = at[number - 1].hash % slot_count;
        while (slots[slot])
            slot = (slot + 1) % slot_count;
        slots[slot] = (int32_t)number;
    }
    free(values->slots);
    values->slots = slots;
    values->slot_count = slot_count;
    return true;
}

/* The number of a value from 1 on; 0 where memory ran out. */
static size_t number_of(Values *values, const uint8_t *source, size_t begin, size_t length, uint64_t seed)
{
    if (values->count == values->slot_count / 2 && !grow(values))
        return 0;
    uint64_t hash = hash_of(source + begin, length, seed);
    size_t slot = hash & (values->slot_count - 1);
    for (; values->slots[slot]; slot = (slot + 1) & (values->slot_count - 1)) {
        const Value *value = &values->at[values->slots[slot] - 1];
        if (value->hash == hash && value->length == length
            && !memcmp(source + value->begin, source + begin, length))
            return (size_t)values->slots[slot];
    }
    values->at[values->count++] = (Value){begin, length, hash, UNKNOWN};
    values->slots[slot] = (int32_t)values->count;
    return values->count;
}

/* Whether a style holds a property, white space, `:`, white space and a word. */
static bool sets(const uint8_t *style, size_t length, const char *property, const char *word)
{
    size_t property_length = strlen(property), word_length = strlen(word);
    for (size_t at = 0; (at = find_byte(style, length, at, (uint8_t)property[0])) < length; at++) {
        if (length - at < property_length || memcmp(style + at, property, property_length))
            continue;
        size_t next = at + property_length;
        while (next < length && is_python_space(style[next]))
            next++;
        if (next == length || style[next++] != ':')
            continue;
        while (next < length && is_python_space(style[next]))
            next++;
        if (length - next >= word_length && !memcmp(style + next, word, word_length))
            return true;
    }
    return false;
}

static int64_t bits_of_value(const NameTables *tables, const uint8_t *source, Value *value, int64_t kind)
{
    const uint8_t *octets = source + value->begin;
    bool hides = kind == FLAG;
    if (kind <= CLASS) {
        if (value->bits == UNKNOWN)
            value->bits = bits_of_words(tables, octets, value->length);
        return value->bits;
    }
    if (kind == ARIA)
        hides = value->length == 4 && !memcmp(octets, "true", 4);
    if (kind == STYLE)
        hides = sets(octets, value->length, "display", "none")
                || sets(octets, value->length, "visibility", "hidden");
    return hides ? tables->hidden : 0;
}

/* How an attribute is read, by the eight bytes from the space before it; 0 if it is not. */
static int64_t kind_of(const NameTables *tables, uint64_t eight)
{
    size_t slot = attribute_slot(eight);
    for (size_t at = tables->attributes_from[slot]; at < tables->attributes_from[slot + 1]; at++)
        if ((eight & tables->attributes[at].mask) == tables->attributes[at].key)
            return tables->attributes[at].kind;
    return 0;
}

/* The value behind a place: from the first `"` to the next one, wherever they stand.

   A name that is read may also stand inside the value of another attribute, any number of times;
   then what is taken for its value is what all of them share, and is looked at once. */
typedef struct {
    size_t opening, closing; /* of the last value */
    size_t number;
} Cursor;

static bool move_to(Cursor *cursor, Values *values, const Page *page, size_t place, uint64_t seed)
{
    if (cursor->number && place <= cursor->opening)
        return true;
    size_t opening = cursor->number && place <= cursor->closing
                         ? cursor->closing
                         : find_byte(page->source, page->size, place, '"');
    cursor->opening = opening;
    size_t begin = opening < page->size ? opening + 1 : page->size;
    cursor->closing = find_byte(page->source, page->size, begin, '"');
    cursor->number = number_of(values, page->source, begin, cursor->closing - begin, seed);
    return cursor->number != 0;
}

/* Of each tag, the groups of its names as bits, and a number for its class on this page. */
Outcome read_names(const NameTables *tables, const Page *page, int64_t *bits, int32_t *classes)
{
    Values values = {0};
    Cursor cursor = {0};
    Outcome outcome = READ;
    for (size_t tag = 0; tag < page->count; tag++) {
        size_t stop = (size_t)page->stops[tag];
        bits[tag] = classes[tag] = 0;
        for (size_t from = (size_t)page->starts[tag] + 1; from < stop; from += 64) {
            uint64_t spaces = equal_bytes(page->source + from, ' ', 0);
            for (spaces &= low_bits(stop - from); spaces; spaces &= spaces - 1) {
                size_t place = from + (size_t)__builtin_ctzll(spaces);
                uint64_t eight;
                memcpy(&eight, page->source + place, sizeof eight);
                int64_t kind = kind_of(tables, eight);
                if (!kind)
                    continue;
                if (!move_to(&cursor, &values, page, place, tables->seed)) {
                    outcome = NO_MEMORY;
                    goto done;
                }
                bits[tag] |= bits_of_value(tables, page->source, &values.at[cursor.number - 1], kind);
                if (kind == CLASS)
                    classes[tag] = (int32_t)cursor.number;
            }
        }
    }
done:
    free(values.at);
    free(values.slots);
    return outcome;
}
