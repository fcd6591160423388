/* What tags do in tables: html.spec.whatwg.org, 13.2.6.4.9 to 13.2.6.4.15. */

#include "_page_stream.h"

/* Closes what is open in a part of a table. */
static void clear_back(Stream *stream, Element one, Element two, Element three)
{
    Element element;
    while ((element = current(stream)) != one && element != two && element != three && element != E_HTML)
        pop(stream);
}

static void clear_to_table(Stream *stream)
{
    clear_back(stream, E_TABLE, E_TABLE, E_TABLE);
}

static void clear_to_body(Stream *stream)
{
    clear_back(stream, E_TBODY, E_TFOOT, E_THEAD);
}

static void clear_to_row(Stream *stream)
{
    clear_back(stream, E_TR, E_TR, E_TR);
}

/* 13.2.4.1, as far as it is of use once the body is open. */
static void reset_mode(Stream *stream)
{
    stream->mode = IN_BODY;
    for (int nth = stream->depth - 1; nth > 0; nth--)
        switch (stream->open[nth].element) {
        case E_TD:
        case E_TH:
            stream->mode = IN_CELL;
            return;
        case E_TR:
            stream->mode = IN_ROW;
            return;
        case E_TBODY:
        case E_THEAD:
        case E_TFOOT:
            stream->mode = IN_TABLE_BODY;
            return;
        case E_CAPTION:
            stream->mode = IN_CAPTION;
            return;
        case E_COLGROUP:
            stream->mode = IN_COLUMN_GROUP;
            return;
        case E_TABLE:
            stream->mode = IN_TABLE;
            return;
        default:
            break;
        }
}

static void close_table(Stream *stream)
{
    int table = find_in_table_scope(stream, E_TABLE);
    if (table < 0)
        return;
    pop_to(stream, table);
    reset_mode(stream);
}

/* Closes a cell or a caption, at a place of the open elements. */
static void close_marked(Stream *stream, int at, Mode mode)
{
    pop_to(stream, at);
    clear_to_marker(stream);
    stream->mode = mode;
}

static void open_marked(Stream *stream, Mode mode)
{
    push(stream, &stream->tag);
    add_marker(stream);
    stream->mode = mode;
}

static bool is_part(Element element)
{
    return element == E_CAPTION || element == E_COL || element == E_COLGROUP || element == E_TBODY
           || element == E_TFOOT || element == E_THEAD;
}

static bool is_cell(Element element)
{
    return element == E_TD || element == E_TH;
}

/* Closes the section of a table that is open; false where there is none. */
static bool close_section(Stream *stream)
{
    if (find_in_table_scope(stream, E_TBODY) < 0 && find_in_table_scope(stream, E_THEAD) < 0
        && find_in_table_scope(stream, E_TFOOT) < 0)
        return false;
    clear_to_body(stream);
    pop(stream);
    stream->mode = IN_TABLE;
    return true;
}

static bool close_row(Stream *stream)
{
    if (find_in_table_scope(stream, E_TR) < 0)
        return false;
    clear_to_row(stream);
    pop(stream);
    stream->mode = IN_TABLE_BODY;
    return true;
}

static int find_cell(const Stream *stream)
{
    int cell = find_in_table_scope(stream, E_TD);
    return cell >= 0 ? cell : find_in_table_scope(stream, E_TH);
}

/* Whether the tag is of an `input` that is not shown: a table may hold it. */
static bool is_hidden_input(const Stream *stream)
{
    const Tag *tag = &stream->tag;
    static const char HIDDEN[] = "hidden";
    for (size_t nth = 0; tag->element == E_INPUT && nth < tag->count; nth++) {
        const Attribute *each = &tag->attributes[nth];
        if (each->name_size != 4 || memcmp(stream->octets + each->name, "type", 4))
            continue;
        bool is_hidden = each->value_size == sizeof HIDDEN - 1;
        for (size_t at = 0; is_hidden && at < sizeof HIDDEN - 1; at++)
            is_hidden = (stream->octets[each->value + at] | 0x20) == HIDDEN[at];
        return is_hidden;
    }
    return false;
}

/* A start tag right in a table. */
static size_t start_in_table(Stream *stream)
{
    const Tag *tag = &stream->tag;
    switch (tag->element) {
    case E_CAPTION:
        clear_to_table(stream);
        open_marked(stream, IN_CAPTION);
        break;
    case E_COLGROUP:
        clear_to_table(stream);
        push(stream, tag);
        stream->mode = IN_COLUMN_GROUP;
        break;
    case E_COL:
        clear_to_table(stream);
        push_implied(stream, E_COLGROUP, "colgroup");
        stream->mode = IN_COLUMN_GROUP;
        put_void(stream, tag);
        break;
    case E_TBODY:
    case E_TFOOT:
    case E_THEAD:
        clear_to_table(stream);
        push(stream, tag);
        stream->mode = IN_TABLE_BODY;
        break;
    case E_STYLE:
    case E_SCRIPT:
    case E_TEMPLATE:
        return start_in_body(stream);
    case E_TABLE: /* the one that is open ends */
        close_table(stream);
        return start_in_tables(stream);
    case E_FORM:
        if (stream->form == -1) {
            stream->form = -2;
            push(stream, tag);
            pop(stream);
        }
        break;
    default:
        if (is_hidden_input(stream))
            put_void(stream, tag);
        else
            STAND_ASIDE(stream); /* it moves out of the table */
        break;
    }
    return tag->end;
}

/* An end tag right in a table. */
static void end_in_table(Stream *stream)
{
    Element element = stream->tag.element;
    if (element == E_TABLE)
        close_table(stream);
    else if (element == E_P || element == E_BR)
        STAND_ASIDE(stream); /* it makes an element, which moves out of the table */
    else if (!is_part(element) && !is_cell(element) && element != E_TR && element != E_BODY && element != E_HTML)
        end_in_body(stream);
}

/* A start tag in a table, its parts or its cells. */
size_t start_in_tables(Stream *stream)
{
    Element element = stream->tag.element;
    bool is_of_table = is_part(element) || is_cell(element) || element == E_TR;
    while (!stream->aside)
        switch (stream->mode) {
        case IN_CELL:
            if (!is_of_table)
                return start_in_body(stream);
            close_marked(stream, find_cell(stream), IN_ROW);
            break;
        case IN_CAPTION:
            if (!is_of_table)
                return start_in_body(stream);
            close_marked(stream, find_in_table_scope(stream, E_CAPTION), IN_TABLE);
            break;
        case IN_ROW:
            if (is_cell(element)) {
                clear_to_row(stream);
                open_marked(stream, IN_CELL);
                return stream->tag.end;
            }
            if (!is_of_table)
                return start_in_table(stream);
            close_row(stream);
            break;
        case IN_TABLE_BODY:
            if (element == E_TR) {
                clear_to_body(stream);
                push(stream, &stream->tag);
                stream->mode = IN_ROW;
                return stream->tag.end;
            }
            if (is_cell(element)) {
                clear_to_body(stream);
                push_implied(stream, E_TR, "tr");
                stream->mode = IN_ROW;
            } else if (!is_of_table)
                return start_in_table(stream);
            else
                close_section(stream);
            break;
        case IN_COLUMN_GROUP:
            if (element == E_COL) {
                put_void(stream, &stream->tag);
                return stream->tag.end;
            }
            if (element == E_TEMPLATE)
                return start_in_body(stream);
            pop(stream);
            stream->mode = IN_TABLE;
            break;
        case IN_TABLE:
            if (element != E_TR && !is_cell(element))
                return start_in_table(stream);
            clear_to_table(stream);
            push_implied(stream, E_TBODY, "tbody");
            stream->mode = IN_TABLE_BODY;
            break;
        default: /* the table was closed */
            return start_in_body(stream);
        }
    return stream->tag.end;
}

/* An end tag in a table, its parts or its cells. */
void end_in_tables(Stream *stream)
{
    Element element = stream->tag.element;
    bool is_section = element == E_TBODY || element == E_TFOOT || element == E_THEAD;
    bool is_ignored = element == E_BODY || element == E_COL || element == E_COLGROUP || element == E_HTML;
    while (!stream->aside)
        switch (stream->mode) {
        case IN_CELL:
            if (is_cell(element)) {
                int cell = find_in_table_scope(stream, element);
                if (cell >= 0)
                    close_marked(stream, cell, IN_ROW);
                return;
            }
            if (is_ignored || element == E_CAPTION)
                return;
            if (element != E_TABLE && element != E_TR && !is_section) {
                end_in_body(stream);
                return;
            }
            if (find_in_table_scope(stream, element) < 0)
                return;
            close_marked(stream, find_cell(stream), IN_ROW);
            break;
        case IN_CAPTION: {
            int caption = find_in_table_scope(stream, E_CAPTION);
            if (element == E_CAPTION || element == E_TABLE) {
                close_marked(stream, caption, IN_TABLE);
                if (element == E_CAPTION)
                    return;
                break;
            }
            if (!is_ignored && !is_section && !is_cell(element) && element != E_TR)
                end_in_body(stream);
            return;
        }
        case IN_ROW:
            if (is_section && find_in_table_scope(stream, element) < 0)
                return;
            if (element != E_TR && element != E_TABLE && !is_section) {
                end_in_table(stream);
                return;
            }
            close_row(stream);
            if (element == E_TR)
                return;
            break;
        case IN_TABLE_BODY:
            if (is_section) {
                if (find_in_table_scope(stream, element) >= 0)
                    close_section(stream);
                return;
            }
            if (element != E_TABLE) {
                end_in_table(stream);
                return;
            }
            close_section(stream);
            break;
        case IN_COLUMN_GROUP:
            if (element == E_COL || element == E_TEMPLATE)
                return;
            pop(stream);
            stream->mode = IN_TABLE;
            if (element == E_COLGROUP)
                return;
            break;
        default:
            end_in_table(stream);
            return;
        }
}
