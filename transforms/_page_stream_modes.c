/* What tokens do by the mode of insertion, and before the body: html.spec.whatwg.org, 13.2.6.4. */

#include "_page_stream.h"

/* --- Before the body --- */

/* The end of the white space in a range. */
static size_t pass_within(const Stream *stream, size_t from, size_t to)
{
    size_t at = pass(&stream->source, from, SPACE, true);
    return at < to ? at : to;
}

static void open_body(Stream *stream)
{
    push_implied(stream, E_BODY, "body");
    stream->bare_body = stream->out.size - 1;
    stream->mode = IN_BODY;
}

/* Opens what has to be there before the body, up to a mode. */
static void open_until(Stream *stream, Mode mode)
{
    if (stream->mode == INITIAL) {
        stream->quirks = QUIRKS;
        stream->mode = BEFORE_HTML;
    }
    if (stream->mode == BEFORE_HTML && mode > BEFORE_HTML) {
        push_implied(stream, E_HTML, "html");
        stream->mode = BEFORE_HEAD;
    }
    if (stream->mode == BEFORE_HEAD && mode > BEFORE_HEAD) {
        push_implied(stream, E_HEAD, "head");
        stream->mode = IN_HEAD;
    }
    if (stream->mode == IN_HEAD_NOSCRIPT && mode > IN_HEAD_NOSCRIPT) {
        pop(stream);
        stream->mode = IN_HEAD;
    }
    if (stream->mode == IN_HEAD && mode > IN_HEAD_NOSCRIPT) {
        pop(stream);
        stream->mode = AFTER_HEAD;
    }
    if (stream->mode == AFTER_HEAD && mode > AFTER_HEAD)
        open_body(stream);
}

/* A start tag that has a place in the head; false where it has none. */
static bool start_in_head(Stream *stream, size_t *next)
{
    switch (stream->tag.element) {
    case E_BASE:
    case E_LINK:
    case E_META:
    case E_TITLE:
    case E_NOFRAMES:
    case E_SCRIPT:
    case E_STYLE:
    case E_TEMPLATE:
        *next = start_in_body(stream);
        return true;
    case E_BASEFONT:
    case E_BGSOUND:
        STAND_ASIDE(stream);
        return true;
    default:
        return false;
    }
}

/* A start tag before the body; false where it belongs in the body, which is open then. */
static bool start_before_body(Stream *stream, size_t *next)
{
    Element element = stream->tag.element;
    *next = stream->tag.end;
    open_until(stream, BEFORE_HTML);
    if (element == E_HTML) {
        if (stream->mode == BEFORE_HTML) {
            push(stream, &stream->tag);
            stream->mode = BEFORE_HEAD;
        } else if (has_attributes(stream))
            STAND_ASIDE(stream);
        return true;
    }
    open_until(stream, BEFORE_HEAD);
    if (element == E_HEAD) {
        if (stream->mode == BEFORE_HEAD) {
            push(stream, &stream->tag);
            stream->mode = IN_HEAD;
        }
        return true;
    }
    open_until(stream, IN_HEAD);
    if (stream->mode == IN_HEAD_NOSCRIPT) {
        if (element == E_NOSCRIPT)
            return true;
        if ((element == E_LINK || element == E_META || element == E_NOFRAMES || element == E_STYLE
             || element == E_BASEFONT || element == E_BGSOUND)
            && start_in_head(stream, next))
            return true;
        pop(stream);
        stream->mode = IN_HEAD;
    }
    if (stream->mode == IN_HEAD) {
        if (start_in_head(stream, next))
            return true;
        if (element == E_NOSCRIPT) {
            push(stream, &stream->tag);
            stream->mode = IN_HEAD_NOSCRIPT;
            return true;
        }
    }
    open_until(stream, AFTER_HEAD);
    if (element == E_BODY) {
        push(stream, &stream->tag);
        stream->mode = IN_BODY;
        return true;
    }
    /* These go into the head, which is written already: but some are not written at all. */
    if (element == E_BASE || element == E_META || element == E_TITLE || element == E_FRAMESET) {
        STAND_ASIDE(stream);
        return true;
    }
    if (start_in_head(stream, next))
        return true;
    open_body(stream);
    return false;
}

static void end_before_body(Stream *stream)
{
    Element element = stream->tag.element;
    open_until(stream, BEFORE_HTML); /* a doctype comes too late then */
    if (element == E_BR || element == E_TEMPLATE)
        STAND_ASIDE(stream);
    else if (stream->mode == IN_HEAD_NOSCRIPT) {
        if (element == E_NOSCRIPT) {
            pop(stream);
            stream->mode = IN_HEAD;
        }
    } else if (element == E_HEAD)
        open_until(stream, AFTER_HEAD);
    else if (element == E_BODY || element == E_HTML)
        open_until(stream, IN_BODY);
}

/* --- All modes --- */

size_t on_start_tag(Stream *stream)
{
    size_t next;
    if (stream->mode < IN_BODY && start_before_body(stream, &next))
        return next;
    return stream->mode == IN_BODY ? start_in_body(stream) : start_in_tables(stream);
}

void on_end_tag(Stream *stream)
{
    if (stream->mode < IN_BODY)
        end_before_body(stream);
    else if (stream->mode == IN_BODY)
        end_in_body(stream);
    else
        end_in_tables(stream);
}

void on_text(Stream *stream, size_t from, size_t to)
{
    size_t space = stream->mode == IN_BODY || from == to ? from : pass_within(stream, from, to);
    switch (stream->mode) {
    case INITIAL:
    case BEFORE_HTML:
    case BEFORE_HEAD:
        from = space;
        break;
    case IN_HEAD:
    case IN_HEAD_NOSCRIPT:
    case AFTER_HEAD:
    case IN_COLUMN_GROUP:
        if (stream->muted < 0)
            write_text(stream, from, space);
        from = space;
        break;
    default:
        break;
    }
    if (from == to)
        return;
    if (stream->mode < IN_BODY) {
        if (may_be_space(stream, from))
            STAND_ASIDE(stream);
        open_until(stream, IN_BODY);
    }
    bool is_table = stream->mode == IN_TABLE || stream->mode == IN_TABLE_BODY || stream->mode == IN_ROW
                    || stream->mode == IN_COLUMN_GROUP;
    if (is_table && space < to)
        STAND_ASIDE(stream); /* it moves out of the table */
    if (!is_table)
        reopen_formatting(stream);
    if (stream->muted < 0)
        write_text(stream, from, to);
}

void finish(Stream *stream)
{
    open_until(stream, IN_BODY);
    pop_to(stream, 0);
}
