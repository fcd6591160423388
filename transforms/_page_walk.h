/* What the files of the walk share: _page_walk.c finds the steps of a page, _page_steps.c hands them to
   Python. */

#ifndef PAGE_WALK_H
#define PAGE_WALK_H

#include "_page_kernel.h"

enum { CODES = 256, OCTETS = 256, MAX_HINTS = 16, MAX_ENTITIES = 8, EIGHT_BYTES = 8 };

/* What an element does, as page_walk.py says it. */
enum { OPEN = 1, LINE = 2, SKIP = 4, BREAK = 8, PICTURED = 16, NAMED = 32 };

/* What happens at a tag because of an element that closes there. */
enum { ENDS_RUN = 2 };

/* Flags of steps; `ENDS_LINE` also stands among what happens at a tag, `PARAGRAPH` stays here. */
enum { ENDS_LINE = 1, WHOLE = 2, ALONE = 4, PARAGRAPH = 8 };

/* What a byte of text is, as page_walk.py says it; any other is copied as it is. */
enum { BLANK = 1, DROPPED = 2, REFERENCE = 3 };

/* Bytes that are looked for: equal to `key` where `mask` has bits. */
typedef struct {
    uint64_t key, mask;
} Pattern;

/* A reference to a character. */
typedef struct {
    Pattern name;
    size_t name_size, size;
    uint8_t spelling[EIGHT_BYTES];
} Entity;

typedef struct {
    uint8_t actions[CODES];
    uint8_t octets[OCTETS];
    size_t codes_count;
    uint64_t class; /* how the attribute begins, from the space before it */
    Pattern hints[MAX_HINTS];
    size_t hint_count;
    bool starts_hint[OCTETS];
    Entity entities[MAX_ENTITIES];
    size_t entity_count;
} WalkTables;

typedef struct {
    const WalkTables *tables;
    const uint8_t *source;
    size_t size, count;
    const int64_t *tags, *starts, *stops, *text_stops, *closes;
    const uint8_t *kept, *opens_line, *images;
} WalkPage;

typedef struct {
    size_t tag, text, text_stop; /* the text is a range of that of all steps */
    uint8_t code;                /* of the element that opens, or 0 */
    uint8_t flags;
} Step;

/* A page while its steps are written. */
typedef struct {
    const WalkPage *page;
    Step *steps; /* one a tag, at most */
    size_t step_count;
    uint8_t *text; /* no longer than the source: a character is no longer than its spelling */
    size_t text_size;
    uint8_t *marks;              /* by tag, what ends there */
    uint32_t *content, *images; /* tags of content, and pictures, before each tag */
    bool in_run;                 /* whether text goes to the last step */
    bool is_open;                /* whether the line may hold something */
    bool is_blank;               /* whether another blank would say nothing */
} Walk;

/* Whether the arrays may be followed without looking where they lead. */
bool is_walkable(const WalkPage *page);
Outcome walk_page(const WalkPage *page, Walk *walk);
void free_walk(Walk *walk);

#endif
