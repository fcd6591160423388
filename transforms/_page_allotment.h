/* Memory and time that a library may take while it is called once, and not more.

   A page can make a parser take a thousand times its own size: formatting elements that are left open
   are opened again, with all their attributes, in each paragraph behind them. Nothing in the page's
   source says so before it is parsed. So the parser's memory is counted while it is taken, and where it
   would be more than the page may have, the call is left at once and whatever it took is given back.
   The clock is looked at then as well, because a single tag can take minutes. */

#ifndef PAGE_ALLOTMENT_H
#define PAGE_ALLOTMENT_H

#include "_page_kernel.h"

#include <setjmp.h>

typedef struct Piece Piece;

typedef struct {
    Piece *newest;
    size_t left;     /* bytes */
    double deadline; /* by `now` */
    jmp_buf refused; /* where a request that is refused continues, with a `Refusal` */
} Allotment;

typedef enum { SPENT = 1, NONE_FREE, OVERDUE } Refusal;

/* Seconds of a clock that is never set. */
double now(void);

/* From here to `end_allotment` what this thread takes by the functions below is counted. The caller
   calls `setjmp(allotment->refused)` before it calls the library, and stays until the end. */
void begin_allotment(Allotment *allotment, size_t most, double deadline);
/* Gives back what was not. */
void end_allotment(Allotment *allotment);

/* As `malloc` and so on; they never answer NULL in an allotment, and are Python's outside of one. */
void *allotted_malloc(size_t size);
void *allotted_realloc(void *old, size_t size);
void *allotted_calloc(size_t count, size_t size);
void allotted_free(void *old);

#endif
