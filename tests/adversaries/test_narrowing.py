"""Narrowing ends at the first difference, for every length, every place and every arity (cases E1 to E7, E10, E11)."""

from __future__ import annotations

import random
from hashlib import sha256

import pytest

from engine.merkle import inclusion_proof, root_of
from protocol.game.params import ARITIES
from protocol.game.rows import Tree, first_difference, root_of_row, row_sizes
from protocol.transcript import rounds_to
from tests.protocol.scene import FUNDS, Scene, duel
from tests.protocol.toy import SOLVER, SUBMITTER, TERMS, VERIFIER, ToyLaw, ToyTrace, digest

LONGEST = 300
LEAVES = [sha256(b"leaf%d" % i).digest() for i in range(LONGEST)]
OTHERS = [sha256(b"other%d" % i).digest() for i in range(LONGEST)]
CORNERS = [1, 2, 3, 4, 5, 6, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129, 255, 256, 257, 299, 300]


def narrow(one: Tree, other: Tree, arity: int) -> tuple[int, int]:
    """(the leaf at which the game ends, rounds), each row checked against its node as the game does."""
    first, size, rounds = 0, one.size, 0
    nodes = [one.root, other.root]
    while size > 1 or rounds == 0:
        sizes = row_sizes(size, arity)
        rows = [tree.row(first, size, arity) for tree in (one, other)]
        assert [root_of_row(row, size, arity) for row in rows] == nodes
        assert sum(sizes) == size and len(sizes) == len(rows[0]) <= arity
        child = first_difference(*rows)
        nodes = [row[child] for row in rows]
        first, size, rounds = first + sum(sizes[:child]), sizes[child], rounds + 1
    assert nodes == [one.levels[0][first], other.levels[0][first]]
    return first, rounds


def ends_at_the_first_difference(length: int, place: int, arity: int) -> None:
    one = Tree(LEAVES[:length])
    # Different at one place only, from there on, and different, equal, different again: always the first one.
    for tail in (LEAVES[place + 1 :], OTHERS[place + 1 :], LEAVES[place + 1 : -1] + OTHERS[-1:]):
        other = Tree((LEAVES[:place] + OTHERS[place : place + 1] + tail)[:length])
        found, rounds = narrow(one, other, arity)
        assert found == place and rounds == rounds_to(length, arity, place)
        assert rounds <= max(1, -(-(length - 1).bit_length() // (arity.bit_length() - 1)))


@pytest.mark.parametrize("arity", ARITIES)
def test_every_game_ends_at_the_first_difference(arity: int) -> None:
    chance = random.Random(arity)
    for length in CORNERS:
        places = {0, length // 2, length - 1, *(chance.randrange(length) for _ in range(4))}
        for place in places:
            ends_at_the_first_difference(length, place, arity)


@pytest.mark.long
@pytest.mark.parametrize("arity", ARITIES)
def test_every_length_to_300_and_every_place(arity: int) -> None:
    for length in range(1, LONGEST + 1):
        for place in range(length):
            ends_at_the_first_difference(length, place, arity)


@pytest.mark.parametrize("length", CORNERS)
def test_a_tree_for_rows_is_the_tree_of_the_law(length: int) -> None:
    tree = Tree(LEAVES[:length])
    assert tree.root == root_of(LEAVES[:length])
    for index in range(length):
        assert tree.proof(index) == inclusion_proof(LEAVES[:length], index)


def test_rows_of_known_sizes() -> None:
    assert row_sizes(1, 2) == (1,)
    assert row_sizes(2, 2) == (1, 1)
    assert row_sizes(5, 2) == (4, 1)
    assert row_sizes(7, 4) == (2, 2, 2, 1)
    assert row_sizes(9, 4) == (4, 4, 1)
    assert row_sizes(300, 16) == (32,) * 8 + (8,) * 4 + (4, 4, 2, 2)


@pytest.mark.parametrize("arity", ARITIES)
@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 2, 1), (5, 1, 8), (6, 4, 3), (7, 3, 5), (33, 33, 2)])
def test_a_game_ends_at_the_step_and_entry_of_the_lie(arity: int, shape: tuple[int, int, int]) -> None:
    """First, middle and last step and entry, with each party as the liar, through the whole game."""
    steps, _, entries = shape
    law = ToyLaw(*shape)
    terms = TERMS.__class__(**{name: getattr(TERMS, name) for name in TERMS.__slots__} | {"arity": arity})
    for step in {0, steps // 2, steps - 1}:
        for entry in {0, entries // 2, entries - 1}:
            liar, honest = ToyTrace(law, {(step, entry): digest(b"lie")}), ToyTrace(law)
            for traces, wrong in (((liar, honest), (True, False)), ((honest, liar), (False, True))):
                scene = Scene()
                duel(scene, *traces, terms=terms)
                assert (scene.game.step, scene.game.entry, scene.game.wrong) == (step, entry, wrong)


LAW = ToyLaw(8, 4, 7)
LAST = LAW.entries - 1


def outcome(solver: ToyTrace, verifier: ToyTrace) -> Scene:
    scene = Scene()
    duel(scene, solver, verifier)
    scene.settle()
    return scene


@pytest.mark.parametrize("step", range(LAW.steps))
@pytest.mark.parametrize("entry", [0, 3, LAST])
def test_a_patched_commitment_is_found_where_it_was_patched(step: int, entry: int) -> None:
    """An honest tree with one leaf replaced, and a wrong end so that there is something to dispute (E10, E11)."""
    end = (step // 4 + 1) * 4 - 1
    patches = {(step, entry): digest(b"patch"), (step, LAST): digest(b"end"), (end, LAST): digest(b"last")}
    scene = outcome(ToyTrace(LAW, patches=patches), ToyTrace(LAW))
    assert (scene.game.step, scene.game.entry, scene.game.wrong) == (step, entry, (True, False))


def test_only_the_end_changed_is_found_at_the_end() -> None:
    """E7: everything right but the final root."""
    scene = outcome(ToyTrace(LAW, patches={(7, LAST): digest(b"end")}), ToyTrace(LAW))
    assert (scene.game.step, scene.game.entry, scene.game.wrong) == (7, LAST, (True, False))


def test_a_wrong_middle_with_a_right_end_is_no_wrong_claim() -> None:
    """E7, N11: nobody is shown the middle of an interval, and every claimed root is right: nothing to dispute."""
    scene = Scene()
    duel(scene, ToyTrace(LAW, patches={(1, 2): digest(b"x"), (1, LAST): digest(b"y")}), ToyTrace(LAW))
    assert not scene.state.games


def test_two_liars_with_different_patches_are_each_found() -> None:
    """E11, F1: the solver lies in step 1, a challenger in step 6; an honest challenger is the only one to gain."""
    scene = Scene()
    liar = ToyTrace(LAW, {(6, 2): digest(b"two")})
    solver = ToyTrace(LAW, {(1, 1): digest(b"one")})
    duel(scene, solver, ToyTrace(LAW), liar)
    games = {game.sides[1].party: game for game in scene.state.games.values()}
    assert games[VERIFIER.address].wrong == (True, False)
    assert scene.gain(SOLVER) == -TERMS.solver_bond and scene.gain(VERIFIER) == TERMS.solver_bond // 2
    assert scene.gain(SUBMITTER) == 0 and scene.coordinator.ledger.total == 10**9 and FUNDS > 0
