/* What attributes say of pictures and their captions: content_images.py, with the same result. */

#include "_page_pictures.h"

bool survey_captions(Pictures *pictures)
{
    const PictureTables *tables = pictures->tables;
    const RuledBlocks *blocks = pictures->blocks;
    int32_t *changes = pictures->numbers, named = 0;
    memset(changes, 0, (blocks->count + 1) * sizeof *changes);
    for (size_t nth = 0; nth < pictures->named_count; nth++) {
        if ((uint64_t)pictures->named[nth] >= pictures->page->count)
            return false;
        changes[first_in(pictures, (size_t)pictures->named[nth])]++;
        changes[behind_last(pictures, (size_t)pictures->named[nth])]--;
    }
    pictures->text[0] = pictures->kept_text[0] = pictures->heads[0] = pictures->kept_heads[0] = 0;
    for (size_t block = 0; block < blocks->count; block++) {
        bool in_figure = has_measure(pictures, block, tables->around_figure);
        int flags = in_figure ? IN_FIGURE : 0;
        int64_t size = blocks->size[block];
        named += changes[block];
        if (size > 0 && size < tables->max_caption) {
            if (named > 0 || has_measure(pictures, block, tables->near_caption))
                flags |= SURE_CAPTION | CAPTION;
            if (in_figure || has_measure(pictures, block, tables->near_figure))
                flags |= CAPTION;
        }
        pictures->flags[block] = (uint8_t)flags;
        int64_t text = flags & CAPTION ? 0 : size, head = flags & SURE_CAPTION ? 0 : size;
        bool keep = pictures->keep[block];
        pictures->text[block + 1] = pictures->text[block] + text;
        pictures->kept_text[block + 1] = pictures->kept_text[block] + (keep ? text : 0);
        pictures->heads[block + 1] = pictures->heads[block] + head;
        pictures->kept_heads[block + 1] = pictures->kept_heads[block] + (keep ? head : 0);
    }
    return true;
}

PyObject *new_captions(const Pictures *pictures)
{
    PyObject *found = PyList_New(0);
    for (size_t block = 0; found && pictures->count && block < pictures->blocks->count; block++) {
        if ((~pictures->flags[block] & (CAPTION | BESIDE)) || pictures->chrome[block])
            continue;
        PyObject *number = PyLong_FromSize_t(block);
        if (!number || PyList_Append(found, number) < 0)
            Py_CLEAR(found);
        Py_XDECREF(number);
    }
    return found;
}

void survey_hints(Pictures *pictures)
{
    for (int list = 0; list < HINT_LISTS; list++)
        for (int nth = 0; nth < HINTS; nth++) {
            const RuleWord *hint = &pictures->tables->hints[list][nth];
            uint8_t letter = (uint8_t)hint->letters[0];
            if (!hint->length)
                continue;
            pictures->begins_hint[letter] |= (uint8_t)(1 << list);
            if (letter >= 'a' && letter <= 'z')
                pictures->begins_hint[letter - 'a' + 'A'] |= (uint8_t)(1 << list);
        }
}

static bool is_hint(const Pictures *pictures, const uint8_t *value, size_t length, size_t at, int list)
{
    for (int nth = 0; nth < HINTS; nth++) {
        const RuleWord *hint = &pictures->tables->hints[list][nth];
        if (hint->length && behind_word(value, length, at, hint))
            return true;
    }
    return false;
}

/* Whether a value holds a word of some lists, in any case; before it stands a quote. */
static bool holds(const Pictures *pictures, const uint8_t *value, size_t length, int lists)
{
    for (size_t at = 0; at < length && value[at] != '"'; at++) {
        int found = pictures->begins_hint[value[at]] & lists;
        if (!found)
            continue;
        /* In the middle of a word only a capital begins another one. */
        if (found & 1 << BEGINNING && value[at - 1] >= 'a' && value[at - 1] <= 'z' && value[at] >= 'a')
            found &= ~(1 << BEGINNING);
        for (int list = 0; list < HINT_LISTS; list++)
            if (found & 1 << list && is_hint(pictures, value, length, at, list))
                return true;
    }
    return false;
}

/* The value of what looks like an attribute, in any case, at a space; 0 where it does not. */
static size_t value_at(const Pictures *pictures, size_t space, size_t stop, int attribute)
{
    const uint8_t *source = pictures->page->source;
    size_t end = behind_word(source, stop, space + 1, &pictures->tables->attributes[attribute]);
    return end && stop - end > 1 && source[end] == '=' && source[end + 1] == '"' ? end + 2 : 0;
}

/* Where what is looked at of a start tag ends. */
static size_t tag_stop(const Pictures *pictures, size_t element)
{
    size_t start = (size_t)pictures->page->starts[element], stop = (size_t)pictures->page->stops[element];
    size_t longest = (size_t)pictures->tables->longest_tag;
    return stop - start > longest ? start + longest : stop;
}

bool may_be_beside(const Pictures *pictures, size_t element)
{
    const uint8_t *source = pictures->page->source;
    size_t at = (size_t)pictures->page->starts[element], stop = tag_stop(pictures, element);
    for (; (at = find_byte(source, stop, at, ' ')) < stop; at++) {
        size_t value = value_at(pictures, at, stop, CLASS);
        value = value ? value : value_at(pictures, at, stop, ID);
        if (value && holds(pictures, source + value, stop - value, 1 << PART | 1 << BEGINNING))
            return true;
    }
    return false;
}

uint8_t signs_of(const Pictures *pictures, size_t picture)
{
    const uint8_t *source = pictures->page->source;
    size_t at = (size_t)pictures->page->starts[picture], stop = (size_t)pictures->page->stops[picture];
    size_t sides = 0, behind_side = 0;
    bool is_file = false;
    for (; (at = find_byte(source, stop, at, ' ')) < stop; at++) {
        size_t value = value_at(pictures, at, stop, SRC), side = value_at(pictures, at, stop, WIDTH);
        is_file |= value && !is_file && holds(pictures, source + value, stop - value, 1 << NETWORK);
        side = side ? side : value_at(pictures, at, stop, HEIGHT);
        size_t closing = side && at >= behind_side ? find_byte(source, stop, side, '"') : stop;
        if (closing < stop) {
            sides++;
            behind_side = closing + 1;
        }
    }
    return (uint8_t)((sides > 1 ? TWO_SIDES : 0) | (is_file ? NETWORK_FILE : 0));
}

/* The value of the next attribute of a name, from a place in a start tag on; 0 without one. */
static size_t next_value(const Pictures *pictures, size_t at, size_t stop, int attribute)
{
    for (; (at = find_byte(pictures->page->source, stop, at, ' ')) < stop; at++) {
        size_t value = value_at(pictures, at, stop, attribute);
        if (value)
            return value;
    }
    return 0;
}

static bool has_empty_alt(const Pictures *pictures, size_t picture)
{
    size_t value = (size_t)pictures->page->starts[picture], stop = tag_stop(pictures, picture);
    while ((value = next_value(pictures, value, stop, ALT)))
        if (value < stop && pictures->page->source[value] == '"')
            return true;
    return false;
}

/* Whether the class of an element may be that of what lies behind a text. */
static bool may_be_behind(const Pictures *pictures, int64_t element)
{
    if (element <= 0)
        return false;
    size_t value = (size_t)pictures->page->starts[element], stop = tag_stop(pictures, (size_t)element);
    while ((value = next_value(pictures, value, stop, CLASS)))
        if (holds(pictures, pictures->page->source + value, stop - value, 1 << BEHIND))
            return true;
    return false;
}

bool may_be_decoration(const Pictures *pictures, size_t picture)
{
    if (!has_empty_alt(pictures, picture))
        return false;
    int64_t box = pictures->page->parents[picture];
    bool is_picture = box > 0 && picture_trait(pictures, (size_t)box) & IS_PICTURE;
    return may_be_behind(pictures, (int64_t)picture) || may_be_behind(pictures, box)
           || (is_picture && may_be_behind(pictures, pictures->page->parents[box]));
}

/* A tag and the value of its class, the last one; NULL, and no error, where there is none. */
static PyObject *new_class(const Page *page, size_t tag, const RuleWord *name)
{
    Attribute found;
    if (!find_attribute(page, tag, name, &found) || found.value == found.closing)
        return NULL;
    const char *value = (const char *)page->source + found.value;
    size_t size = found.closing - found.value;
    PyObject *items[] = {PyLong_FromSize_t(tag), PyBytes_FromStringAndSize(value, (Py_ssize_t)size)};
    return new_tuple(items, sizeof items / sizeof *items);
}

/* Appends the elements whose start tags hold a word, with the values of an attribute; false where that failed. */
static bool append_classes(PyObject *found, const Page *page, const RuleWord words[2])
{
    const uint8_t *letters = (const uint8_t *)words[0].letters;
    size_t tag = 0, at = 0;
    while ((at = find_bytes(page->source, at, page->size, letters, words[0].length)) < page->size) {
        while (tag + 1 < page->count && page->starts[tag + 1] < (int64_t)at)
            tag++;
        if (at >= (size_t)page->stops[tag]) {
            at++; /* it is text */
            continue;
        }
        PyObject *pair = page->closes[tag] > (int64_t)tag ? new_class(page, tag, &words[1]) : NULL;
        bool appended = pair ? PyList_Append(found, pair) >= 0 : !PyErr_Occurred();
        Py_XDECREF(pair);
        if (!appended)
            return false;
        at = (size_t)page->stops[tag];
    }
    return true;
}

PyObject *classes_with(PyObject *module, PyObject *arguments)
{
    (void)module;
    enum { ARRAYS = 3, WORDS = 2 };
    const char *packed;
    Py_ssize_t packed_size;
    Py_buffer source, of[ARRAYS];
    if (!PyArg_ParseTuple(arguments, "y#y*y*y*y*:classes_with", &packed, &packed_size, &source, &of[0], &of[1], &of[2]))
        return NULL;
    RuleWord words[WORDS] = {0};
    Page page = {
        .source = source.buf, .size = (size_t)source.len, .count = (size_t)of[0].len / sizeof(int64_t),
        .starts = of[0].buf, .stops = of[1].buf, .closes = of[2].buf,
    };
    bool alike = packed_size == sizeof words && page.count && page.count < INT32_MAX;
    for (int nth = 0; nth < ARRAYS; nth++)
        alike &= (size_t)of[nth].len == page.count * sizeof(int64_t)
                 && (uintptr_t)of[nth].buf % sizeof(int64_t) == 0;
    if (alike)
        memcpy(words, packed, sizeof words);
    for (int nth = 0; nth < WORDS; nth++)
        alike &= words[nth].length && words[nth].length <= RULE_WORD;
    int64_t end = 0;
    for (size_t tag = 0; alike && tag < page.count; tag++) {
        alike = page.starts[tag] >= end && page.stops[tag] > page.starts[tag];
        end = page.stops[tag];
    }
    alike = alike && end <= (int64_t)page.size && page.starts[0] == 0;
    PyObject *found = alike ? PyList_New(0) : refuse("classes_with: not the arrays of a page");
    if (found && !append_classes(found, &page, words))
        Py_CLEAR(found);
    PyBuffer_Release(&source);
    for (int nth = 0; nth < ARRAYS; nth++)
        PyBuffer_Release(&of[nth]);
    return found;
}
