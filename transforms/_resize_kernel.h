/* What the files of the resizing kernel share; `_resize_kernel.c` says what it is. */

#ifndef WEFT_RESIZE_KERNEL_H
#define WEFT_RESIZE_KERNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    CHANNELS = 4, /* of a pixel as Pillow keeps it: the last one is not used */
    PLANES = 3,
    PLACES = 22, /* binary ones of a coefficient: 32 bits hold a byte, a coefficient and a sign */
    FOUR = 4,    /* taps that are added at once */
    BILINEAR = 1,
    BICUBIC = 2 /* how far a filter reaches, in pixels of the result */
};

/* What one axis of the result is made of. */
typedef struct {
    int *first;            /* [count]: the first pixel that counts */
    int *taps;             /* [count]: how many do */
    int32_t *coefficients; /* [count][room] */
    int32_t *packed;       /* the same for wide registers; NULL where there is no memory, or the line is too short */
    int count, room;
    int most; /* of `taps` */
} Axis;

/* Fill an axis for places `from` to `from + count` of a result of `size`, made of `low` to `high` of
   `length` pixels. The box has single precision, as Pillow takes it. False without memory. */
bool fill_axis(Axis *axis, int length, float low, float high, int size, int from, int count, int reach);

/* Give all places one number of taps, a multiple of FOUR, and fill `packed`. */
void pack_taps(Axis *axis, int length);

void free_axis(Axis *axis);

/* Resize to three planes at `to`. Line `begin` of the picture lies at `from`, the next one `stride` bytes on.
   False without memory. */
bool resize_planes(uint8_t *to, const uint8_t *from, int begin, size_t stride, const Axis *columns, const Axis *rows);

#endif
