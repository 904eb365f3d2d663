"""Colours, widths and numbers."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reading import contrast

from tinygrad_lstm.views import theme
from tinygrad_lstm.views.theme import Scale, number


@pytest.mark.parametrize(
    ("x", "text"),
    [
        (None, "not computed"), (0.0, "0"), (0.37, "0.37"), (0.0089, "8.9·10⁻³"), (1e-12, "1.0·10⁻¹²"), (99.6, "100"),
        (999.7, "1.0·10³"), (1.0, "1"), (0.00951, "0.0095"), (0.00944, "9.4·10⁻³"), (math.nan, "NaN"),
        (math.inf, "∞"), (-math.inf, "−∞"), (5e-324, "4.9·10⁻³²⁴"), (-0.5, "−0.5"), (1.7e308, "1.7·10³⁰⁸"),
    ],
)  # fmt: skip
def test_a_norm_is_printed_to_two_digits(x, text):
    assert number(x) == text


@given(st.floats(min_value=1e-300, max_value=1e300))
def test_a_printed_norm_reads_back_within_its_digits(x):
    digits = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")
    mantissa, _, exponent = number(x).partition("·10")
    assert float(mantissa) * 10.0 ** int(exponent.translate(digits) or 0) == pytest.approx(x, rel=0.051)


@pytest.mark.parametrize(
    ("x", "text"),
    [
        (0.25, "0.25"), (-12.34, "−12.3"), (123.4, "123"), (-1e6, "−1e6"), (999.9, "1e3"), (1e-300, "0.00"),
        (math.nan, "NaN"), (np.int64(-7), "−7"), (np.bool_(True), "True"), (np.float32(3), "3.00"), (1e100, "1e100"),
    ],
)  # fmt: skip
def test_an_element_is_printed_in_few_characters(x, text):
    assert theme.value(x) == text


@given(st.lists(st.floats(allow_nan=True), max_size=6), st.floats(min_value=0), st.floats(min_value=0))
def test_width_and_colour_grow_with_the_norm(norms, a, b):
    scale = Scale.of(norms)
    small, large = sorted((a, b))
    assert 0 <= scale.place(small) <= scale.place(large) <= 1
    assert 0.8 <= scale.width(small) <= scale.width(large) <= 5.5
    for state in (False, True):
        # Two greys may be one rounding apart.
        assert lightness(scale.colour(large, state)) <= lightness(scale.colour(small, state)) + 1


def lightness(colour):
    r, g, b = (int(colour[k : k + 2], 16) for k in (1, 3, 5))
    return 0.299 * r + 0.587 * g + 0.114 * b


PAINTS = [paint for paint in vars(theme).values() if isinstance(paint, theme.Paint)]
HEATS = [theme.heat(x / 50, 1) for x in range(-50, 51)] + [theme.heat(math.nan, 1)]


def test_text_can_be_read_on_all_that_it_is_drawn_on():
    fills = {theme.PAPER, theme.CELL_FILL, *(paint.fill for paint in PAINTS)}
    texts = {theme.INK, theme.MUTED, theme.STATE, theme.HIDDEN, *(paint.text for paint in PAINTS)}
    texts |= {theme.STATE_TEXT, theme.GRADIENT_TEXT, theme.INPUT_TEXT, theme.NONLINEAR_TEXT}
    pairs = [(text, fill) for text in texts for fill in fills]
    pairs += [(text, theme.BAND) for text in (theme.INK, theme.MUTED, theme.STATE_TEXT)]
    pairs += [(theme.INK, fill) for fill in HEATS]
    assert len(PAINTS) == 9
    assert [(pair, round(contrast(*pair), 2)) for pair in pairs if contrast(*pair) < 4.5] == []


@given(st.lists(st.sampled_from(["RNN", "LSTM, chrono", "forget bias -2", *"abcdefg"]), unique=True, max_size=10))
def test_a_series_looks_like_itself_and_like_no_other(names):
    looks = dict(zip(names, theme.looks(names), strict=True))
    assert len({colour for colour, _ in looks.values()}) == len({marker for _, marker in looks.values()}) == len(names)
    assert all(contrast(colour, theme.PAPER) >= 4.5 for colour, _ in looks.values())
    assert all(look == theme.looks([name])[0] for name, look in looks.items() if len(name) > 1)


def test_more_series_than_looks_begin_again():
    looks = theme.looks(map(str, range(25)))
    assert looks[:10] == looks[10:20]
    assert len(set(looks)) == 10


def test_a_dashed_line_of_what_is_unknown_can_be_seen():
    assert min(contrast(theme.UNKNOWN, fill) for fill in (theme.PAPER, theme.CELL_FILL)) >= 3


def test_a_scale_spans_two_to_six_decades_and_ignores_what_is_no_norm():
    assert Scale.of([1.0, 1.0]) == Scale(-2, 0)
    assert Scale.of([1.0, 1e-4]) == Scale(-4, 0)
    assert Scale.of([1.0, 1e-40, 0.0, math.nan, math.inf]) == Scale(-6, 0)
    assert Scale.of([]) == Scale(-2, 0)


def test_what_is_no_number_looks_like_no_number():
    scale = Scale(-2, 0)
    ramps = {scale.colour(x, state) for x in (0.0, 0.1, 1.0, math.inf) for state in (False, True)}
    assert scale.colour(None) not in ramps
    assert scale.colour(math.nan) not in ramps
    assert scale.colour(None) != scale.colour(math.nan)
    assert scale.width(math.inf) == 5.5


def test_a_value_is_blue_or_orange_by_its_sign_and_white_at_zero():
    assert theme.heat(0, 1) == "#FFFFFF"
    assert theme.heat(1, 1) == theme.heat(9, 1) == "#6FAEDF"
    assert theme.heat(-1, 1) == "#F2A25C"
    assert theme.heat(0, 0) == "#FFFFFF"
    assert theme.heat(math.nan, 1) == theme.UNKNOWN


@given(st.text(max_size=60), st.floats(min_value=8, max_value=300))
def test_a_fitted_text_keeps_both_ends_and_is_not_too_wide(text, width):
    fitted = theme.fit(text, width, 8)
    ends = [(fitted[:k], fitted[k + 1 :]) for k, ch in enumerate(fitted) if ch == "…"]
    assert fitted == text or any(text.startswith(start) and text.endswith(end) for start, end in ends)
    assert theme.text_width(fitted, 8) <= max(width, 8 * 1.1)


def test_fitting_a_text_of_any_length_is_quick_and_counts_wide_letters():
    assert theme.fit("a" * 10**6, 50, 8) == "aaaa…aaaa"
    assert len(theme.fit("漢" * 50, 80, 8)) < len(theme.fit("a" * 50, 80, 8))


def test_what_cannot_be_drawn_is_shown_as_a_sign():
    assert "".join(map(theme.printable, "a\x00\n\x7f\x85\ud800\ufffe\u202e")) == "a␀␊␡����"
    assert theme.visible("\x1b[2J\x9b\u2028\u2066\u00ad") == "␛[2J����"
    assert theme.visible("می\u200cخواهم é 日本 👍\u00a0") == "می\u200cخواهم é 日本 👍\u00a0"
    assert theme.printable("ש") == "ש"
    assert theme.escape("<a & 'b'>\\N") == "&lt;a &amp; &#x27;b&#x27;&gt;\\\\N"
