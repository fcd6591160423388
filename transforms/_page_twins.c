/* Texts that stand in two places of a page: `drop_twins` of content_rules.py, with the same result. */

#include "_page_rules.h"

/* A long text that was kept, its white space made one space each. */
typedef struct {
    const uint8_t *text;
    size_t length;
    uint64_t hash;
    int64_t container;
} Text;

/* Copies words with a space between two; returns how many bytes. */
static size_t copy_words(const uint8_t *octets, size_t size, uint8_t *out)
{
    size_t count = 0;
    bool was_space = true;
    for (size_t at = 0; at < size;) {
        uint64_t spaces = 0, others = 1;
        if (size - at >= 64) {
            spaces = equal_bytes(octets + at, ' ', 0);
            others = equal_bytes(octets + at, 8, 7); /* 8 to 15: all other white space is among them */
        }
        /* Most text has one space between two words. */
        if (!others && !(spaces & (spaces << 1 | was_space))) {
            memcpy(out + count, octets + at, 64);
            was_space = spaces >> 63;
            count += 64;
            at += 64;
            continue;
        }
        for (size_t end = size - at < 64 ? size : at + 64; at < end; at++) {
            bool space = is_python_space(octets[at]);
            out[count] = space ? ' ' : octets[at];
            count += !(space & was_space);
            was_space = space;
        }
    }
    return count - (count && was_space);
}

/* Cells, code and quotes repeat others on purpose. */
static bool may_be_twin(const Rules *rules, size_t block)
{
    if (!rules->keep[block] || rules->blocks->size[block] < rules->tables->long_text)
        return false;
    const float *measures = measures_of(rules, block);
    bool is_meant = false;
    for (int nth = 0; nth < MEANT; nth++)
        is_meant |= measures[rules->blocks->width - (size_t)rules->tables->meant[nth]] > 0;
    return !is_meant;
}

static void text_of(const Rules *rules, size_t block, size_t *begin, size_t *end)
{
    const Page *page = rules->page;
    size_t behind = (size_t)rules->blocks->last[block] + 1;
    *begin = (size_t)page->stops[rules->blocks->first[block]];
    *end = behind < page->count ? (size_t)page->starts[behind] : page->size;
}

/* Leaves out the blocks whose text was kept before; `out` has room for all texts, and 8 bytes more. */
static void drop_seen(const Rules *rules, Text *texts, int32_t *slots, size_t slot_count, uint8_t *out)
{
    size_t count = 0, begin, end;
    for (size_t block = 0; block < rules->blocks->count; block++) {
        if (!may_be_twin(rules, block))
            continue;
        text_of(rules, block, &begin, &end);
        size_t length = copy_words(rules->page->source + begin, end - begin, out);
        memset(out + length, 0, 8);
        uint64_t hash = hash_of(out, length, rules->tables->seed);
        int64_t container = rules->page->parents[rules->blocks->first[block]];
        size_t slot = hash & (slot_count - 1);
        for (; slots[slot]; slot = (slot + 1) & (slot_count - 1)) {
            const Text *text = &texts[slots[slot] - 1];
            if (text->hash == hash && text->length == length && !memcmp(text->text, out, length))
                break;
        }
        if (slots[slot]) {
            /* Side by side, the author means both. */
            rules->keep[block] &= texts[slots[slot] - 1].container == container;
            continue;
        }
        texts[count++] = (Text){out, length, hash, container};
        slots[slot] = (int32_t)count;
        out += length;
    }
}

Outcome drop_twins(const Rules *rules)
{
    size_t count = 0, size = 0, slot_count = 16, begin, end;
    for (size_t block = 0; block < rules->blocks->count; block++)
        if (may_be_twin(rules, block)) {
            text_of(rules, block, &begin, &end);
            size += end - begin;
            count++;
        }
    if (count < 2)
        return READ;
    while (slot_count < 2 * count)
        slot_count *= 2;
    Text *texts = malloc(count * sizeof *texts);
    int32_t *slots = calloc(slot_count, sizeof *slots);
    uint8_t *out = malloc(size + 8);
    bool has_room = texts && slots && out;
    if (has_room)
        drop_seen(rules, texts, slots, slot_count, out);
    free(texts);
    free(slots);
    free(out);
    return has_room ? READ : NO_MEMORY;
}
