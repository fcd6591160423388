/* Texts and values of attributes as canonical markup spells them: references read, then written. */

#include "_page_stream.h"

enum { PART = 16 };

static const uint32_t FROM_WINDOWS[32] = { /* 13.2.5.80, by number from 0x80 */
    0x20ac, 0x81,   0x201a, 0x192,  0x201e, 0x2026, 0x2020, 0x2021, 0x2c6,  0x2030, 0x160,
    0x2039, 0x152,  0x8d,   0x17d,  0x8f,   0x90,   0x2018, 0x2019, 0x201c, 0x201d, 0x2022,
    0x2013, 0x2014, 0x2dc,  0x2122, 0x161,  0x203a, 0x153,  0x9d,   0x17e,  0x178,
};

/* --- Character references --- */

static size_t reference_slot(const StreamTables *tables, const uint8_t *name, size_t size)
{
    uint64_t hash = size;
    for (size_t at = 0; at < size; at += 8)
        hash = mix(hash ^ eight_from(name, size, at), 0x9e3779b97f4a7c15u);
    size_t slot = hash % REFERENCE_SLOTS;
    for (; tables->reference_slots[slot]; slot = (slot + 1) % REFERENCE_SLOTS) {
        const Reference *each = &tables->references[tables->reference_slots[slot] - 1];
        if (each->size == size && !memcmp(each->name, name, size))
            break;
    }
    return slot;
}

/* Takes them as a byte of length and a name, a byte of length and a value; false where there are too many. */
bool fill_references(StreamTables *tables, const uint8_t *references, size_t size)
{
    for (size_t at = 0; at < size;) {
        size_t name_size = references[at], value = at + 1 + name_size;
        if (value >= size || size - value - 1 < references[value] || name_size > LONGEST_REFERENCE || !name_size
            || references[value] > LONGEST_VALUE || tables->reference_count == MAX_REFERENCES)
            return false;
        Reference *made = &tables->references[tables->reference_count++];
        made->size = (uint8_t)name_size;
        made->value_size = references[value];
        memcpy(made->name, references + at + 1, name_size);
        memcpy(made->value, references + value + 1, made->value_size);
        tables->reference_slots[reference_slot(tables, made->name, name_size)] = (uint16_t)tables->reference_count;
        at = value + 1 + made->value_size;
    }
    return true;
}

static const Reference *find_reference(const StreamTables *tables, const uint8_t *name, size_t size)
{
    if (size > LONGEST_REFERENCE)
        return NULL;
    uint16_t number = tables->reference_slots[reference_slot(tables, name, size)];
    return number ? &tables->references[number - 1] : NULL;
}

static bool is_digit(uint8_t byte)
{
    return (uint8_t)(byte - '0') < 10;
}

static bool is_alphanumeric(uint8_t byte)
{
    return is_letter(byte) || is_digit(byte);
}

static int digit_of(uint8_t byte, uint32_t base)
{
    if (is_digit(byte))
        return byte - '0';
    unsigned letter = (unsigned)(byte | 0x20) - 'a';
    return base == 16 && letter < 6 ? (int)letter + 10 : -1;
}

/* Reads a number behind `&#`; gives the bytes behind the `&` that it takes, 0 where there is none. */
static size_t read_number(const uint8_t *octets, size_t from, size_t to, uint8_t *value, size_t *value_size)
{
    size_t at = from + 1;
    uint32_t base = at < to && (octets[at] | 0x20) == 'x' ? 16 : 10, number = 0;
    at += base == 16;
    size_t begin = at;
    for (int digit; at < to && (digit = digit_of(octets[at], base)) >= 0; at++)
        number = number > 0x10ffff ? number : number * base + (uint32_t)digit;
    if (at == begin)
        return 0;
    if (!number || number > 0x10ffff || (number >= 0xd800 && number < 0xe000))
        number = 0xfffd;
    else if (number >= 0x80 && number < 0xa0)
        number = FROM_WINDOWS[number - 0x80];
    value[0] = (uint8_t)number;
    *value_size = number < 0x80 ? 1 : write_character(number, value);
    return at + (at < to && octets[at] == ';') - from;
}

/* Writes what a reference stands for, from behind its `&`; gives the bytes it takes, 0 if it is none. */
static size_t write_reference(Stream *stream, size_t from, size_t to, bool in_quotes)
{
    const uint8_t *octets = stream->octets;
    uint8_t number[LONGEST_VALUE];
    const uint8_t *value = number;
    size_t value_size = 0, used = 0;
    if (from < to && octets[from] == '#')
        used = read_number(octets, from, to, number, &value_size);
    else {
        size_t end = from;
        while (end < to && is_alphanumeric(octets[end]))
            end++;
        const Reference *found = NULL;
        if (end > from && end < to && octets[end] == ';')
            found = find_reference(stream->tables, octets + from, end + 1 - from);
        for (size_t size = end - from < LONGEST_LEGACY ? end - from : LONGEST_LEGACY; !found && size > 1; size--)
            found = find_reference(stream->tables, octets + from, size);
        /* In a value, what goes on like a name is one: `?a=1&copy=2`. */
        if (found && in_quotes && found->name[found->size - 1] != ';' && from + found->size < to
            && (octets[from + found->size] == '=' || is_alphanumeric(octets[from + found->size])))
            found = NULL;
        if (found) {
            used = found->size;
            value = found->value;
            value_size = found->value_size;
        }
    }
    if (used)
        write_escaped(&stream->out, value, value_size, in_quotes);
    return used;
}

/* --- Characters --- */

/* A bit for each of 16 bytes that may need more than to be copied. */
static inline unsigned special_of_16(const uint8_t *octets, bool in_quotes)
{
#ifdef __SSE2__
    __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)octets);
    /* `<` and `>` differ in one bit. */
    __m128i found = _mm_cmpeq_epi8(_mm_or_si128(bytes, _mm_set1_epi8('<' ^ '>')), _mm_set1_epi8('>'));
    found = _mm_or_si128(found, _mm_cmpeq_epi8(bytes, _mm_set1_epi8('&')));
    found = _mm_or_si128(found, _mm_cmpeq_epi8(bytes, _mm_set1_epi8('\r')));
    found = _mm_or_si128(found, _mm_cmpeq_epi8(bytes, _mm_set1_epi8((char)NBSP_1)));
    if (in_quotes)
        found = _mm_or_si128(found, _mm_cmpeq_epi8(bytes, _mm_set1_epi8('"')));
    return (unsigned)_mm_movemask_epi8(found);
#else
    unsigned found = 0;
    for (unsigned nth = 0; nth < PART; nth++) {
        uint8_t byte = octets[nth];
        bool is_special = byte == '<' || byte == '>' || byte == '&' || byte == '\r' || byte == NBSP_1;
        found |= (unsigned)(is_special || (in_quotes && byte == '"')) << nth;
    }
    return found;
#endif
}

/* Writes the special character at an offset; gives the offset behind it. */
static size_t write_special(Stream *stream, size_t at, size_t to, bool in_quotes)
{
    const uint8_t *octets = stream->octets;
    Markup *out = &stream->out;
    uint8_t byte = octets[at];
    size_t used;
    switch (byte) {
    case '&':
        if ((used = write_reference(stream, at + 1, to, in_quotes)))
            return at + 1 + used;
        break;
    case '\r': /* 13.2.3.5: CR LF and CR are a line feed */
        write_bytes(out, "\n", 1);
        return at + 1 + (at + 1 < to && octets[at + 1] == '\n');
    case NBSP_1:
        if (to - at < 2 || octets[at + 1] != NBSP_2) {
            write_bytes(out, octets + at, 1);
            return at + 1;
        }
        break;
    default:
        break;
    }
    uint8_t *end = room_for(out, LONGEST_ENTITY + 2);
    if (end)
        out->size += write_entity(byte, end);
    return at + 1 + (byte == NBSP_1);
}

/* Writes a range of the source, behind which there are `PADDING` bytes. */
static inline void write_range(Stream *stream, size_t from, size_t to, bool in_quotes)
{
    const uint8_t *octets = stream->octets;
    for (size_t at = from; at < to;) {
        uint8_t *end = room_for(&stream->out, to - at + PART);
        unsigned special = 0;
        if (!end)
            return;
        size_t begin = at;
        do {
            memcpy(end + (at - begin), octets + at, PART);
            special = special_of_16(octets + at, in_quotes);
            at += special ? (size_t)__builtin_ctz(special) : PART;
        } while (!special && at < to);
        at = at < to ? at : to;
        stream->out.size += at - begin;
        if (at < to)
            at = write_special(stream, at, to, in_quotes);
    }
}

void write_text(Stream *stream, size_t from, size_t to)
{
    write_range(stream, from, to, false);
}

void write_value(Stream *stream, size_t from, size_t to)
{
    write_range(stream, from, to, true);
}
