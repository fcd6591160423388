/* UTF-8 into folded words: what text_words.words gives, with spaces between.

   A token is what stands between ASCII separators. Each character of it is replaced by what the
   table says; where the table says that a character depends on its neighbours, Python folds the
   whole token and what was written of it is taken back. */

#include "_minhash_kernel.h"

/* Room for `more` bytes and the margin. */
static bool make_room(Folded *folded, size_t more)
{
    size_t needed = folded->size + more + MARGIN;
    if (needed <= folded->room)
        return true;
    size_t room = needed + needed / 2;
    uint8_t *octets = realloc(folded->octets, room);
    if (!octets) {
        PyErr_NoMemory();
        return false;
    }
    folded->octets = octets;
    folded->room = room;
    return true;
}

/* ASCII as text_words.FOLD has it: letters in lower case, digits, and spaces for the rest. */
static inline uint8_t fold_ascii(uint8_t octet)
{
    uint8_t low = octet | 0x20;
    return (uint8_t)(low - 'a') < 26 ? low : (uint8_t)(octet - '0') < 10 ? octet : ' ';
}

/* Bytes of ASCII at the beginning. */
static size_t ascii_run(const uint8_t *octets, size_t size)
{
    const uint64_t highs = 0x8080808080808080u;
    size_t run = 0;
    for (uint64_t eight; size - run >= sizeof eight; run += sizeof eight) {
        memcpy(&eight, octets + run, sizeof eight);
        if (eight & highs)
            return run + (size_t)__builtin_ctzll(eight & highs) / 8;
    }
    while (run < size && octets[run] < ASCII)
        run++;
    return run;
}

/* Fold a run of ASCII. By itself the loop is one that compilers know how to do in wide registers. */
static void fold_run(const uint8_t *restrict octets, size_t size, uint8_t *restrict to)
{
    for (size_t at = 0; at < size; at++)
        to[at] = fold_ascii(octets[at]);
}

/* The bytes of the character at `octets` and its code point; 0 if it is cut off or no UTF-8.
   Surrogates are characters here. */
static size_t read_character(const uint8_t *octets, size_t left, uint32_t *code)
{
    size_t size = *octets >= 0xf0 ? 4 : *octets >= 0xe0 ? 3 : 2;
    if (*octets < 0xc2 || *octets > 0xf4 || size > left)
        return 0;
    *code = *octets & (0x7fu >> size);
    for (size_t nth = 1; nth < size; nth++) {
        if ((octets[nth] & 0xc0) != 0x80)
            return 0;
        *code = *code << 6 | (octets[nth] & 0x3f);
    }
    return *code < 0x110000 ? size : 0;
}

/* Have Python write a block of the table. */
static const uint8_t *make_block(Folds *folds, uint32_t number)
{
    char *data;
    Py_ssize_t size;
    PyObject *found = PyObject_CallFunction(folds->block, "I", number);
    if (!found)
        return NULL;
    uint8_t *block = malloc(BLOCK * ENTRY);
    if (!block)
        PyErr_NoMemory();
    else if (PyBytes_AsStringAndSize(found, &data, &size) < 0 || size != BLOCK * ENTRY) {
        if (!PyErr_Occurred())
            refuse("folds: a block of another size");
        free(block);
        block = NULL;
    } else if (folds->blocks[number]) { /* by another thread, while Python ran */
        free(block);
        block = folds->blocks[number];
    } else {
        memcpy(block, data, BLOCK * ENTRY);
        for (size_t at = 0; at < BLOCK * ENTRY; at += ENTRY)
            if (block[at] >= ENTRY)
                block[at] = NEEDS_TOKEN;
        folds->blocks[number] = block;
    }
    Py_DECREF(found);
    return block;
}

/* Have Python fold a token, and add that. */
static bool add_token(Folds *folds, const uint8_t *octets, size_t size, Folded *folded)
{
    char *data;
    Py_ssize_t length;
    PyObject *found = PyObject_CallFunction(folds->token, "y#", (const char *)octets, (Py_ssize_t)size);
    if (!found)
        return false;
    bool added = PyBytes_AsStringAndSize(found, &data, &length) == 0 && make_room(folded, (size_t)length);
    if (added) {
        memcpy(folded->octets + folded->size, data, (size_t)length);
        folded->size += (size_t)length;
    }
    Py_DECREF(found);
    return added;
}

bool fold_piece(Folds *folds, const uint8_t *octets, size_t size, Folded *folded)
{
    size_t token = 0, token_at = 0; /* where the token begins, there and here */
    folded->size = 0;
    if (!make_room(folded, size))
        return false;
    for (size_t at = 0; at < size;) {
        /* There is room for what is left of the piece. */
        size_t run = ascii_run(octets + at, size - at);
        fold_run(octets + at, run, folded->octets + folded->size);
        at += run;
        folded->size += run;
        if (at == size)
            break;
        for (size_t back = 0; back < run; back++)
            if (folded->octets[folded->size - back - 1] == ' ') {
                token = at - back;
                token_at = folded->size - back;
                break;
            }
        uint32_t code;
        size_t length = read_character(octets + at, size - at, &code);
        if (!length) {
            refuse("sign: a piece that is no UTF-8");
            return false;
        }
        const uint8_t *block = folds->blocks[code / BLOCK];
        if (!block && !(block = make_block(folds, code / BLOCK)))
            return false;
        const uint8_t *entry = block + code % BLOCK * ENTRY;
        at += length;
        if (entry[0] == NEEDS_TOKEN) {
            folded->size = token_at;
            while (at < size && (octets[at] >= ASCII || fold_ascii(octets[at]) != ' '))
                at++;
            if (!add_token(folds, octets + token, at - token, folded) || !make_room(folded, size - at))
                return false;
            continue;
        }
        if (!make_room(folded, ENTRY + size - at))
            return false;
        memcpy(folded->octets + folded->size, entry + 1, ENTRY - 1);
        folded->size += entry[0];
    }
    memset(folded->octets + folded->size, ' ', MARGIN);
    return true;
}
