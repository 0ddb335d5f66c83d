"""Views followed on paper name the same elements as NumPy's."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import views
from kernels import spec


def elements(view: views.View) -> np.ndarray:
    """The source's element numbers that a view names."""
    index = np.full(view.shape, view.offset, np.int64)
    for axis, (size, stride) in enumerate(zip(view.shape, view.strides, strict=True)):
        index += (np.arange(size) * stride).reshape([-1 if axis == a else 1 for a in range(len(view.shape))])
    return index


@st.composite
def layout_steps(draw: st.DrawFn) -> tuple[tuple[int, ...], list[tuple[str, dict]]]:
    first = shape = tuple(draw(st.lists(st.integers(1, 4), min_size=1, max_size=4)))
    steps: list[tuple[str, dict]] = []
    for _ in range(draw(st.integers(0, 5))):
        op = draw(st.sampled_from(["permute", "broadcast", "slice", "reshape"]))
        attributes = draw(attributes_of(op, shape))
        steps.append((op, attributes))
        shape = spec.run(op, [np.zeros(shape, np.int64)], attributes).shape
    return first, steps


@st.composite
def attributes_of(draw: st.DrawFn, op: str, shape: tuple[int, ...]) -> dict:
    if op == "permute":
        return {"axes": tuple(draw(st.permutations(range(len(shape)))))}
    if op == "broadcast":
        return {"shape": tuple(draw(st.sampled_from([1, 3])) if size == 1 else size for size in shape)}
    if op == "slice":
        stop = tuple(draw(st.integers(1, size)) for size in shape)
        start = tuple(draw(st.integers(0, last - 1)) for last in stop)
        return {"start": start, "stop": stop, "step": tuple(draw(st.integers(1, 2)) for _ in shape)}
    count = int(np.prod(shape))
    divisors = [d for d in range(1, count + 1) if count % d == 0]
    first = draw(st.sampled_from(divisors))
    return {
        "shape": draw(
            st.sampled_from([(count,), (first, count // first), (1, first, count // first), (first, 1, count // first)])
        )
    }


@settings(max_examples=300, derandomize=True, deadline=None)
@given(layout_steps())
def test_a_view_followed_on_paper_names_the_elements_that_numpy_gives(case: tuple) -> None:
    shape, steps = case
    array = np.arange(int(np.prod(shape))).reshape(shape)
    view: views.View | None = views.whole(7, shape)
    for op, attributes in steps:
        array = spec.run(op, [array], attributes)
        view = view and views.follow(view, op, attributes)
        if view is not None:
            assert view.source == 7
            np.testing.assert_array_equal(elements(view), array)


def test_flat_and_row_wise_views_are_recognised() -> None:
    flat = views.follow(views.whole(0, (2, 3, 4)), "reshape", {"shape": (6, 4)})
    assert flat is not None and views.is_flat(flat, 24)
    rows = views.follow(views.whole(0, (6, 1)), "broadcast", {"shape": (6, 4)})
    assert rows is not None and views.is_row_wise(rows, 6, 4) and not views.is_flat(rows, 24)
    columns = views.follow(views.whole(0, (1, 4)), "broadcast", {"shape": (6, 4)})
    assert columns is not None and not views.is_row_wise(columns, 6, 4)
    swapped = views.follow(views.whole(0, (6, 4)), "permute", {"axes": (1, 0)})
    assert swapped is not None and not views.is_flat(swapped, 24)
