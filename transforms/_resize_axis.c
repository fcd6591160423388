/* What a place of the result is made of: Pillow's filters, and its coefficients to the bit. */

#include "_resize_kernel.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The cubic of Keys (1981) with a = -0.5. */
static double bicubic(double x)
{
    const double a = -0.5;
    x = fabs(x);
    if (x < 1.0)
        return ((a + 2.0) * x - (a + 3.0)) * x * x + 1;
    if (x < 2.0)
        return (((x - 5) * x + 8) * x - 4) * a;
    return 0.0;
}

static double bilinear(double x)
{
    x = fabs(x);
    return x < 1.0 ? 1.0 - x : 0.0;
}

void free_axis(Axis *axis)
{
    free(axis->first);
    free(axis->taps);
    free(axis->coefficients);
    free(axis->packed);
}

bool fill_axis(Axis *axis, int length, float low, float high, int size, int from, int count, int support)
{
    const double scale = (double)(high - low) / size;
    const double stretch = scale < 1.0 ? 1.0 : scale;
    const double reach = support * stretch;
    const double room = ceil(reach) * 2 + FOUR;
    double *weights = NULL;
    memset(axis, 0, sizeof *axis);
    if (room > INT_MAX / 4)
        return false;
    axis->count = count;
    axis->room = (int)room;
    axis->first = calloc(count, sizeof *axis->first);
    axis->taps = calloc(count, sizeof *axis->taps);
    axis->coefficients = calloc((size_t)count * axis->room, sizeof *axis->coefficients);
    weights = calloc(axis->room, sizeof *weights);
    if (!axis->first || !axis->taps || !axis->coefficients || !weights) {
        free(weights);
        free_axis(axis);
        return false;
    }
    for (int place = 0; place < count; place++) {
        const double center = low + (from + place + 0.5) * scale;
        const double inverse = 1.0 / stretch;
        int begin = (int)(center - reach + 0.5), end = (int)(center + reach + 0.5);
        int32_t *row = axis->coefficients + (size_t)place * axis->room;
        double whole = 0.0;
        begin = begin < 0 ? 0 : begin;
        end = end > length ? length : end;
        for (int tap = 0; tap < end - begin; tap++) {
            const double x = (tap + begin - center + 0.5) * inverse;
            weights[tap] = support == BICUBIC ? bicubic(x) : bilinear(x);
            whole += weights[tap];
        }
        for (int tap = 0; tap < end - begin; tap++) {
            const double weight = (whole != 0.0 ? weights[tap] / whole : weights[tap]) * (1 << PLACES);
            row[tap] = (int32_t)(weight < 0 ? weight - 0.5 : weight + 0.5);
        }
        axis->first[place] = begin;
        axis->taps[place] = end - begin;
        axis->most = end - begin > axis->most ? end - begin : axis->most;
    }
    free(weights);
    return true;
}

void pack_taps(Axis *axis, int length)
{
    const int taps = (axis->most + FOUR - 1) & -FOUR;
    axis->packed = taps <= length ? calloc((size_t)axis->count * taps, sizeof *axis->packed) : NULL;
    if (axis->packed == NULL)
        return;
    for (int place = 0; place < axis->count; place++) {
        const int last = length - taps, begin = axis->first[place];
        int32_t *row = axis->coefficients + (size_t)place * axis->room;
        if (begin > last) {
            memmove(row + begin - last, row, axis->taps[place] * sizeof *row);
            memset(row, 0, (begin - last) * sizeof *row);
            axis->first[place] = last;
        }
        axis->taps[place] = taps;
        for (int tap = 0; tap < taps; tap += FOUR) {
            int32_t *packed = axis->packed + (size_t)place * taps + tap;
            for (int pair = 0; pair < 2; pair++) {
                const int32_t one = row[tap + 2 * pair], other = row[tap + 2 * pair + 1];
                packed[pair] = (int32_t)((uint32_t)(one >> 8 & 0xffff) | (uint32_t)(other >> 8) << 16);
                packed[2 + pair] = (one & 0xff) | (other & 0xff) << 16;
            }
        }
    }
}
