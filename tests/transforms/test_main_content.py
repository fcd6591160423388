import pytest

from transforms.boilerplate_names import name_verdict
from transforms.dom import BACKENDS, parse_html
from transforms.interleave import ExtractConfig, extract_page

SENTENCE = "The quick brown fox jumps over the lazy dog near the old river bank. "
ARTICLE = f"<h1>Title</h1><p>First. {SENTENCE * 4}</p><p>Second. {SENTENCE * 4}</p>"
LINKS = "".join(f"<li><a href=/{n}>Another headline number {n}</a>" for n in range(8))


def texts(html: str, backend: str = "lexbor") -> str:
    page = extract_page(html, "http://a.com/", ExtractConfig(), backend)
    return "\n".join(node.text or node.image_url or "" for node in page.nodes)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    "boilerplate",
    [
        "<nav>GONE</nav>",
        "<div role=navigation>GONE</div>",
        "<div role=banner>GONE</div>",
        "<footer>GONE</footer>",
        "<aside><a href=/>GONE</a></aside>",
        "<dialog>GONE</dialog>",
        "<div hidden>GONE</div>",
        "<div style='color:red; display : none'>GONE</div>",
        "<span aria-hidden=true>GONE</span>",
        "<form><label>GONE</label><input></form>",
        "<div class='site-footer'>GONE</div>",
        "<div class='x relatedPosts'>GONE</div>",
        "<div id=sidebar>GONE</div>",
        f"<section class=comments>GONE {SENTENCE * 9}</section>",
        f"<div class='cookie-notice'>GONE {SENTENCE}</div>",
        "<div class='social-share'><a href=/>GONE</a></div>",
        "<p class=byline>GONE</p>",
        f"<ul><li><a href=/g>GONE</a>{LINKS}</ul>",
        "<script>GONE</script>",
        "<button>GONE</button>",
    ],
)
def test_boilerplate_goes(boilerplate: str, backend: str) -> None:
    found = texts(f"<body>{ARTICLE}{boilerplate}</body>", backend)
    assert "GONE" not in found
    assert "First." in found
    assert "Second." in found


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    "content",
    [
        "<div class='update'>KEPT</div>",
        "<div class=candidate>KEPT</div>",
        "<div class='has-sidebar'>KEPT</div>",
        "<div class='post category-social tag-newsletter'>KEPT</div>",
        "<div class='hJpAdXq'>KEPT</div>",
        "<section id='sharing-with-a-single-developer'>KEPT</section>",
        "<h2 id=comments>KEPT</h2>",
        f"<aside>KEPT {SENTENCE}</aside>",
        "<ul><li><a href=1>KEPT one</a><li><a href=2>two</a></ul>",
        f"<ul>{LINKS}<li><a href=/k>KEPT</a></ul><p>{SENTENCE}</p>",
        "<div class=gallery><a href=1.jpg><img src=/KEPT.jpg> a</a><a href=2.jpg>b</a>"
        "<a href=3.jpg>c</a></div>",
        "<div class='widget'><img src=/KEPT.jpg></div>",
        "<figure class='media'><img src=/KEPT.jpg></figure>",
        "<span aria-hidden=true><img src=/KEPT.jpg></span>",
    ],
)
def test_content_stays(content: str, backend: str) -> None:
    found = texts(f"<body><div>{ARTICLE}{content}</div></body>", backend)
    assert "KEPT" in found
    assert "Second." in found


@pytest.mark.parametrize(
    "wrapper",
    [
        "<div class='sidebar'>{}</div>",
        "<div class='modal'>{}</div>",
        "<form>{}</form>",
        "<div style='display:none'>{}</div>",
        "<footer>{}</footer>",
        "<div class='comments'>{}</div>",
        "<table><tr><td class=menu>{}</td></tr></table>",
        "<div class=header><main>{}</main></div>",
    ],
)
def test_no_wrapper_takes_the_article_with_it(wrapper: str) -> None:
    found = texts(f"<body>{wrapper.format(ARTICLE)}</body>")
    assert "First." in found
    assert "Second." in found


def test_main_and_article_leave_their_surroundings_out() -> None:
    around = f"<div>{SENTENCE}AROUND</div>"
    assert "AROUND" not in texts(f"<body>{around}<main>{ARTICLE}</main>{around}")
    assert "AROUND" not in texts(f"<body>{around}<article>{ARTICLE}</article>{around}")


def test_several_articles_are_all_content() -> None:
    html = "".join(f"<article><h2>A{n}</h2><p>{SENTENCE * 4}</p></article>" for n in range(5))
    found = texts(f"<body>{html}</body>")
    assert all(f"A{n}" in found for n in range(5))


def test_title_and_lead_picture_above_the_body_belong_to_the_content() -> None:
    body = f"<div><p>{SENTENCE * 9}</p><p>{SENTENCE * 9}</p></div>"
    found = texts(f"<body><div>LOGO</div><div><h1>T</h1><img src=/lead.jpg>{body}</div></body>")
    assert found.startswith("# T\nhttp://a.com/lead.jpg\n")
    assert "LOGO" not in found


def test_picture_behind_the_body_belongs_to_the_content() -> None:
    body = f"<div><p>{SENTENCE * 9}</p><p>{SENTENCE * 9}</p></div>"
    assert "after.jpg" in texts(f"<body><div>{body}<div><img src=/after.jpg></div></div></body>")


def test_page_with_little_text_is_kept_whole() -> None:
    assert texts("<body><div>one</div><p>two</p><div><img src=/3.jpg></div></body>").split(
        "\n"
    ) == [
        "one",
        "two",
        "http://a.com/3.jpg",
    ]


def test_chinese_prose_counts_by_what_it_says() -> None:
    line = "这是一个关于天气和旅行的短句子文章。"
    html = f"<body><ul>{LINKS}</ul><div>{f'<p>{line}</p>' * 12}</div><div>版权所有</div></body>"
    found = texts(html)
    assert found.count(line) == 12
    assert "Another headline" not in found
    assert len(parse_html(html).positions("p")) == 12


@pytest.mark.parametrize(
    ("names", "verdict"),
    [
        ("sidebar", 2),
        ("left-sidebar", 2),
        ("leftSidebar", 2),
        ("page_footer wide", 2),
        ("related-posts", 2),
        ("share", 1),
        ("post-meta", 1),
        ("comments", 3),
        ("cookie-bar", 3),
        ("entry-content-read-more", 0),
        ("update", 0),
        ("sidebars", 0),
        ("no-sidebar", 0),
        ("a-long-slug-about-cookie-recipes", 0),
        ("", 0),
        ("\u00e9t\u00e9 \U0001f600 --- __", 0),
    ],
)
def test_names_are_compared_word_by_word(names: str, verdict: int) -> None:
    assert name_verdict(names) == verdict
