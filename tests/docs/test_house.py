"""The house drawn in docs/design.md: its rooms and arrows are those of the imports."""

from __future__ import annotations

import re

from make_house import DOCS, PICTURE, arrows, imports, rooms


def test_the_picture_shows_what_the_rooms_import() -> None:
    """If not: `python docs/make_house.py`, and look at it."""
    picture = PICTURE.read_text(encoding="utf-8")
    assert set(re.findall(r'<g id="(\w+)" class="node"', picture)) == set(rooms())
    drawn = set(re.findall(r'<g id="(\w+)&#45;(\w+)" class="edge"', picture))
    assert drawn == {(room, other) for room, others in arrows().items() for other in others}
    assert "pictures/house.svg" in (DOCS / "design.md").read_text(encoding="utf-8")


def test_an_arrow_is_left_out_only_where_others_lead_there() -> None:
    stands_on = arrows()

    def below(room: str) -> set[str]:
        return stands_on[room].union(*map(below, stands_on[room]))

    for room, others in imports().items():
        assert stands_on[room] <= others <= below(room)
