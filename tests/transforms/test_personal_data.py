"""What is masked and what is not, a table a kind; masking twice; texts made to hurt."""

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.errors import RecipeError
from tests.conftest import hang_guard
from transforms.personal_data import (
    KINDS,
    MASK_IPV6,
    MASKS,
    Masker,
    check_masks,
    mask_emails,
    mask_ips,
    mask_phones,
)

MAIL, IP, PHONE = MASKS["email"], MASKS["ip"], MASKS["phone"]

EMAILS = {
    "Write to jane.doe+x@mail.example-site.co.uk.": f"Write to {MAIL}.",
    "<a@b.de>, (c_d%e@f.info)": f"<{MAIL}>, ({MAIL})",
    "联系我们abc@site.cn谢谢": f"联系我们{MAIL}谢谢",
    "o'neil@site.ie": MAIL,
    "logo@2x.png and @handle and user@localhost and a@b": None,
    "price 3@2.50 each": None,
}
IPS = {
    "from 93.184.216.34, today": f"from {IP}, today",
    "8.8.4.129:443": f"{IP}:443",
    "at [2606:2800:220:1:248:1893:25c8:1946]": f"at [{MASK_IPV6}]",
    "2a00:1450:4001:81b::200e is": f"{MASK_IPV6} is",
    "10.0.0.1 and 192.168.1.20 and 127.0.0.1 and 172.16.9.9": None,
    "version 23.4.51.6, v23.4.51.6, 1.2.3.4, Build 23.4.51.6": None,
    "256.300.1.1 and 1.2.3.4.5 and 93.184.216.34.5 and 093.184.216.34": None,
    "at 12:30:45, std::vector, ::1, fe80::1, a::b, 2001:db8::7": None,
}
PHONES = {
    "call +49 30 1234567 now": f"call {PHONE} now",
    "Tel:+44 (0)20 7946 0958.": f"Tel:{PHONE}.",
    "+1-212-555-4321": PHONE,
    "(212) 555-4321 or 212.555.4321 or 1-800-555-4321": f"{PHONE} or {PHONE} or {PHONE}",
    "01 23 45 67 89": PHONE,
    "030 123456 2024": f"{PHONE} 2024",
    "in 2024 030 1234567": f"in 2024 {PHONE}",
    "0171/1234567, (030) 123 456 78": f"{PHONE}, {PHONE}",
    "東京 03-1234-5678": f"東京 {PHONE}",
    "on 01.02.2024, 2024-01-02, 1/2/2024, 12:30": None,
    "01.02.2024 10 people": None,
    "costs $212 555 4321, 1.234.567 or 12,345,678": None,
    "ISBN 978-3-16-148410-0, ISBN: 0-306-40615-2": None,
    "from 1914 - 1918 to 1939-1945": None,
    "order 123456789012, id 4006381333931": None,
    "https://x.example/030-1234567 and a030 1234567": None,
    "+10.000.000 and pi is 3.14159265358979": None,
}


@pytest.mark.parametrize(("text", "masked"), EMAILS.items())
def test_email(text: str, masked: str | None) -> None:
    assert mask_emails(text)[0] == (text if masked is None else masked)


@pytest.mark.parametrize(("text", "masked"), IPS.items())
def test_ip(text: str, masked: str | None) -> None:
    assert mask_ips(text)[0] == (text if masked is None else masked)


@pytest.mark.parametrize(("text", "masked"), PHONES.items())
def test_phone(text: str, masked: str | None) -> None:
    assert mask_phones(text)[0] == (text if masked is None else masked)


def test_kinds_are_counted_and_masks_are_no_finds() -> None:
    text = "a@b.de, c@d.fr; 93.184.216.34; 030 1234567"
    masker = Masker(("phone", "email", "ip"))
    once = masker.mask(text)
    assert once == f"{MAIL}, {MAIL}; {IP}; {PHONE}"
    assert masker.counts == {"email": 2, "ip": 1, "phone": 1}
    assert masker.mask(once) == once
    assert masker.counts == {"email": 2, "ip": 1, "phone": 1}
    only = Masker(("ip",))
    assert only.mask(text) == f"a@b.de, c@d.fr; {IP}; 030 1234567"
    assert only.mask_column(pa.chunked_array([[None, "at 93.184.216.34"]])).to_pylist() == [
        None, "at 192.0.2.1",
    ]  # fmt: skip
    assert Masker(()).mask(text) == text


@settings(deadline=None, max_examples=300)
@given(st.text("ab@.:+-() /0123456789\u00a0", max_size=120))
def test_masking_twice_is_masking_once(text: str) -> None:
    masker = Masker(KINDS)
    once = masker.mask(text)
    assert masker.mask(once) == once


@pytest.mark.parametrize(
    ("mask", "message"),
    [(("mail",), "'mail' is not one of email, ip, phone"), (("ip", "ip"), "each kind once")],
)
def test_bad_kinds_are_refused(mask: tuple[str, ...], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        check_masks(mask)


@pytest.mark.parametrize(
    "piece",
    ["a", "a.", "a@", "a@a.", "1", "1 ", "1.", "(1", "+1", "01 ", "0.0.", "2001:", ":", "a%", "@"],
)
def test_text_made_to_hurt_ends(piece: str) -> None:
    with hang_guard():
        Masker(KINDS).mask(piece * 200_000)
