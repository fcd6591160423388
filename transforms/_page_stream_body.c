/* What tags do in the body: html.spec.whatwg.org, 13.2.6.4.7. */

#include "_page_stream.h"

/* Opens the element of the tag; one of those that formatting elements are opened again for. */
static void push_reopened(Stream *stream)
{
    reopen_formatting(stream);
    push(stream, &stream->tag);
}

static bool is_heading(const Stream *stream, Element element)
{
    return is_a(stream, element, HEADLINE);
}

/* An item closes the one before it, if nothing but `address`, `div` and `p` is open in between. */
static void start_item(Stream *stream, Element other)
{
    Element element = stream->tag.element;
    for (int nth = stream->depth - 1; nth >= 0; nth--) {
        Element each = stream->open[nth].element;
        if (each == element || each == other) {
            pop_to(stream, nth);
            break;
        }
        if (is_a(stream, each, SPECIAL) && each != E_ADDRESS && each != E_DIV && each != E_P)
            break;
    }
    close_paragraph(stream);
    push(stream, &stream->tag);
}

/* `a` and `nobr` hold none of their like. */
static void start_formatting(Stream *stream)
{
    Element element = stream->tag.element;
    if (element == E_A) {
        for (int nth = stream->entries - 1; nth >= 0 && stream->list[nth].element != E_OTHER; nth--)
            if (stream->list[nth].element == E_A) {
                close_formatting(stream, E_A); /* it is in scope: what is not has a marker before it */
                break;
            }
    }
    reopen_formatting(stream);
    if (element == E_NOBR && find_in_scope(stream, E_NOBR, NO_BOUND, NO_BOUND) >= 0)
        STAND_ASIDE(stream);
    if (!stream->aside)
        add_formatting(stream);
}

static void start_table(Stream *stream)
{
    /* In quirks mode a table stands in a paragraph. */
    if (stream->paragraphs && find_in_scope(stream, E_P, E_BUTTON, E_BUTTON) >= 0) {
        if (stream->quirks == UNKNOWN)
            STAND_ASIDE(stream);
        if (stream->quirks == NO_QUIRKS)
            close_paragraph(stream);
    }
    push(stream, &stream->tag);
    stream->mode = IN_TABLE;
}

/* The offset behind a `title`, which is written. */
static size_t write_title(Stream *stream)
{
    const Source *source = &stream->source;
    size_t at = stream->tag.end, end = text_end(source, at, "title", 5);
    bool closes_itself;
    push(stream, &stream->tag);
    if (stream->muted < 0)
        write_text(stream, at, end);
    pop(stream);
    check_crowd(stream, at, end);
    return end == source->size ? end : tag_end(source, end + 2 + 5, &closes_itself);
}

/* The first line feed in these is none of their text. */
static size_t pass_line_feed(Stream *stream)
{
    const Source *source = &stream->source;
    size_t at = stream->tag.end;
    /* It may be written as a reference, and `</>` is nothing that stands before it. */
    if (may_be_space(stream, at) || !memcmp(source->at + at, "</>", 3))
        STAND_ASIDE(stream);
    if (at < source->size && source->at[at] == '\r')
        return at + 1 + (at + 1 < source->size && source->at[at + 1] == '\n');
    return at + (at < source->size && source->at[at] == '\n');
}

size_t start_in_body(Stream *stream)
{
    const Tag *tag = &stream->tag;
    Element element = tag->element;
    size_t end = tag->end;
    if (is_a(stream, element, FORMATTING)) {
        start_formatting(stream);
        return end;
    }
    switch (element) {
    case E_HTML:
        if (has_attributes(stream))
            STAND_ASIDE(stream); /* they are added to the first one's */
        break;
    case E_BODY:
        if (has_attributes(stream))
            write_late_attributes(stream);
        break;
    case E_BASE:
    case E_LINK:
    case E_META:
    case E_PARAM:
    case E_SOURCE:
    case E_TRACK:
        put_void(stream, tag);
        break;
    case E_TITLE:
        return write_title(stream);
    case E_SCRIPT:
    case E_STYLE:
    case E_NOFRAMES:
    case E_IFRAME:
    case E_NOEMBED:
        return pass_raw_text(stream, end, element);
    case E_TEMPLATE:
        return pass_template(stream, end);
    case E_TEXTAREA:
        return pass_raw_text(stream, end, element);
    case E_SVG:
        reopen_formatting(stream);
        return tag->closes_itself ? end : pass_svg(stream, end);
    case E_SELECT:
        reopen_formatting(stream);
        return pass_select(stream, end);
    case E_H1:
    case E_H2:
    case E_H3:
    case E_H4:
    case E_H5:
    case E_H6:
        close_paragraph(stream);
        if (is_heading(stream, current(stream)))
            pop(stream);
        push(stream, tag);
        break;
    case E_PRE:
    case E_LISTING:
        close_paragraph(stream);
        push(stream, tag);
        return pass_line_feed(stream);
    case E_P:
        close_paragraph(stream);
        push(stream, tag);
        break;
    case E_FORM:
        if (stream->form != -1)
            break;
        close_paragraph(stream);
        stream->form = stream->depth;
        push(stream, tag);
        break;
    case E_LI:
        start_item(stream, E_LI);
        break;
    case E_DD:
        start_item(stream, E_DT);
        break;
    case E_DT:
        start_item(stream, E_DD);
        break;
    case E_BUTTON:
        if (find_in_scope(stream, E_BUTTON, NO_BOUND, NO_BOUND) >= 0)
            pop_until(stream, E_BUTTON);
        push_reopened(stream);
        break;
    case E_APPLET:
    case E_MARQUEE:
    case E_OBJECT:
        push_reopened(stream);
        add_marker(stream);
        break;
    case E_TABLE:
        start_table(stream);
        break;
    case E_AREA:
    case E_BR:
    case E_EMBED:
    case E_IMG:
    case E_WBR:
    case E_INPUT:
        reopen_formatting(stream);
        put_void(stream, tag);
        break;
    case E_HR:
        close_paragraph(stream);
        put_void(stream, tag);
        break;
    case E_OPTGROUP:
    case E_OPTION:
        if (current(stream) == E_OPTION)
            pop(stream);
        push_reopened(stream);
        break;
    case E_RB:
    case E_RTC:
    case E_RP:
    case E_RT:
        if (find_in_scope(stream, E_RUBY, NO_BOUND, NO_BOUND) >= 0)
            close_implied(stream, element == E_RP || element == E_RT ? E_RTC : E_OTHER);
        push(stream, tag);
        break;
    case E_CAPTION:
    case E_COL:
    case E_COLGROUP:
    case E_FRAME:
    case E_HEAD:
    case E_TBODY:
    case E_TD:
    case E_TFOOT:
    case E_TH:
    case E_THEAD:
    case E_TR:
        break;
    case E_BASEFONT:
    case E_BGSOUND:
    case E_FRAMESET:
    case E_IMAGE:
    case E_KEYGEN:
    case E_MATH:
    case E_PLAINTEXT:
    case E_XMP:
        STAND_ASIDE(stream);
        break;
    default:
        if (is_a(stream, element, ENDS_PARAGRAPH)) {
            close_paragraph(stream);
            push(stream, tag);
        } else
            push_reopened(stream);
        break;
    }
    return end;
}

/* --- End tags --- */

static void end_form(Stream *stream)
{
    int form = stream->form;
    stream->form = -1;
    if (form < 0)
        return;
    for (int nth = stream->depth - 1; nth > form; nth--)
        if (is_a(stream, stream->open[nth].element, SCOPE))
            return;
    close_implied(stream, E_OTHER);
    if (stream->depth - 1 == form)
        pop(stream);
    else
        STAND_ASIDE(stream); /* what is open in it stays open */
}

static void end_heading(Stream *stream)
{
    for (int nth = stream->depth - 1; nth >= 0; nth--) {
        Element each = stream->open[nth].element;
        if (is_heading(stream, each)) {
            pop_to(stream, nth);
            return;
        }
        if (is_a(stream, each, SCOPE))
            return;
    }
}

void end_in_body(Stream *stream)
{
    const Tag *tag = &stream->tag;
    Element element = tag->element;
    if (is_a(stream, element, FORMATTING)) {
        close_formatting(stream, element);
        return;
    }
    int at = -1;
    switch (element) {
    case E_BODY:
    case E_HTML:
        return; /* what follows is in the body again */
    case E_FORM:
        end_form(stream);
        return;
    case E_P:
        if (!stream->paragraphs || find_in_scope(stream, E_P, E_BUTTON, E_BUTTON) < 0)
            push_implied(stream, E_P, "p");
        close_paragraph(stream);
        return;
    case E_H1:
    case E_H2:
    case E_H3:
    case E_H4:
    case E_H5:
    case E_H6:
        end_heading(stream);
        return;
    case E_LI:
        at = find_in_scope(stream, E_LI, E_OL, E_UL);
        break;
    case E_DD:
    case E_DT:
    case E_BUTTON:
        at = find_in_scope(stream, element, NO_BOUND, NO_BOUND);
        break;
    case E_APPLET:
    case E_MARQUEE:
    case E_OBJECT:
        at = find_in_scope(stream, element, NO_BOUND, NO_BOUND);
        if (at >= 0) {
            pop_to(stream, at);
            clear_to_marker(stream);
        }
        return;
    case E_BR: /* is read as a `br` */
        reopen_formatting(stream);
        stream->tag.count = 0;
        put_void(stream, tag);
        return;
    case E_TEMPLATE:
        return; /* there is none open */
    default:
        if (!is_a(stream, element, ENDS_PARAGRAPH)) {
            close_other(stream, element, tag->name, tag->name_size);
            return;
        }
        at = find_in_scope(stream, element, NO_BOUND, NO_BOUND);
        break;
    }
    if (at >= 0)
        pop_to(stream, at);
}
