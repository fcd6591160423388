/* What the files of the MinHash kernel share: folded text, and the table that folds it.

   The kernel says in C what minhash.py and text_words.py say in Python; minhash_kernel.py has the
   why. Its input is from strangers: nothing recurses, every size is checked, and every scan only
   moves forward, so that time grows with the length of the text and no faster. */

#ifndef MINHASH_KERNEL_H
#define MINHASH_KERNEL_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#if !defined(__GNUC__) || SIZE_MAX < UINT64_MAX || __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the MinHash kernel is written for 64-bit little-endian machines; Weft works without it"
#endif

enum {
    ASCII = 128,
    BLOCK = 256,       /* code points of a block of the table */
    BLOCKS = 0x110000 / BLOCK,
    ENTRY = 8,         /* bytes of a code point there: a size and as many bytes */
    NEEDS_TOKEN = 255, /* in place of the size */
    MARGIN = 8         /* spaces behind folded text, so that eight bytes can be read anywhere */
};

/* What text folds to. Blocks are made when they are needed, and never changed. */
typedef struct {
    uint64_t ascii[ASCII]; /* hashes of ASCII characters */
    uint8_t *blocks[BLOCKS];
    PyObject *block, *token; /* text_words.fold_block and fold_token */
} Folds;

/* Folded text: words of UTF-8 with spaces between them, and `MARGIN` spaces behind. */
typedef struct {
    uint8_t *octets;
    size_t size, room;
} Folded;

/* Replace `folded` by what a piece of UTF-8 folds to. Needs the interpreter's lock, and may call
   Python. False with an exception set. */
bool fold_piece(Folds *folds, const uint8_t *octets, size_t size, Folded *folded);

/* An error to return: what was called does not agree with what it was called with. */
PyObject *refuse(const char *what);

#endif
