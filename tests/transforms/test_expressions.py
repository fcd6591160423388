"""What an expression of a recipe may say, and what it means."""

import math

import duckdb
import pyarrow as pa
import pytest

from schemas.errors import RecipeError
from transforms.expressions import column_kinds, connection, parse_expression
from transforms.gates import check_gate, parse_gate
from transforms.rule_query import Query

TABLE = pa.table(
    {
        "width": pa.array([640, None, 0], pa.int32()),
        "score": pa.array([0.5, math.nan, math.inf]),
        "text": ["Hello, world", None, ""],
        "language": pa.array(["en", "de", None]).dictionary_encode(),
        "ok": [True, False, None],
        "nothing": pa.nulls(3),
        "nodes": [[1], [2], []],
    }
)


def value_of(expression: str, table: pa.Table = TABLE) -> list[object]:
    """What an expression is of every row."""
    rule = {"sql": f"({expression}) IS NULL"}  # any kind may stand here
    check_gate(parse_gate({"r": rule}, "g"), table.schema, "g")
    query = Query(column_kinds(table.schema))
    typed = query.add(parse_expression(expression, "g"), "g")
    values: list[object] = query.run(query.sql([typed.sql]), table).column(0).to_pylist()
    return values


REFUSED = {
    "file function": ("read_csv('/etc/passwd')", "function 'read_csv' is not allowed"),
    "subquery": ("(select 1)", "a subquery is not allowed"),
    "exists": ("exists(select 1)", "a subquery is not allowed"),
    "in subquery": ("width in (select 1)", "a subquery is not allowed"),
    "window": ("sum(width) over ()", "a window function is not allowed"),
    "ranking window": ("row_number() over ()", "a window function is not allowed"),
    "aggregate": ("sum(width) > 1", "the aggregate sum() is allowed in document rules only"),
    "count star": ("count(*) > 1", "allowed in document rules only"),
    "other aggregate": ("avg(width) > 1", "function 'avg' is not allowed"),
    "random": ("random() > 0.5", "function 'random' is not allowed"),
    "clock": ("now() > width", "function 'now' is not allowed"),
    "clock without call": ("current_timestamp > 1", "no column 'current_timestamp'"),
    "second statement": ("1; drop table x", "g.r"),
    "environment": ("getenv('HOME') = 'x'", "function 'getenv' is not allowed"),
    "setting": ("current_setting('threads') = 'x'", "'current_setting' is not allowed"),
    "pragma": ("pragma_version()", "function 'pragma_version' is not allowed"),
    "memory bomb": ("repeat('a', 1000000000) = text", "function 'repeat' is not allowed"),
    "range bomb": ("len(range(1000000000000)) > 1", "is not allowed"),
    "list": ("[1, 2]", "is not allowed"),
    "struct": ("{'a': 1}", "only plain arguments are allowed in struct_pack()"),
    "lambda": ("list_transform([1], lambda x: x)", "is not allowed"),
    "unnest": ("unnest(nodes)", "function 'unnest' is not allowed"),
    "star": ("*", "a star is not allowed"),
    "columns": ("columns('w.*')", "a star is not allowed"),
    "parameter": ("$1", "exactly one expression"),
    "position": ("#1", "a positional reference is not allowed"),
    "qualified function": ("main.lower(text) = 'a'", "'main.lower' is not allowed"),
    "method": ("text.lower() = 'a'", "is not allowed"),
    "dotted column": ("rows.width > 1", "no dots in column names"),
    "collation": ("text collate nocase = 'a'", "a collation is not allowed"),
    "interval": ("interval 1 day", "is not allowed"),
    "from": ("width from rows", "exactly one expression"),
    "where": ("width where true", "exactly one expression"),
    "order": ("width order by 1", "exactly one expression"),
    "limit": ("width limit 1", "exactly one expression"),
    "union": ("1 union select 2", "exactly one expression"),
    "two values": ("1, 2", "exactly one expression"),
    "alias": ("width as w", "exactly one expression"),
    "hexadecimal alias": ("0x1F", "exactly one expression"),
    "line comment": ("width > 1 -- , 2", "cannot hold a comment"),
    "block comment": ("width /* > 1 */ > 2", "cannot hold a comment"),
    "simple case": ("case width when 1 then true end", "write CASE WHEN"),
    "empty": ("  ", "an expression is wanted"),
    "unclosed": ("(", "syntax error"),
    "too long": ("width +" * 600 + "1", "at most 4096 characters"),
    "too deep": ("+".join(["width"] * 300) + " > 1", "depth"),
    "nul": ("text = '\0'", "NUL"),
    "surrogate": ("text = '\ud800'", "surrogate"),
    "too large a number": ("width > 1e999", "too large"),
    "pattern from a column": ("text like language", "is a constant"),
    "bad pattern": ("regexp_matches(text, '(')", "missing )"),
    "nested column": ("nodes is null", "column 'nodes' is not a number, a text or a boolean"),
    "text as number": ("text + 1 > 2", "a number is wanted here, not a text"),
    "text against number": ("text > 1", "a text is wanted here, not a number"),
    "number as condition": ("width and ok", "a boolean is wanted here, not a number"),
    "wrong arity": ("lower(text, text) = 'a'", "lower takes 1 argument"),
    "mixed branches": ("case when ok then 1 else 'a' end = 1", "a number is wanted here"),
    "ordered argument": ("lower(text order by text) = 'a'", "only plain arguments"),
    "unsafe cast": ("width::varchar = '1'", "no cast of a number to VARCHAR"),
    "decimal cast": ("width::decimal(3, 1) = 1", "no cast"),
    "blob": ("x'00' = text", "not a number, a text or a boolean"),
}


@pytest.mark.parametrize(("expression", "message"), REFUSED.values(), ids=REFUSED)
def test_expression_that_is_not_allowed_is_refused_with_its_path(
    expression: str, message: str
) -> None:
    with pytest.raises(RecipeError) as caught:
        check_gate(parse_gate({"r": {"sql": expression}}, "g"), TABLE.schema, "g")
    assert message in str(caught.value)
    assert str(caught.value).startswith("g.r")


MEANT = {
    "division by zero": ("1 / width", [1 / 640, None, None]),
    "zero by zero": ("width / width", [1.0, None, None]),
    "modulo zero": ("10 % width", [10.0, None, None]),
    "nan and infinity are null": ("score", [0.5, None, None]),
    "nan inside": ("coalesce(score, -1)", [0.5, -1.0, -1.0]),
    "division inside": ("coalesce(1 / (width * 0), 7)", [7.0, 7.0, 7.0]),
    "overflow": ("coalesce(1e308 * 10, 7)", [7.0] * 3),
    "comparison with a division": ("(1 / width) > 0", [True, None, None]),
    "logarithm of zero": ("ln(width)", [math.log(640), None, None]),
    "root of a negative": ("sqrt(-width)", [None, None, 0.0]),
    "power": ("(-8) ^ 0.5", [None] * 3),
    "least passes over null": ("least(width, 700)", [640.0, 700.0, 0.0]),
    "integer arithmetic is float": ("width / 256", [2.5, None, 0.0]),
    "integers do not overflow": ("9223372036854775807 + 1 > 0", [True] * 3),
    "null is not true": ("width > 1 or ok", [True, None, None]),
    "length in characters": ("length('é中')", [2.0] * 3),
    "lower": ("lower(text)", ["hello, world", None, ""]),
    "quotes": ("text = 'it''s'", [False, None, False]),
    "dictionary column": ("language in ('en', 'fr')", [True, False, None]),
    "like": ("text like 'Hello%'", [True, None, False]),
    "not ilike": ("text not ilike 'hello%'", [False, None, True]),
    "regular expression": ("regexp_matches(text, '^H.*d$')", [True, None, False]),
    "between": ("width between 1 and 640", [True, None, False]),
    "case": ("case when ok then width else 2 end", [640.0, 2.0, 2.0]),
    "if": ("if(ok, 1, 2)", [1.0, 2.0, 2.0]),
    "failed cast": ("text::double", [None] * 3),
    "cast of text": ("'12'::int + 1", [13.0] * 3),
    "nan by cast": ("'nan'::double", [None] * 3),
    "is not null": ("width is not null", [True, False, True]),
    "distinct from": ("width is distinct from 0", [True, True, False]),
    "null column": ("nothing is null", [True] * 3),
    "concatenation": ("text || '!'", ["Hello, world!", None, "!"]),
    "nullif": ("nullif(width, 0)", [640.0, None, None]),
    "round": ("round(width / 7, 1)", [91.4, None, 0.0]),
    "constant": ("1_000", [1000.0] * 3),
    "name outside ascii": ("'é' || text = 'éHello, world'", [True, None, False]),
}


@pytest.mark.parametrize(("expression", "expected"), MEANT.values(), ids=MEANT)
def test_expression_means_what_the_module_says(expression: str, expected: list[object]) -> None:
    assert value_of(expression) == expected


def test_unknown_column_names_the_nearest() -> None:
    gate = parse_gate({"r": {"value": "widht", "min": 1}}, "gates.x")
    with pytest.raises(RecipeError, match=r"gates\.x\.r: no column 'widht'; nearest: width"):
        check_gate(gate, TABLE.schema, "gates.x")


def test_column_with_a_strange_name_is_quoted() -> None:
    table = pa.table({'a" FROM x; --': [1.0, 2.0]})
    assert value_of('"a"" FROM x; --" + 1', table) == [2.0, 3.0]


def test_deep_nesting_grows_the_query_only_linearly() -> None:
    expression = "width"
    for _ in range(40):
        expression = f"1 / (1 + {expression})"
    assert value_of(expression)[2] == pytest.approx((math.sqrt(5) - 1) / 2)


@pytest.mark.parametrize(
    "statement",
    [
        "SET threads = 4",
        "SET enable_external_access = true",
        "SELECT * FROM read_csv('/etc/passwd')",
        "COPY (SELECT 1) TO '/tmp/weft_never'",
        "ATTACH '/tmp/weft_never.db'",
        "INSTALL httpfs",
        "LOAD httpfs",
    ],
)
def test_connection_is_locked(statement: str) -> None:
    with pytest.raises(duckdb.Error):
        connection().execute(statement).fetchall()


def test_connection_has_one_thread_a_memory_limit_and_no_access() -> None:
    names = ("threads", "memory_limit", "enable_external_access", "lock_configuration")
    columns = ", ".join(f"current_setting('{name}')" for name in names)
    threads, memory, access, locked = connection().execute(f"SELECT {columns}").fetchall()[0]
    assert (threads, access, locked) == (1, False, True)
    assert memory == "488.2 MiB"
