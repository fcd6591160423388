"""Which header lines keep an image out."""

import pytest

from transforms.consent import opt_out_reason
from transforms.fetch_config import PRODUCT, FetchConfig

REFUSED = FetchConfig().opt_out


def tag(*values):
    return [("X-Robots-Tag", value) for value in values]


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        pytest.param(tag("noai"), "x-robots-tag: noai", id="everyone"),
        pytest.param(tag("NoImageAI"), "x-robots-tag: noimageai", id="any case"),
        pytest.param(tag("all", "noindex"), "x-robots-tag: noindex", id="second line"),
        pytest.param(tag("nofollow, noimageindex"), "x-robots-tag: noimageindex", id="second word"),
        pytest.param(tag("none"), "x-robots-tag: none", id="none is noindex"),
        pytest.param(tag("*: noindex"), "x-robots-tag: noindex", id="star"),
        pytest.param(tag("weft: noindex"), "x-robots-tag: weft: noindex", id="ours"),
        pytest.param(tag("WEFT: none"), "x-robots-tag: weft: none", id="ours in capitals"),
        pytest.param(tag("googlebot: noindex"), None, id="another crawler"),
        pytest.param(tag("googlebot: nofollow, noindex"), None, id="all that follows the name"),
        pytest.param(tag("GPTBot: noindex"), None, id="another collector"),
        pytest.param(tag("GPTBot: noai"), "x-robots-tag: gptbot: noai", id="noai is for everyone"),
        pytest.param(
            tag("googlebot: noindex, weft: noindex"), "x-robots-tag: weft: noindex", id="two names"
        ),
        pytest.param(tag("weftling: noindex"), None, id="a longer name"),
        pytest.param(tag("all"), None, id="all"),
        pytest.param(tag("noarchive, nosnippet"), None, id="not refused"),
        pytest.param(tag("max-image-preview: none"), None, id="a value is no directive"),
        pytest.param(
            tag("unavailable_after: 25 Jun 2010 15:00:00 GMT, noai"),
            "x-robots-tag: noai",
            id="after a date",
        ),
        pytest.param(tag("", ",,;", "\x00\xff", "a" * 100_000), None, id="nonsense"),
        pytest.param([("robots", "noai"), ("Content-Type", "noai")], None, id="another header"),
        pytest.param([("TDM-Reservation", " 1 ")], "tdm-reservation: 1", id="tdm"),
        pytest.param([("tdm-reservation", "0")], None, id="tdm not reserved"),
        pytest.param([("tdm-reservation", "11")], None, id="tdm nonsense"),
        pytest.param([("tdm-policy", "https://a.example/p")], None, id="a policy alone"),
        pytest.param([], None, id="no headers"),
    ],
)
def test_reason_of_headers(headers, reason):
    assert opt_out_reason(headers, REFUSED, PRODUCT) == reason


@pytest.mark.parametrize("directive", ["noai", "noimageai", "noindex", "noimageindex"])
def test_directive_that_is_not_refused_is_passed_over(directive):
    others = [name for name in REFUSED if name != directive]
    assert opt_out_reason(tag(directive), others, PRODUCT) is None
    assert opt_out_reason(tag(directive), [directive], PRODUCT) == f"x-robots-tag: {directive}"


def test_none_counts_only_where_noindex_is_refused():
    assert opt_out_reason(tag("none"), ["noai", "noimageindex"], PRODUCT) is None


def test_tdm_counts_only_where_it_is_refused():
    assert opt_out_reason([("tdm-reservation", "1")], ["noai"], PRODUCT) is None
    assert opt_out_reason(tag("tdm"), ["tdm"], PRODUCT) is None


def test_nothing_refused_reserves_nothing():
    headers = [*tag("none", "noai"), ("tdm-reservation", "1")]
    assert opt_out_reason(headers, [], PRODUCT) is None
