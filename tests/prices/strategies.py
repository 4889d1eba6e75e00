"""Usage as vendors may report it, and prices as lists may print them."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import strategies as st

from langgraph_guard.prices import Price, Usage

STARTS = (32_000, 128_000, 199_999, 200_000, 272_000)
"""Where context tiers begin in real price lists."""

input_totals = st.one_of(
    st.integers(0, 50),
    st.integers(0, 2_000_000),
    st.builds(lambda start, off: start + off, st.sampled_from(STARTS), st.integers(-1, 1)),
)


@st.composite
def usages(draw: st.DrawFn, *, audio: bool = True) -> Usage:
    """Counts whose parts fit into their totals."""
    total = left = draw(input_totals)
    spoken = draw(st.integers(0, left)) if audio else 0
    left -= spoken
    both = draw(st.integers(0, spoken))
    read = draw(st.integers(0, left))
    left -= read
    written = draw(st.integers(0, left))
    output = draw(st.integers(0, 200_000))
    reasoning = draw(st.integers(0, output))
    return Usage(
        input_tokens=total,
        output_tokens=output,
        cache_read_tokens=read + both,
        cache_write_tokens=written,
        cache_write_1h_tokens=draw(st.integers(0, written)),
        input_audio_tokens=spoken,
        output_audio_tokens=draw(st.integers(0, output - reasoning)) if audio else 0,
        cache_audio_read_tokens=both,
        reasoning_tokens=reasoning,
    )


usd = st.decimals(min_value=0, max_value=100, places=6)
maybe_usd = st.none() | usd


def flat_prices() -> st.SearchStrategy[Price]:
    """Prices without tiers."""
    return st.builds(
        Price,
        input=usd,
        output=usd,
        cache_read=maybe_usd,
        cache_write=maybe_usd,
        cache_write_1h=maybe_usd,
        input_audio=maybe_usd,
        output_audio=maybe_usd,
        cache_audio_read=maybe_usd,
        reasoning=maybe_usd,
        request=st.none() | st.just(Decimal("0.005")),
    )


@st.composite
def prices(draw: st.DrawFn) -> Price:
    """Prices with up to three tiers, which may also be cheaper than what is below them."""
    base = draw(flat_prices())
    tiers = draw(st.dictionaries(st.sampled_from(STARTS), flat_prices(), max_size=3))
    return Price(
        base.input,
        base.output,
        cache_read=base.cache_read,
        cache_write=base.cache_write,
        cache_write_1h=base.cache_write_1h,
        input_audio=base.input_audio,
        output_audio=base.output_audio,
        cache_audio_read=base.cache_audio_read,
        reasoning=base.reasoning,
        request=base.request,
        tiers=tiers,
    )
