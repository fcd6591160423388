/* Captions of pictures: content_images.py, with the same result. */

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

/* Appends the elements whose start tags hold two words; false where that failed. */
static bool append_named(PyObject *found, const Page *page, const RuleWord words[2])
{
    const uint8_t *letters = (const uint8_t *)words[0].letters, *others = (const uint8_t *)words[1].letters;
    size_t tag = 0, at = 0;
    while ((at = find_bytes(page->source, at, page->size, letters, words[0].length)) < page->size) {
        while (tag + 1 < page->count && page->starts[tag + 1] < (int64_t)at)
            tag++;
        size_t start = (size_t)page->starts[tag], stop = (size_t)page->stops[tag];
        if (at >= stop) {
            at++; /* it is text */
            continue;
        }
        if (page->closes[tag] > (int64_t)tag
            && find_bytes(page->source, start, stop, others, words[1].length) < stop) {
            PyObject *number = PyLong_FromSize_t(tag);
            bool appended = number && PyList_Append(found, number) >= 0;
            Py_XDECREF(number);
            if (!appended)
                return false;
        }
        at = stop;
    }
    return true;
}

/* The elements whose start tags hold both of two words: they may be called captions. */
PyObject *tags_with(PyObject *module, PyObject *arguments)
{
    (void)module;
    enum { ARRAYS = 3, WORDS = 2 };
    const char *packed;
    Py_ssize_t packed_size;
    Py_buffer source, of[ARRAYS];
    if (!PyArg_ParseTuple(arguments, "y#y*y*y*y*:tags_with", &packed, &packed_size, &source, &of[0], &of[1], &of[2]))
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
    PyObject *found = alike ? PyList_New(0) : refuse("tags_with: not the arrays of a page");
    if (found && !append_named(found, &page, words))
        Py_CLEAR(found);
    PyBuffer_Release(&source);
    for (int nth = 0; nth < ARRAYS; nth++)
        PyBuffer_Release(&of[nth]);
    return found;
}
