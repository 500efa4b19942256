"""Numbers that prove themselves: card numbers, IBANs, and national numbers with a checksum."""

from __future__ import annotations

# How long the IBANs of each country are, after the registry of SWIFT.
_IBAN_LENGTHS = {
    country: int(length)
    for length, countries in (
        line.split(":")
        for line in (
            "15:NO",
            "16:BE",
            "18:DK FI FK FO GL NL SD",
            "19:MK SI",
            "20:AT BA EE KZ LT LU MN XK",
            "21:CH HR LI LV",
            "22:BG BH CR DE GB GE IE ME RS VA",
            "23:AE GI IL IQ OM SO TL",
            "24:AD CZ ES MD PK RO SA SE SK ST TN VG",
            "25:LY PT",
            "26:IS TR",
            "27:BI DJ FR GR IT MC MR SM",
            "28:AL AZ BY CY DO GT HU LB NI PL SV",
            "29:BR EG PS QA UA",
            "30:JO KW MU",
            "31:MT SC",
            "32:LC",
            "33:RU",
        )
    )
    for country in countries.split()
}
_DNI_LETTERS = "TRWAGMYFPDXBNJZSQVHLCKE"


def is_card_number(digits: str) -> bool:
    """Whether these are the digits of a card of a known network, with a right last one (Luhn, ISO/IEC 7812)."""
    if not _has_card_prefix(digits):
        return False
    total = 0
    for position, digit in enumerate(reversed(digits)):
        value = int(digit) * (1 + position % 2)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def iban_length(country: str) -> int | None:
    """How many characters an IBAN of this country has; None where it has none."""
    return _IBAN_LENGTHS.get(country)


def is_iban(text: str) -> bool:
    """Whether this, without spaces, is an IBAN of a known country with a right checksum (ISO 13616)."""
    if _IBAN_LENGTHS.get(text[:2]) != len(text):
        return False
    return int("".join(str(int(character, 36)) for character in text[4:] + text[:4])) % 97 == 1


def is_us_social_security_number(digits: str) -> bool:
    """Whether these 9 digits may be one; it has no checksum, but ranges that are never given."""
    return digits[:3] not in ("000", "666") and digits[0] != "9" and digits[3:5] != "00" and digits[5:] != "0000"


def is_uk_national_insurance_number(text: str) -> bool:
    """Whether these 9 characters, without spaces, may be one; it has no checksum, but letters that are never given."""
    prefix = text[:2]
    return (
        prefix not in ("BG", "GB", "KN", "NK", "NT", "TN", "ZZ") and not set(prefix) & set("DFIQUV") and text[1] != "O"
    )


def is_german_tax_number(digits: str) -> bool:
    """Whether these 11 digits are a Steuer-Identifikationsnummer with a right last one (ISO/IEC 7064, MOD 11, 10)."""
    body = digits[:10]
    # One digit stands there twice or three times, and all others once at most.
    repeated = [body.count(digit) for digit in set(body) if body.count(digit) > 1]
    if digits[0] == "0" or len(repeated) != 1 or repeated[0] > 3:
        return False
    product = 10
    for digit in body:
        total = (int(digit) + product) % 10 or 10
        product = total * 2 % 11
    return (11 - product) % 10 == int(digits[10])


def is_french_social_security_number(text: str) -> bool:
    """Whether these 15 characters, without spaces, are a NIR with a right key; Corsica's have a letter in them."""
    body = text[:13].replace("2A", "19", 1).replace("2B", "18", 1) if not text[:13].isdigit() else text[:13]
    return body.isdigit() and body[0] in "12" and 97 - int(body) % 97 == int(text[13:])


def is_spanish_identity_number(text: str) -> bool:
    """Whether this, without a hyphen, is a DNI or NIE with a right letter."""
    number = str("XYZ".index(text[0])) + text[1:-1] if text[0] in "XYZ" else text[:-1]
    return _DNI_LETTERS[int(number) % 23] == text[-1]


def _has_card_prefix(digits: str) -> bool:
    """Whether the first digits and the length are those of a network."""
    length = len(digits)
    if digits[0] == "4":
        return length in (13, 16, 19)
    if digits[:2] in ("34", "37"):
        return length == 15
    if length == 14:
        return digits[:2] in ("36", "38") or "300" <= digits[:3] <= "305"
    if length != 16:
        return length == 19 and digits[0] == "6"
    return "51" <= digits[:2] <= "55" or "2221" <= digits[:4] <= "2720" or digits[:2] in ("35", "60", "62", "64", "65")
