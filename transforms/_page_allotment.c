/* What _page_allotment.h says. */

#include "_page_allotment.h"

#include <stdalign.h>
#include <stddef.h>
#include <time.h>

/* What stands before the bytes that are handed out. */
struct Piece {
    alignas(max_align_t) Piece *older;
    Piece *newer;
    size_t size;
};

static _Thread_local Allotment *current;

double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

void begin_allotment(Allotment *allotment, size_t most, double deadline)
{
    allotment->newest = NULL;
    allotment->left = most;
    allotment->deadline = deadline;
    current = allotment;
}

void end_allotment(Allotment *allotment)
{
    current = NULL;
    for (Piece *piece = allotment->newest, *older; piece; piece = older) {
        older = piece->older;
        PyMem_RawFree(piece);
    }
}

/* The size of a piece for some bytes, where as many are left beside those that it has. */
static size_t piece_for(size_t size, size_t has)
{
    if (size > has && size - has > current->left)
        longjmp(current->refused, SPENT);
    if (now() > current->deadline)
        longjmp(current->refused, OVERDUE);
    return sizeof(Piece) + size;
}

/* Counts a piece that was made or moved, and puts it between its neighbours. */
static void *keep(Piece *piece, Piece *older, Piece *newer, size_t size, size_t had)
{
    if (!piece)
        longjmp(current->refused, NONE_FREE);
    current->left = current->left + had - size;
    *piece = (Piece){.older = older, .newer = newer, .size = size};
    if (older)
        older->newer = piece;
    *(newer ? &newer->older : &current->newest) = piece;
    return piece + 1;
}

void *allotted_malloc(size_t size)
{
    if (!current)
        return PyMem_RawMalloc(size);
    return keep(PyMem_RawMalloc(piece_for(size, 0)), current->newest, NULL, size, 0);
}

void *allotted_calloc(size_t count, size_t size)
{
    if (!current)
        return PyMem_RawCalloc(count, size);
    if (size && count > SIZE_MAX / size)
        longjmp(current->refused, SPENT);
    return keep(PyMem_RawCalloc(1, piece_for(count * size, 0)), current->newest, NULL, count * size, 0);
}

void *allotted_realloc(void *old, size_t size)
{
    if (!current)
        return PyMem_RawRealloc(old, size);
    if (!old)
        return allotted_malloc(size);
    Piece *piece = (Piece *)old - 1;
    Piece before = *piece; /* its neighbours and size; it may move */
    return keep(PyMem_RawRealloc(piece, piece_for(size, before.size)), before.older, before.newer, size, before.size);
}

void allotted_free(void *old)
{
    if (!current || !old) {
        PyMem_RawFree(old);
        return;
    }
    Piece *piece = (Piece *)old - 1;
    current->left += piece->size;
    if (piece->older)
        piece->older->newer = piece->newer;
    *(piece->newer ? &piece->newer->older : &current->newest) = piece->older;
    PyMem_RawFree(piece);
}
