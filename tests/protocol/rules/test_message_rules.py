"""Rules of any message: its form, its signature, its number, its time, its scope."""

from __future__ import annotations

from dataclasses import replace

from engine.canonical import to_canonical
from protocol.game.messages import NOTHING, Deposit, PostJob, Withdraw, message_from_bytes
from protocol.game.rules import Rule
from protocol.game.transition import advance, apply
from protocol.identity import Signed, require_signature, signed_from_bytes
from tests.protocol.rules.playing import LAW, challenged, commit_to, honest, objection, own_move, refuses
from tests.protocol.scene import Scene
from tests.protocol.toy import DOMAIN, OPERATOR, OTHER, SUBMITTER, TERMS, VERIFIER, digest


def test_refuses_malformed(scene: Scene) -> None:
    good = scene.signed(SUBMITTER, Withdraw(5)).message
    fields = ["isobit-message-2", good.sender, good.job, good.game, good.move, good.deadline, "Withdraw", [5]]
    assert message_from_bytes(to_canonical(fields)) == good
    wrong: list[object] = [
        [*fields, 0],
        fields[:-1],
        {"a": 1},
        ["isobit-message-1", *fields[1:]],
        [*fields[:6], "Withdrawal", [5]],
        [*fields[:7], [5, 5]],
        [*fields[:7], []],
        [*fields[:7], [True]],
        [*fields[:7], [-1]],
        [*fields[:7], [2**63]],
        [*fields[:7], [2**64]],
        [fields[0], good.sender.upper(), *fields[2:]],
        [fields[0], good.sender[:-1], *fields[2:]],
        [fields[0], good.sender[:-1] + "\u0660", *fields[2:]],
        [*fields[:2], NOTHING + b"\0", *fields[3:]],
        [*fields[:3], NOTHING[1:], *fields[4:]],
    ]
    for value in wrong:
        refuses(Rule.MALFORMED, lambda value=value: message_from_bytes(to_canonical(value)))
    for data in (
        b"",
        to_canonical(fields) + b"\0",
        b"\x98\x08" + to_canonical(fields)[1:],
        b"\xff",
        b"\xfb" + bytes(8),
    ):
        refuses(Rule.MALFORMED, lambda data=data: message_from_bytes(data))
        refuses(Rule.MALFORMED, lambda data=data: signed_from_bytes(data))
    refuses(Rule.MALFORMED, lambda: signed_from_bytes(to_canonical([good.to_bytes()])))


def test_refuses_signature() -> None:
    scene = Scene(signing=True)
    signed = scene.signed(SUBMITTER, Withdraw(5))
    message, signature = signed.message, signed.signature
    order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
    high_s = (order - int.from_bytes(signature[32:64], "big")).to_bytes(32, "big")
    flipped = signature[:32] + high_s + bytes([55 - signature[64]])
    require_signature(signed, DOMAIN)
    for other in (
        Signed(message, flipped),
        Signed(message, b""),
        Signed(message, signature + b"\0"),
        Signed(message, bytes(65)),
        Signed(message, signature[:64] + bytes([signature[64] - 27])),
        Signed(message, bytes([signature[0] ^ 1]) + signature[1:]),
        Signed(replace(message, sender=OTHER.address), signature),
        Signed(replace(message, job=digest(b"other")), signature),
        Signed(replace(message, game=digest(b"other")), signature),
        Signed(replace(message, move=message.move + 1), signature),
        Signed(replace(message, deadline=message.deadline + 1), signature),
        Signed(replace(message, body=Withdraw(6)), signature),
    ):
        refuses(Rule.SIGNATURE, lambda other=other: scene.coordinator.submit(other), scene)
    refuses(Rule.SIGNATURE, lambda: require_signature(signed, "isobit elsewhere"))


def test_refuses_time_forward(scene: Scene) -> None:
    scene.after(100)
    params = scene.params
    refuses(Rule.TIME_FORWARD, lambda: advance(scene.state, 99, params))
    message = scene.signed(SUBMITTER, Withdraw(5)).message
    refuses(Rule.TIME_FORWARD, lambda: apply(scene.state, message, 99, params))


def test_refuses_message_deadline(scene: Scene) -> None:
    scene.after(100)
    refuses(Rule.MESSAGE_DEADLINE, lambda: scene.send(SUBMITTER, Withdraw(5), deadline=99), scene)
    scene.send(SUBMITTER, Withdraw(5), deadline=100)


def test_refuses_move_number(scene: Scene) -> None:
    scene.send(SUBMITTER, Withdraw(5))
    refuses(Rule.MOVE_NUMBER, lambda: scene.send(SUBMITTER, Withdraw(5), move=2), scene)
    refuses(Rule.MOVE_NUMBER, lambda: scene.send(SUBMITTER, Withdraw(5), move=2**63 - 1), scene)
    message = scene.signed(SUBMITTER, Withdraw(7), move=0).message
    refuses(Rule.MOVE_NUMBER, lambda: apply(scene.state, message, scene.now, scene.params))


def test_refuses_id_reused(scene: Scene) -> None:
    scene.send(SUBMITTER, Withdraw(5))
    refuses(Rule.ID_REUSED, lambda: scene.send(SUBMITTER, Withdraw(6), move=0), scene)


def test_refuses_scope(scene: Scene) -> None:
    other = digest(b"other")
    refuses(Rule.SCOPE, lambda: scene.send(SUBMITTER, Withdraw(5), other), scene)
    refuses(Rule.SCOPE, lambda: scene.send(OPERATOR, Deposit(SUBMITTER.address, 5), other), scene)
    refuses(Rule.SCOPE, lambda: scene.send(SUBMITTER, PostJob(TERMS, LAW.job, b"toy", b"toy"), other), scene)
    refuses(Rule.SCOPE, lambda: scene.send(SUBMITTER, Withdraw(5), NOTHING, other), scene)
    _, game = challenged(scene)
    second = scene.send(SUBMITTER, PostJob(TERMS, LAW.job, b"toy", b"toy")).id
    refuses(Rule.SCOPE, lambda: scene.send(OTHER, commit_to(objection(game.claim), OTHER), second), scene)
    move = own_move(scene, honest(scene))
    refuses(Rule.SCOPE, lambda: scene.send(VERIFIER, move, second, game.id), scene)
    refuses(Rule.SCOPE, lambda: scene.send(VERIFIER, move, game.job), scene)
