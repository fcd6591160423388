/* What _page_scan.h says. */

#include "_page_scan.h"

const uint8_t CAN_END[256] = {
    [' '] = SPACE, ['\t'] = SPACE, ['\n'] = SPACE, ['\f'] = SPACE, ['\r'] = SPACE,
    ['/'] = SLASH, ['>'] = CLOSE, ['='] = EQUALS,
};

bool is_name(const Source *source, size_t at, const char *name, size_t length)
{
    if (source->size - at <= length || !ends(source->at[at + length], NAME_END))
        return false;
    for (size_t nth = 0; nth < length; nth++) {
        uint8_t byte = source->at[at + nth];
        if ((is_letter(byte) ? byte | 0x20 : byte) != (uint8_t)name[nth])
            return false;
    }
    return true;
}

size_t tag_end(const Source *source, size_t at, bool *closes_itself)
{
    const uint8_t *octets = source->at;
    size_t size = source->size;
    *closes_itself = false;
    for (;;) {
        size_t begin = at;
        at = pass(source, at, SPACE | SLASH, true);
        if (at == size)
            return size;
        if (octets[at] == '>') {
            *closes_itself = at > begin && octets[at - 1] == '/';
            return at + 1;
        }
        /* A name begins with anything, `=` too. */
        at = name_end(source, at + 1, NAME_END | EQUALS);
        at = pass(source, at, SPACE, true);
        if (at == size || octets[at] != '=')
            continue;
        at = pass(source, at + 1, SPACE, true);
        if (at == size)
            return size;
        /* A `>` in quotes does not end the tag; quotes count only here. */
        if (octets[at] == '"' || octets[at] == '\'') {
            at = find_quote(source, at + 1, octets[at]);
            at += at < size;
        } else
            at = pass(source, at, SPACE | CLOSE, false);
    }
}

size_t comment_end(const Source *source, size_t at)
{
    const uint8_t *octets = source->at;
    size_t size = source->size, begin = at;
    if (at < size && octets[at] == '>')
        return at + 1;
    if (size - at >= 2 && octets[at] == '-' && octets[at + 1] == '>')
        return at + 2;
    /* `-->` or `--!>`, whose dashes are not those that begin it. */
    for (; (at = find(source, at, '>')) < size; at++) {
        size_t bang = at - begin >= 3 && octets[at - 1] == '!';
        if (at - begin >= 2 + bang && octets[at - 1 - bang] == '-' && octets[at - 2 - bang] == '-')
            return at + 1;
    }
    return size;
}

size_t text_end(const Source *source, size_t at, const char *name, size_t length)
{
    for (; (at = find(source, at, '<')) < source->size; at++)
        if (source->size - at > 2 && source->at[at + 1] == '/'
            && is_name(source, at + 2, name, length))
            return at;
    return source->size;
}

size_t script_end(const Source *source, size_t at, bool *is_escaped)
{
    const uint8_t *octets = source->at;
    bool escaped = false, hidden = false;
    *is_escaped = false;
    for (; at < source->size; at++) {
        if (!escaped && (at = find(source, at, '<')) == source->size)
            break;
        size_t left = source->size - at;
        if (octets[at] == '>' && octets[at - 1] == '-' && octets[at - 2] == '-')
            escaped = hidden = false;
        if (octets[at] != '<' || left < 4)
            continue;
        if (octets[at + 1] == '/' && is_name(source, at + 2, "script", 6)) {
            if (!hidden)
                return at;
            hidden = false;
        } else if (escaped && is_name(source, at + 1, "script", 6))
            hidden = true;
        else if (!escaped && !memcmp(octets + at, "<!--", 4)) {
            escaped = *is_escaped = true;
            at += 3;
        }
    }
    return source->size;
}
