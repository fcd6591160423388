/* What the files of the pictures share: content_images.py and image_cards.py have the rules. */

#ifndef PAGE_PICTURES_H
#define PAGE_PICTURES_H

#include "_page_rules.h"
#include <stddef.h>

/* What the code of an element says of it, a bit each. */
enum {
    IS_IMAGE = 1, IS_HOUSE = 2, IS_H1 = 4, IS_ANCHOR = 8, IS_NOSCRIPT = 16, IS_SIDEBAR = 32, IS_HEADER = 64, IS_PART = 128,
    IS_PICTURE = 256, IS_FIGURE = 512,
};

/* What is said of a block, a bit each. */
enum { SURE_CAPTION = 1, CAPTION = 2, IN_FIGURE = 4, MAY_STAY = 8, BESIDE = 16 };

/* What is said of a picture by its card. */
enum { NO_CARD, STAYS, GOES, OPEN };

enum { UNWANTED = 8, ENDINGS = 12, HINTS = 16 };
enum { CLASS, ID, WIDTH, HEIGHT, SRC, ALT, ATTRIBUTES };

/* What names of what is no content hold, or their words begin with, those of files of networks, and those of what
   lies behind a text. */
enum { PART, BEGINNING, NETWORK, BEHIND, HINT_LISTS };

/* Signs that a picture is an icon, or lies behind a text, a bit each. */
enum { TWO_SIDES = 1, NETWORK_FILE = 2, DECORATIVE = 4 };

/* As page_kernel.py packs it. */
typedef struct {
    float sure, very_sure, sure_card, unused;          /* log-odds */
    int64_t some_text, gap, max_caption;               /* visible bytes */
    int64_t reach, lead;                               /* blocks */
    int64_t named_boxes;                               /* elements */
    int64_t longest_tag;                               /* bytes */
    int64_t max_steps, aside_reach;                    /* elements */
    int64_t headline;                                  /* bytes */
    int64_t largest_card, prose, article, among_prose; /* visible bytes */
    int64_t link_steps, prose_steps;                   /* elements */
    int64_t max_cards, max_links;
    int64_t widest_card, longest_link; /* bytes */
    int64_t linked;                    /* the measure that is the share of a block in links */
    int64_t near_caption, near_figure, around_figure; /* measures, from the last one */
    int64_t unwanted[UNWANTED];        /* and those of groups that no picture of the content is near */
    RuleWord href;                     /* with the space before and the quote behind */
    RuleWord attributes[ATTRIBUTES];   /* names */
    RuleWord endings[ENDINGS];         /* of the names of picture files */
    RuleWord hints[HINT_LISTS][HINTS];
    uint16_t traits[256];              /* by code */
} PictureTables;

typedef struct {
    int32_t tag, place;    /* its block */
    int32_t link, element; /* the link that has the text of its card, and what holds both; 0 without one */
    int32_t begin, end;    /* the blocks of its card */
    uint8_t verdict;
    bool stays;    /* unless its names say otherwise: */
    uint8_t boxes; /* how many elements are asked whether they have the name of what is no content */
    uint8_t signs; /* that it is an icon, or lies behind a text */
} Picture;

typedef struct {
    const PictureTables *tables;
    const Page *page;
    const RuledBlocks *blocks;
    const uint8_t *chrome, *keep;
    const int64_t *named; /* elements that are captions by their class */
    size_t named_count;
    /* By block, and one more, the visible bytes before it: */
    int64_t *all_text;
    int64_t *text, *kept_text;   /* outside captions */
    int64_t *heads, *kept_heads; /* of what may head a card */
    int32_t *numbers;            /* by block, and one more: what a step needs */
    int32_t *begins;             /* by tag, and one more: the blocks before it */
    int32_t *found;              /* the tags of pictures in blocks */
    uint8_t *flags;              /* by block */
    Picture *pictures;           /* the candidates */
    size_t found_count, count;
    uint8_t begins_hint[256]; /* by byte, a bit for each of the lists */
    bool in_noscript; /* whether one of them is */
} Pictures;

static inline int picture_trait(const Pictures *pictures, size_t tag)
{
    int64_t code = pictures->page->tags[tag];
    return code > 0 ? pictures->tables->traits[code] : 0;
}

/* The first block in an element, and one past its last. */
static inline size_t first_in(const Pictures *pictures, size_t element)
{
    return (size_t)pictures->begins[element];
}

static inline size_t behind_last(const Pictures *pictures, size_t element)
{
    return (size_t)pictures->begins[pictures->page->closes[element]];
}

/* Whether a block has a measure, which is counted from the last one. */
static inline bool has_measure(const Pictures *pictures, size_t block, int64_t nth)
{
    size_t width = pictures->blocks->width;
    return pictures->blocks->measures[(block + 1) * width - (size_t)nth] > 0;
}

/* _page_cards.c */

/* The first place of some bytes, one or more, that end up to `stop`; `stop` if there is none. */
size_t find_bytes(const uint8_t *octets, size_t from, size_t stop, const uint8_t *word, size_t length);
Outcome judge_cards(const Pictures *pictures);

/* _page_labels.c */

/* Finds captions, and adds up the text before each block. False where `named` are no tags. */
bool survey_captions(Pictures *pictures);
/* The blocks of the captions beside pictures that may stay. */
PyObject *new_captions(const Pictures *pictures);
/* Fills what is known by byte. */
void survey_hints(Pictures *pictures);
/* Whether the class or the id of an element may be the name of what is no content. */
bool may_be_beside(const Pictures *pictures, size_t element);
uint8_t signs_of(const Pictures *pictures, size_t picture);
/* Whether a picture says nothing to those who do not see it, and may be called as what lies behind a text. */
bool may_be_decoration(const Pictures *pictures, size_t picture);

#endif
