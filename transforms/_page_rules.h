/* What the files of the rules share: content_rules.py has the rules. */

#ifndef PAGE_RULES_H
#define PAGE_RULES_H

#include "_page_kernel.h"

/* What the code of an element says of it, a bit each; the level of a heading stands above them.
   The elements that rules look at by themselves come below `IS_LAYOUT`. */
enum {
    IS_CHROME = 1, IS_WHOLE = 2, IS_LIST = 4, IS_ARTICLE = 8, IS_FOOTER = 16, IS_CODE = 32, IS_TITLE = 64,
    IS_TABLE = 128, IS_ASIDE = 256, IS_LAYOUT = 512, IS_FURNITURE = 1024, IS_LINK = 2048, LEVEL_SHIFT = 12,
};

enum { RULE_WORD = 15, ROLES = 16, HIDING = 2, MEANT = 3, PARTS = 4 };
enum { LINKED_UNIT = 64, PERCENT = 100, LEAST_SCORE = -100 };
enum { ROLE, HIDDEN, STYLE, RULE_ATTRIBUTES };

typedef struct {
    char letters[RULE_WORD]; /* and zeros behind them */
    uint8_t length;
} RuleWord;

/* As page_kernel.py packs it. */
typedef struct {
    double threshold, below_best, sure_heading; /* log-odds */
    int64_t max_share, max_linked; /* percent */
    int64_t long_text, min_text;   /* visible bytes */
    int64_t reach;                 /* blocks */
    int64_t link_reach;            /* tags */
    int64_t paragraph, max_links;  /* visible bytes; parts of `LINKED_UNIT` */
    int64_t alike, steps;          /* kept paragraphs, and elements around one */
    int64_t aside_reach;           /* elements */
    int64_t linked;                /* the measure that is the share of a block in links */
    int64_t meant[MEANT];          /* measures of texts that may repeat others, from the last one */
    int64_t parts[PARTS];          /* measures of texts that are parts of a whole, as these */
    uint64_t seed;                 /* a secret of the process, so that nobody can make texts collide */
    RuleWord attributes[RULE_ATTRIBUTES]; /* with the space before and the quote behind */
    RuleWord class_name, link;            /* as these */
    RuleWord found_later;
    RuleWord hiding[HIDING][2]; /* properties and what hides */
    RuleWord roles[ROLES];
    uint16_t traits[256]; /* by code */
} RuleTables;

typedef struct {
    const int64_t *first, *last, *size;
    const float *measures, *scores;
    size_t count, width;
} RuledBlocks;

/* The arrays of a page and of its blocks, in the order in which Python hands them over. */
enum { SOURCE, TAGS, STARTS, STOPS, CLOSES, PARENTS, FIRST, LAST, SIZE, MEASURES, SCORES, CHROME, KEEP, BUFFERS };

typedef struct {
    const RuleTables *tables;
    const Page *page;
    const RuledBlocks *blocks;
    uint8_t *chrome, *keep; /* by block */
    int32_t *begins;        /* by tag, and one more: the blocks before it */
    int32_t *layouts;       /* by tag, and one more: the elements before it that a table of data lacks */
    int32_t *marked;        /* the start tags that a rule asks for */
    int32_t *numbers;       /* by block, and one more: what a rule needs */
    int64_t *before;        /* by block, and one more: visible bytes of text before it */
    int64_t *sums;          /* twice that: what a rule needs */
    double *weighed;        /* by block, and one more: what a rule needs */
    double least;           /* log-odds above which a block is kept */
    size_t marked_count;
    bool is_small;
} Rules;

static inline int trait_of(const Rules *rules, size_t tag)
{
    int64_t code = rules->page->tags[tag];
    return code > 0 ? rules->tables->traits[code] : 0;
}

static inline size_t begin_in(const Rules *rules, size_t tag)
{
    return (size_t)rules->begins[tag];
}

static inline size_t end_in(const Rules *rules, size_t tag)
{
    return (size_t)rules->begins[rules->page->closes[tag]];
}

static inline const float *measures_of(const Rules *rules, size_t block)
{
    return rules->blocks->measures + block * rules->blocks->width;
}

/* _page_chrome.c */

/* Points to the arrays in buffers; false where these are not as long as those of one page. */
bool read_buffers(const Py_buffer *buffers, Page *page, RuledBlocks *blocks);
/* Whether the tags may be followed without looking where they lead. */
bool are_sound(const Page *page);
/* The same for blocks; fills the bytes of text before each, and before the end. */
bool survey_blocks(const RuledBlocks *blocks, const Page *page, int64_t *before);
bool is_word(const RuleWord *word, const uint8_t *value, size_t length);
/* The end of a word in lower case, in any case, that starts at `at`; 0 if none does. */
size_t behind_word(const uint8_t *value, size_t length, size_t at, const RuleWord *word);
/* Fills what is known by tag and by block; false where the arrays lead out of the page. */
bool survey_rules(Rules *rules);
void find_chrome(const Rules *rules);

/* Where an attribute begins, its value, and the quote behind that. */
typedef struct {
    size_t begin, value, closing;
} Attribute;

/* The first attribute from a place on, in a tag that ends at `stop`, as `ATTRIBUTE` of dom.py finds it. */
bool next_attribute(const uint8_t *source, size_t at, size_t stop, Attribute *found);
/* A tag's attribute of one name, of two the last one, as in a dictionary; false where there is none. */
bool find_attribute(const Page *page, size_t tag, const RuleWord *name, Attribute *found);

/* _page_alike.c */

enum { MOST_STEPS = 8 };

/* Writes over `layouts`. */
Outcome keep_alike(const Rules *rules);

/* _page_twins.c */

Outcome drop_twins(const Rules *rules);

#endif
