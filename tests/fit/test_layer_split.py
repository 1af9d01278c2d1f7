from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from quantgui.fit.layer_split import most_layers, split_layers, stack_of

LAYERS = st.lists(st.integers(0, 100), max_size=40)
ROOMS = st.lists(st.integers(0, 2000), min_size=1, max_size=4)


def test_layers_are_dealt_in_proportion_to_the_rooms() -> None:
    assert split_layers(stack_of([10] * 30, 0), [240, 120]) == (20, 10)


def test_one_memory_after_the_other_where_the_proportion_does_not_come_out() -> None:
    assert split_layers(stack_of([10] * 3, 5), [25, 12]) == (2, 1), "the output layer goes where there is room for it"
    assert split_layers(stack_of([10] * 3, 0), [25, 9]) is None


@given(layers=LAYERS, last=st.integers(0, 100), rooms=ROOMS)
def test_a_split_holds_every_layer_and_overfills_nothing(layers: list[int], last: int, rooms: list[int]) -> None:
    counts = split_layers(stack_of(layers, last), rooms)
    if counts is None:
        return
    assert sum(counts) == len(layers)
    assert sum(layers) + last <= sum(rooms)
    begin = 0
    for count, room in zip(counts, rooms, strict=True):
        assert sum(layers[begin : begin + count]) <= room
        begin += count


@given(layers=LAYERS, rooms=ROOMS, more=st.integers(0, 500))
def test_more_room_never_takes_fewer_layers(layers: list[int], rooms: list[int], more: int) -> None:
    stack = stack_of(layers, 0)
    counts = most_layers(stack, rooms)
    assert sum(counts) <= len(layers)
    assert sum(most_layers(stack, [rooms[0] + more])) >= sum(most_layers(stack, [rooms[0]]))
