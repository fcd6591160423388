/* The network of content_model.py over the measures of a page's blocks.

   Three things make it fast. Most measures of a block, and half of the values between layers, are
   zero, so only the others are multiplied. Blocks side by side stand in the same containers, whose
   part in a sum is worked out once for all of them. And what is added up are sixteen numbers at a
   time, in two halves. All numbers are whole and below 2^24, so that no order of adding changes a result. */

#include "_page_kernel.h"

/* Numbers side by side; a compiler makes of it what the machine has. */
typedef float Sixteen __attribute__((vector_size(64), aligned(4)));
typedef float Eight __attribute__((vector_size(32), aligned(4)));

enum { LANES = 8, LAYERS = 4, MAX_INPUTS = 512, MAX_OUTPUTS = 128, MAX_CONTAINERS = 8, BITS = 64 };

/* On x86-64 the machine picks what it is fastest with when the kernel is loaded. By names of instructions,
   because compilers know those of levels (x86-64-v4) for a few years only. */
#if defined(__x86_64__) && defined(__gnu_linux__) && !defined(__clang__)
#define CLONES __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define CLONES
#endif
#define INLINE __attribute__((always_inline)) static inline

typedef struct {
    size_t inputs, outputs; /* outputs are a multiple of eight, but for the last layer's single one */
    size_t parts;           /* the vectors that a block sees, each a part of the inputs */
    const float *weights;   /* by input, then by output */
    const float *biases;
} Layer;

typedef struct {
    Layer layers[LAYERS];
    size_t page_inputs;
    const float *page_weights;
    size_t container_count;
    uint8_t containers[MAX_CONTAINERS]; /* levels of `Blocks.ranges` */
    float scale;                        /* of sums, to values */
    float largest;                      /* value between layers */
    float unit;                         /* of the log-odds */
    float numbers[];                    /* what the layers point to */
} Network;

/* What is scored; the arrays of `Blocks`. */
typedef struct {
    size_t count;
    const int64_t *size, *ranges;
    const float *measures, *page;
} ScoredBlocks;

/* A vector, and a bit for each number of it that is not zero. */
typedef struct {
    const float *values;
    size_t parts;
    uint64_t bits[MAX_INPUTS / BITS];
} Sparse;

/* A bit for each of up to 64 numbers that is not zero. */
INLINE uint64_t numbers_bits(const float *values, size_t count)
{
    uint64_t found = 0;
    size_t at = 0;
#ifdef __SSE2__
    for (; at + 4 <= count; at += 4) {
        __m128 four = _mm_cmpneq_ps(_mm_loadu_ps(values + at), _mm_setzero_ps());
        found |= (uint64_t)(uint32_t)_mm_movemask_ps(four) << at;
    }
#endif
    for (; at < count; at++)
        found |= (uint64_t)(values[at] != 0) << at;
    return found;
}

INLINE void find_numbers(const float *values, size_t width, Sparse *found)
{
    found->values = values;
    found->parts = 0;
    for (size_t from = 0; from < width; from += BITS)
        found->bits[found->parts++] = numbers_bits(values + from, width - from < BITS ? width - from : BITS);
}

/* Some columns of sums: up to three vectors of sixteen, and one of eight. */
typedef struct {
    Sixteen wide[3];
    Eight narrow;
} Columns;

/* Adds a row of weights, times a number. */
INLINE void add_row(Columns *sums, const float *row, float number, size_t wides, bool narrow)
{
    Sixteen wide = number - (Sixteen){0};
#pragma GCC unroll 3
    for (size_t nth = 0; nth < wides; nth++)
        sums->wide[nth] += wide * *(const Sixteen *)(const void *)(row + 2 * LANES * nth);
    if (narrow)
        sums->narrow += (number - (Eight){0}) * *(const Eight *)(const void *)(row + 2 * LANES * wides);
}

/* Adds a vector times some columns to as many sums. In two halves, because an addition has to wait for
   the one before it into the same sum. */
INLINE void add_columns(const float *weights, size_t stride, const Sparse *vector, size_t wides, bool narrow,
                        float *into)
{
    Columns one = {0}, other = {0};
    for (size_t part = 0; part < vector->parts; part++) {
        const float *values = vector->values + BITS * part, *rows = weights + stride * BITS * part;
        uint64_t bits = vector->bits[part];
        for (; bits & (bits - 1); bits &= bits - 1) {
            size_t first = (size_t)__builtin_ctzll(bits);
            bits &= bits - 1;
            size_t second = (size_t)__builtin_ctzll(bits);
            add_row(&one, rows + stride * first, values[first], wides, narrow);
            add_row(&other, rows + stride * second, values[second], wides, narrow);
        }
        if (bits) {
            size_t last = (size_t)__builtin_ctzll(bits);
            add_row(&one, rows + stride * last, values[last], wides, narrow);
        }
    }
#pragma GCC unroll 3
    for (size_t nth = 0; nth < wides; nth++)
        *(Sixteen *)(void *)(into + 2 * LANES * nth) += one.wide[nth] + other.wide[nth];
    if (narrow)
        *(Eight *)(void *)(into + 2 * LANES * wides) += one.narrow + other.narrow;
}

/* Adds a vector times a matrix, whose number of columns is a multiple of eight, to sums. */
INLINE void add_product(const float *weights, size_t columns, const Sparse *vector, float *into)
{
    /* Where a width is known here, no multiplication stands before the weights of a row. */
    if (columns == 6 * LANES) {
        add_columns(weights, 6 * LANES, vector, 3, false, into);
        return;
    }
    if (columns == 3 * LANES) {
        add_columns(weights, 3 * LANES, vector, 1, true, into);
        return;
    }
    if (columns == 2 * LANES) {
        add_columns(weights, 2 * LANES, vector, 1, false, into);
        return;
    }
    for (size_t from = 0; from < columns; from += LANES)
        add_columns(weights + from, columns, vector, 0, true, into + from);
}

/* Sums become values: scaled, rounded down, and held between 0 and the largest. */
INLINE void activate(const Network *network, float *sums, size_t count)
{
    for (size_t at = 0; at < count; at++) {
        float value = sums[at] * network->scale;
        value = value > 0 ? value : 0; /* before it is made whole, so that it fits */
        value = value < network->largest ? value : network->largest;
        sums[at] = (float)(int32_t)value;
    }
}

/* The mean over some blocks, rounded down; `sums` are of all blocks before each. */
INLINE void find_mean(const double *sums, const double *weights, size_t begin, size_t end, size_t width,
                      float *mean)
{
    double divisor = weights[end] - weights[begin];
    const double *low = sums + begin * width, *high = sums + end * width;
    for (size_t at = 0; at < width; at++)
        mean[at] = (float)(int32_t)((high[at] - low[at]) / divisor);
}

/* What the means of one container around each block add to its sums. */
INLINE void add_containers(const Layer *layer, size_t part, size_t count, const int64_t *begins,
                           const int64_t *ends, const double *sums, const double *weights, float *out)
{
    size_t width = layer->inputs / layer->parts;
    const float *matrix = layer->weights + part * width * layer->outputs;
    float mean[MAX_INPUTS], added[MAX_OUTPUTS];
    Sparse sparse;
    int64_t begin = -1, end = -1;
    for (size_t nth = 0; nth < count; nth++) {
        if (begins[nth] != begin || ends[nth] != end) {
            begin = begins[nth];
            end = ends[nth];
            find_mean(sums, weights, (size_t)begin, (size_t)end, width, mean);
            find_numbers(mean, width, &sparse);
            memset(added, 0, layer->outputs * sizeof *added);
            add_product(matrix, layer->outputs, &sparse, added);
        }
        for (size_t at = 0; at < layer->outputs; at++)
            out[nth * layer->outputs + at] += added[at];
    }
}

/* A layer that sees, beside a block, those before and behind it, its containers, and the page. */
INLINE void mix_layer(const Network *network, const Layer *layer, const ScoredBlocks *blocks, const float *values,
                      const double *weights, double *sums, float *out)
{
    size_t count = blocks->count, width = layer->inputs / layer->parts, outputs = layer->outputs;
    size_t part = width * outputs; /* weights for one of the vectors that a block sees */
    Sparse sparse;
    float base[MAX_OUTPUTS], mean[MAX_INPUTS];
    memset(sums, 0, width * sizeof *sums);
    for (size_t nth = 0; nth < count; nth++) {
        double weight = weights[nth + 1] - weights[nth];
        for (size_t at = 0; at < width; at++)
            sums[(nth + 1) * width + at] = sums[nth * width + at] + weight * (double)values[nth * width + at];
    }
    memcpy(base, layer->biases, outputs * sizeof *base);
    find_mean(sums, weights, 0, count, width, mean);
    find_numbers(mean, width, &sparse);
    add_product(layer->weights + (layer->parts - 1) * part, outputs, &sparse, base);
    for (size_t nth = 0; nth < count; nth++)
        memcpy(out + nth * outputs, base, outputs * sizeof *base);
    for (size_t nth = 0; nth < count; nth++) {
        float *own = out + nth * outputs;
        find_numbers(values + nth * width, width, &sparse);
        add_product(layer->weights, outputs, &sparse, own);
        if (nth + 1 < count) /* to the next one, this is the one before */
            add_product(layer->weights + part, outputs, &sparse, own + outputs);
        if (nth > 0)
            add_product(layer->weights + 2 * part, outputs, &sparse, own - outputs);
    }
    for (size_t nth = 0; nth < network->container_count; nth++) {
        const int64_t *begins = blocks->ranges + 2 * network->containers[nth] * count;
        add_containers(layer, 3 + nth, count, begins, begins + count, sums, weights, out);
    }
    activate(network, out, count * outputs);
}

/* What each block counts in a mean, as sums over all blocks before it; see `block_weights`. */
INLINE void sum_weights(const ScoredBlocks *blocks, double *weights)
{
    weights[0] = 0;
    for (size_t nth = 0; nth < blocks->count; nth++) {
        int64_t size = blocks->size[nth] < 400 ? blocks->size[nth] : 400;
        int64_t square = size * 16 + 16, root = 0;
        for (int64_t bit = 64; bit; bit /= 2) /* the root, rounded down; 80 at most */
            root += (root + bit) * (root + bit) <= square ? bit : 0;
        weights[nth + 1] = weights[nth] + (double)root;
    }
}

CLONES static bool score(const Network *network, const ScoredBlocks *blocks, float *scores)
{
    size_t count = blocks->count, widest = 0;
    const Layer *first = &network->layers[0], *last = &network->layers[LAYERS - 1];
    for (size_t nth = 0; nth + 1 < LAYERS; nth++)
        widest = network->layers[nth].outputs > widest ? network->layers[nth].outputs : widest;
    double *weights = malloc((count + 1) * sizeof *weights);
    double *sums = malloc((count + 1) * widest * sizeof *sums);
    float *values = malloc(count * widest * sizeof *values);
    float *others = malloc(count * widest * sizeof *others);
    bool room = weights && sums && values && others;
    if (room) {
        Sparse sparse;
        float base[MAX_OUTPUTS];
        sum_weights(blocks, weights);
        memcpy(base, first->biases, first->outputs * sizeof *base);
        find_numbers(blocks->page, network->page_inputs, &sparse);
        add_product(network->page_weights, first->outputs, &sparse, base);
        for (size_t nth = 0; nth < count; nth++) {
            float *own = values + nth * first->outputs;
            memcpy(own, base, first->outputs * sizeof *base);
            find_numbers(blocks->measures + nth * first->inputs, first->inputs, &sparse);
            add_product(first->weights, first->outputs, &sparse, own);
        }
        activate(network, values, count * first->outputs);
        for (size_t nth = 1; nth + 1 < LAYERS; nth++) {
            float *before = values;
            mix_layer(network, &network->layers[nth], blocks, before, weights, sums, others);
            values = others;
            others = before;
        }
        for (size_t nth = 0; nth < count; nth++) {
            float total = last->biases[0];
            for (size_t at = 0; at < last->inputs; at++)
                total += values[nth * last->inputs + at] * last->weights[at];
            scores[nth] = total / network->unit;
        }
    }
    free(weights);
    free(sums);
    free(values);
    free(others);
    return room;
}

static const char NETWORK[] = "transforms._page_kernel.network";

/* Takes a matrix and what is added behind it off the numbers. */
static const float *take(const float **numbers, size_t *left, size_t count, bool *enough)
{
    const float *taken = *numbers;
    *enough &= count <= *left;
    if (*enough) {
        *numbers += count;
        *left -= count;
    }
    return taken;
}

PyObject *network(PyObject *module, PyObject *arguments)
{
    (void)module;
    const uint8_t *numbers, *containers;
    Py_ssize_t size, container_count, page_inputs, widths[LAYERS];
    float weight_unit, unit, largest;
    if (!PyArg_ParseTuple(arguments, "y#y#nnnnnfff:network", &numbers, &size, &containers, &container_count,
                          &page_inputs, &widths[0], &widths[1], &widths[2], &widths[3], &weight_unit, &unit,
                          &largest))
        return NULL;
    bool fits = container_count <= MAX_CONTAINERS && size % (Py_ssize_t)sizeof(float) == 0 && page_inputs > 0
                && page_inputs <= MAX_INPUTS;
    for (size_t nth = 0; nth < LAYERS; nth++)
        fits &= widths[nth] > 0 && widths[nth] <= (nth ? MAX_OUTPUTS : MAX_INPUTS)
                && (nth == 0 || widths[nth] % LANES == 0);
    for (Py_ssize_t nth = 0; nth < container_count; nth++)
        fits &= containers[nth] < LEVELS;
    fits &= weight_unit > 0 && unit > 0 && largest > 0 && largest < INT16_MAX;
    if (!fits)
        return refuse("network: it is too wide, or its sizes do not agree");
    Network *made = calloc(1, sizeof *made + (size_t)size);
    if (!made)
        return PyErr_NoMemory();
    memcpy(made->numbers, numbers, (size_t)size);
    memcpy(made->containers, containers, (size_t)container_count);
    made->container_count = (size_t)container_count;
    made->page_inputs = (size_t)page_inputs;
    made->scale = 1 / weight_unit;
    made->largest = largest;
    made->unit = unit * weight_unit;
    const float *from = made->numbers;
    size_t left = (size_t)size / sizeof(float);
    made->page_weights = take(&from, &left, made->page_inputs * (size_t)widths[1], &fits);
    for (size_t nth = 0; nth < LAYERS; nth++) {
        Layer *layer = &made->layers[nth];
        layer->parts = nth == 0 || nth == LAYERS - 1 ? 1 : 4 + made->container_count;
        layer->inputs = (size_t)widths[nth] * layer->parts;
        layer->outputs = nth == LAYERS - 1 ? 1 : (size_t)widths[nth + 1];
        layer->weights = take(&from, &left, layer->inputs * layer->outputs, &fits);
        layer->biases = take(&from, &left, layer->outputs, &fits);
    }
    if (!fits || left) {
        free(made);
        return refuse("network: the numbers are not those of its layers");
    }
    return keep_tables(made, NETWORK);
}

/* Whether the arrays are those of blocks, and their ranges lie among them. */
static bool are_blocks(const Network *network, const ScoredBlocks *blocks, const Py_buffer *arrays)
{
    uint64_t count = blocks->count;
    bool fit = arrays[0].len % (Py_ssize_t)sizeof(int64_t) == 0;
    for (int nth = 0; nth < 4; nth++)
        fit &= (uintptr_t)arrays[nth].buf % (nth < 2 ? sizeof(int64_t) : sizeof(float)) == 0;
    fit &= (size_t)arrays[1].len == count * 2 * LEVELS * sizeof(int64_t)
           && (size_t)arrays[2].len == count * network->layers[0].inputs * sizeof(float)
           && (size_t)arrays[3].len == network->page_inputs * sizeof(float);
    for (size_t level = 0; fit && level < LEVELS; level++) {
        const int64_t *begins = blocks->ranges + 2 * level * count, *ends = begins + count;
        for (size_t nth = 0; nth < count; nth++)
            fit &= (uint64_t)begins[nth] < (uint64_t)ends[nth] && (uint64_t)ends[nth] <= count;
    }
    for (size_t nth = 0; fit && nth < count; nth++)
        fit &= blocks->size[nth] >= 0;
    return fit;
}

PyObject *score_blocks(PyObject *module, PyObject *arguments)
{
    (void)module;
    enum { ARRAYS = 4 };
    PyObject *capsule, *found = NULL;
    Py_buffer arrays[ARRAYS];
    float *scores;
    if (!PyArg_ParseTuple(arguments, "Oy*y*y*y*:score_blocks", &capsule, &arrays[0], &arrays[1], &arrays[2],
                          &arrays[3]))
        return NULL;
    const Network *network = PyCapsule_GetPointer(capsule, NETWORK);
    if (network) {
        ScoredBlocks blocks = {
            .count = (size_t)arrays[0].len / sizeof(int64_t),
            .size = arrays[0].buf,
            .ranges = arrays[1].buf,
            .measures = arrays[2].buf,
            .page = arrays[3].buf,
        };
        if (!blocks.count || !are_blocks(network, &blocks, arrays))
            refuse("score_blocks: not the arrays of blocks");
        else if ((found = new_bytes(blocks.count, sizeof(float), &scores))) {
            bool room;
            Py_BEGIN_ALLOW_THREADS
            room = score(network, &blocks, scores);
            Py_END_ALLOW_THREADS
            if (!room) {
                Py_CLEAR(found);
                PyErr_NoMemory();
            }
        }
    }
    for (int nth = 0; nth < ARRAYS; nth++)
        PyBuffer_Release(&arrays[nth]);
    return found;
}
