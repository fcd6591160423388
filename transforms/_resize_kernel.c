/* Resizing of RGB pictures as a Python module; resize.py is its only caller.

   The numbers are those of Pillow's `Image.resize`: a filter stretched by the scale, its values as
   integers of 22 binary places, columns first, each pass rounded to bytes. Integers have one sum in
   whatever order they are added, so the registers may be as wide as the processor has them and the
   pixels stay Pillow's own. Only the columns and rows that are wanted are computed.

   Other threads run while pixels are computed. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "_resize_kernel.h"

/* Apache Arrow's C data interface, as its specification gives it. */
struct ArrowArray {
    int64_t length, null_count, offset, n_buffers, n_children;
    const void **buffers;
    struct ArrowArray **children;
    struct ArrowArray *dictionary;
    void (*release)(struct ArrowArray *);
    void *private_data;
};

/* The pixels of a picture that Pillow shares; NULL, with an error, where they are none. */
static const uint8_t *shared_pixels(PyObject *capsule, Py_ssize_t pixels)
{
    const struct ArrowArray *array = PyCapsule_GetPointer(capsule, "arrow_array");
    if (array == NULL)
        return NULL;
    if (array->release != NULL && array->length == pixels && array->offset == 0 && array->n_children == 1) {
        const struct ArrowArray *bytes = array->children[0];
        if (bytes->length == pixels * CHANNELS && bytes->offset == 0 && bytes->n_buffers == 2)
            return bytes->buffers[1];
    }
    PyErr_SetString(PyExc_ValueError, "an Arrow array of other pixels");
    return NULL;
}

PyDoc_STRVAR(resize_doc,
"resize(source, lines, size, box, whole, window, support, out, /)\n--\n\n"
"Resize a picture into planes; see resize.py.");

static PyObject *resize(PyObject *module, PyObject *args)
{
    PyObject *source, *target;
    int width, height, wide, tall, left, top, right, bottom, support, begin, end;
    float box[4];
    Py_buffer out = {0};
    const uint8_t *from;
    Axis columns, rows;
    PyObject *answer = NULL;
    (void)module;
    if (!PyArg_ParseTuple(args, "O(ii)(ii)(ffff)(ii)(iiii)iO:resize", &source, &begin, &end, &width, &height, &box[0],
                          &box[1], &box[2], &box[3], &wide, &tall, &left, &top, &right, &bottom, &support, &target))
        return NULL;
    if (width < 1 || height < 1 || width > PY_SSIZE_T_MAX / CHANNELS / height
        || !(0 <= begin && begin < end && end <= height)
        || !(0 <= box[0] && box[0] < box[2] && box[2] <= width && 0 <= box[1] && box[1] < box[3] && box[3] <= height)
        || !(0 <= left && left < right && right <= wide && 0 <= top && top < bottom && bottom <= tall)
        || (support != BILINEAR && support != BICUBIC)) {
        PyErr_SetString(PyExc_ValueError, "lines, a box, a window or a filter that cannot be");
        return NULL;
    }
    if (PyObject_GetBuffer(target, &out, PyBUF_C_CONTIGUOUS | PyBUF_WRITABLE) < 0)
        return NULL;
    from = shared_pixels(source, (Py_ssize_t)width * (end - begin));
    if (from == NULL)
        goto done;
    if (out.len / PLANES / (right - left) != bottom - top || out.len % ((Py_ssize_t)PLANES * (right - left))) {
        PyErr_SetString(PyExc_ValueError, "a buffer of another size");
        goto done;
    }
    bool enough, has_lines = true;
    Py_BEGIN_ALLOW_THREADS
    enough = fill_axis(&columns, width, box[0], box[2], wide, left, right - left, support);
    if (enough) {
        pack_taps(&columns, width);
        enough = fill_axis(&rows, height, box[1], box[3], tall, top, bottom - top, support);
        if (enough) {
            const int last = rows.count - 1;
            has_lines = begin <= rows.first[0] && rows.first[last] + rows.taps[last] <= end;
            if (has_lines)
                enough = resize_planes(out.buf, from, begin, (size_t)width * CHANNELS, &columns, &rows);
            free_axis(&rows);
        }
        free_axis(&columns);
    }
    Py_END_ALLOW_THREADS
    if (!has_lines)
        PyErr_SetString(PyExc_ValueError, "lines that are not enough");
    else
        answer = enough ? Py_NewRef(Py_None) : PyErr_NoMemory();
done:
    PyBuffer_Release(&out);
    return answer;
}

static PyMethodDef methods[] = {
    {"resize", resize, METH_VARARGS, resize_doc},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef_Slot slots[] = {{0, NULL}};

static struct PyModuleDef definition = {
    .m_base = PyModuleDef_HEAD_INIT,
    .m_name = "_resize_kernel",
    .m_doc = "Resizing of RGB pictures.",
    .m_methods = methods,
    .m_slots = slots,
};

PyMODINIT_FUNC PyInit__resize_kernel(void)
{
    return PyModuleDef_Init(&definition);
}
