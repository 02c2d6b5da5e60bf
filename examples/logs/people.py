"""The sixty invented customers: how each of them writes, and details that identify nobody.

Numbers are taken from ranges that belong to no person: those that Ofcom, NANPA and ACMA keep for
fiction, card numbers that payment companies publish for tests, mobile numbers with an unassigned
block, and identity numbers with a right checksum and a birth year before 1910.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

EN_FIRST = (
    "Judith", "Bruno", "Amara", "Colin", "Freya", "Dylan", "Nora", "Hugh", "Priya", "Tom", "Wanda",
    "Elias", "Ruth", "Kofi",
)  # fmt: skip
EN_LAST = (
    "Ellery", "Marsh", "Okafor", "Quill", "Penrose", "Vance", "Thistle", "Adair", "Sandhu", "Birch",
    "Holm", "Lowe",
)  # fmt: skip
ZH_LAST = tuple("周陈林许沈何罗叶孟顾郑钟")
ZH_FIRST = (
    "小满", "雨桐", "建国", "思远", "佳宁", "一鸣", "淑芬", "子墨", "春燕", "浩然", "丽华", "知秋",
    "大勇", "若溪",
)  # fmt: skip
CARDS = (
    "4111 1111 1111 1111",
    "5555555555554444",
    "4242 4242 4242 4242",
    "6200000000000005",
    "378282246310005",
)
REGIONS = ("110101", "110105", "310104")
N_USERS = 60


@dataclass(frozen=True)
class Person:
    """One customer and their habits; shares and rates are in [0, 1]."""

    id: str
    name: str
    language: str
    """``zh``, ``en`` or ``mixed``."""
    activity: float
    """How often they write, relative to others."""
    chattiness: float
    """Short questions at 0, long stories at 1."""
    temper: float
    """Share of messages in a bad mood."""
    typos: float
    """Chance of a slip per message."""
    punctuation: str
    """``full``, ``none``, ``spaces`` or ``loud``."""
    lowercase: bool
    wide: bool
    """Types full-width digits and capitals."""
    emoji: float
    signature: str
    channel: str
    orders: tuple[str, ...]
    email: str
    phone: str
    abroad: str
    card: str
    idcard: str

    def facts(self, rng: Random) -> dict[str, str]:
        """What this person's messages fill slots with."""
        return {
            "order": rng.choice(self.orders),
            "name": self.name,
            "email": self.email,
            "phone": self.phone,
            "abroad": self.abroad,
            "card": self.card,
            "idcard": self.idcard,
        }


def invent_people(rng: Random) -> list[Person]:
    """Sixty people: 31 write Chinese, 22 English, 7 mix the two."""
    languages = ["zh"] * 31 + ["en"] * 22 + ["mixed"] * 7
    rng.shuffle(languages)
    return [_invent(i, language, rng) for i, language in enumerate(languages)]


def _invent(i: int, language: str, rng: Random) -> Person:
    english = language == "en" or (language == "mixed" and rng.random() < 0.4)
    if english:
        first, last = rng.choice(EN_FIRST), rng.choice(EN_LAST)
        name, handle = f"{first} {last}", f"{first}.{last}".lower()
        signatures = ["Sent from my iPhone", "Get Outlook for Android", f"-- \n{name}"]
    else:
        name = rng.choice(ZH_LAST) + rng.choice(ZH_FIRST)
        handle = rng.choice(["xiaoman", "yutong", "zhiqiu", "ruoxi", "haoran"]) + _digits(rng, 3)
        signatures = ["发自我的iPhone", "来自我的华为手机", f"——{name}"]
    host = rng.choice(["example.com", "example.org", "mail.example.net"])
    return Person(
        id=f"u{1000 + i * 37 + rng.randrange(30)}",
        name=name,
        language=language,
        activity=0.25 + rng.random() ** 2 * 1.5,
        chattiness=rng.random(),
        temper=rng.random() * 0.5,
        typos=rng.choice([0.02, 0.04, 0.08, 0.15, 0.4]),
        punctuation=rng.choices(["full", "none", "spaces", "loud"], [6, 3, 2, 1])[0],
        lowercase=rng.random() < 0.3,
        wide=not english and rng.random() < 0.12,
        emoji=rng.choice([0, 0, 0, 0.05, 0.25]),
        signature=rng.choice(signatures) if rng.random() < 0.2 else "",
        channel=rng.choice(["app", "app", "web", "wechat", "email"]),
        orders=tuple(f"OL{rng.randrange(20, 23)}{_digits(rng, 6)}" for _ in range(7)),
        email=f"{handle}{rng.randrange(70, 99)}@{host}",
        phone=_mobile(rng),
        abroad=rng.choice(
            [
                f"+44 20 7946 0{_digits(rng, 3)}",
                f"+1 202-555-01{_digits(rng, 2)}",
                f"+61 491 570 15{rng.randrange(6, 10)}",
            ]
        ),
        card=rng.choice(CARDS),
        idcard=_identity(rng),
    )


def _digits(rng: Random, n: int) -> str:
    return "".join(rng.choice("0123456789") for _ in range(n))


def _mobile(rng: Random) -> str:
    prefix, tail = rng.choice(["138", "139", "186", "177"]), _digits(rng, 4)
    return rng.choice([f"{prefix}0000{tail}", f"{prefix} 0000 {tail}", f"+86 {prefix}-0000-{tail}"])


def _identity(rng: Random) -> str:
    """A Chinese identity number (GB 11643-1999) with its ISO 7064 MOD 11-2 check character."""
    body = f"{rng.choice(REGIONS)}190{rng.randrange(1, 9)}0{rng.randrange(1, 9)}1{_digits(rng, 4)}"
    total = sum(int(digit) * pow(2, 17 - i, 11) for i, digit in enumerate(body))
    return body + "10X98765432"[total % 11]
