/* The attributes of a tag as a dictionary: `Dom.attributes`, with the same result. */

#include "_page_kernel.h"

/* White space as `\s` has it in ASCII, and what else ends a name. */
static bool ends_name(uint8_t byte)
{
    return is_python_space(byte) || byte == '=' || byte == '>' || byte == '/';
}

typedef struct {
    size_t name, name_end, value, closing;
} Found;

/* Finds the next attribute, as `dom.ATTRIBUTE` does from left to right; false where there is none. */
static bool next_attribute(const uint8_t *source, size_t stop, size_t at, Found *found)
{
    for (; (at = find_byte(source, stop, at, ' ')) < stop; at++) {
        size_t end = at + 1;
        while (end < stop && !ends_name(source[end]))
            end++;
        if (end == at + 1 || stop - end < 2 || source[end] != '=' || source[end + 1] != '"')
            continue;
        *found = (Found){.name = at + 1, .name_end = end, .value = end + 2};
        found->closing = find_byte(source, stop, found->value, '"');
        if (found->closing < stop)
            return true;
    }
    return false;
}

static PyObject *new_text(const uint8_t *source, size_t begin, size_t end)
{
    return PyUnicode_DecodeUTF8((const char *)source + begin, (Py_ssize_t)(end - begin), "replace");
}

/* A value, its references read by a function of Python's. */
static PyObject *new_value(const uint8_t *source, const Found *found, PyObject *read_references)
{
    PyObject *raw = new_text(source, found->value, found->closing);
    if (!raw || find_byte(source, found->closing, found->value, '&') == found->closing)
        return raw;
    PyObject *value = PyObject_CallOneArg(read_references, raw);
    Py_DECREF(raw);
    return value;
}

PyObject *attributes_of(PyObject *module, PyObject *arguments)
{
    (void)module;
    PyObject *bytes, *read_references;
    Py_ssize_t start, stop;
    if (!PyArg_ParseTuple(arguments, "SnnO:attributes", &bytes, &start, &stop, &read_references))
        return NULL;
    if (start < 0 || stop < start || stop > PyBytes_GET_SIZE(bytes))
        return refuse("attributes: not a range of the source");
    const uint8_t *source = (const uint8_t *)PyBytes_AS_STRING(bytes);
    PyObject *attributes = PyDict_New();
    Found found = {.closing = (size_t)start};
    while (attributes && next_attribute(source, (size_t)stop, found.closing, &found)) {
        PyObject *name = new_text(source, found.name, found.name_end);
        PyObject *value = name ? new_value(source, &found, read_references) : NULL;
        if (!value || PyDict_SetItem(attributes, name, value) < 0)
            Py_CLEAR(attributes);
        Py_XDECREF(name);
        Py_XDECREF(value);
    }
    return attributes;
}
