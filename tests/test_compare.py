"""The only place where a mark is decided: what it accepts, what it rejects, what it says."""

import base64
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from helpers.course.marks import compare
from helpers.course.marks.compare import CaptureError, Finding, Part, captures, close, grade
from helpers.inside.emit import HIDDEN, MIME, emit, encode, state_of


def said(*payloads):
    return [{"output_type": "display_data", "data": {MIME: payload}, "metadata": {}} for payload in payloads]


def part(name, *arrays):
    return Part(name, tuple(np.asarray(array, dtype=np.float64) for array in arrays))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.int64, torch.bool, torch.uint8])
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 1, 4)])
def test_a_tensor_arrives_as_it_was_sent(dtype, shape):
    tensor = (torch.rand(shape) * 9).to(dtype)
    (received,) = captures(said({"name": "maps", "values": [encode(tensor)]}))
    assert received.arrays[0].dtype.name == str(dtype).removeprefix("torch.")
    assert np.array_equal(received.arrays[0], tensor.numpy())


def test_tensors_with_a_graph_or_odd_strides_arrive_too():
    tensor = torch.rand(3, 4, requires_grad=True).T[::2]
    assert np.array_equal(compare.decoded(encode(tensor)), tensor.detach().numpy())


def test_emit_records_values_and_what_a_function_raises(monkeypatch):
    sent = []
    monkeypatch.setattr("helpers.inside.emit.publish_display_data", sent.append)
    emit("pair", (torch.ones(2), [True, 3]))
    emit("crash", lambda: 1 / 0)
    emit("nothing", lambda: None)
    pair, crash, nothing = captures(said(*(item[MIME] for item in sent)))
    assert [array.tolist() for array in pair.arrays] == [[1.0, 1.0], True, 3]
    assert crash.error == "ZeroDivisionError: division by zero"
    assert "NoneType" in nothing.error and "a tensor was wanted" in nothing.error


@pytest.mark.parametrize(
    "change",
    [
        {"dtype": "object"},
        {"dtype": "complex128"},
        {"dtype": ["float64"]},
        {"shape": [-1, 4]},
        {"shape": [10**9, 10**9]},
        {"shape": [True, 4]},
        {"shape": [5]},
        {"shape": "4"},
        {"data": "not base64!"},
        {"data": None},
    ],
)
def test_a_malformed_value_is_refused(change):
    good = {"dtype": "float64", "shape": [4], "data": base64.b64encode(np.ones(4).tobytes()).decode()}
    assert compare.decoded(good).tolist() == [1, 1, 1, 1]
    with pytest.raises(CaptureError):
        compare.decoded(good | change)


@pytest.mark.parametrize(
    "payload", [[], {"values": []}, {"name": 3, "values": []}, {"name": "x"}, {"name": "x", "values": 1}]
)
def test_a_malformed_capture_is_refused(payload):
    with pytest.raises(CaptureError):
        captures(said(payload))


def test_closeness_is_relative_to_the_norm_and_nan_equals_nothing():
    want = np.array([1e-3, 1.0, 1e3])
    assert close(want * (1 + 1e-8), want)
    assert not close(want * (1 + 1e-4), want)
    assert close((want * (1 + 1e-5)).astype(np.float32), want)
    assert not close(np.array([np.nan]), np.array([np.nan]))
    assert not close(np.array([np.inf]), np.array([np.inf]))
    assert not close(want[None], want)
    assert not close(np.array([1]), np.array([1.0]))
    assert not close(np.array([1, 2]), np.array([1, 3]))
    assert close(np.zeros(3), np.zeros(3))
    assert not close(np.full(3, 1e-6), np.zeros(3))


REFERENCE = [part("values", [1.0, -2.0]), part("one image", [3.0]), part("kept", [1.0])]


def test_the_score_is_the_share_of_right_parts():
    verdict = grade("test_f", 6, [part("values", [1.0, -2.0]), part("one image", [0.0])], REFERENCE, [])
    assert (verdict.score, verdict.verdict) == (2, "partly right")
    assert "one image" in verdict.message and "kept: not reached" in verdict.message
    assert grade("test_f", 6, REFERENCE, REFERENCE, []).verdict == "right"
    nothing = grade("test_f", 6, [], REFERENCE, [])
    assert (nothing.score, nothing.verdict) == (0, "wrong")


@pytest.mark.parametrize(
    "parts",
    [
        [part("one image", [3.0])],
        [*REFERENCE, part("kept", [1.0])],
        [REFERENCE[0], REFERENCE[0], *REFERENCE[1:]],
        [part("score", [100.0]), *REFERENCE],
    ],
)
def test_guessing_twice_or_out_of_turn_is_refused(parts):
    with pytest.raises(CaptureError):
        grade("test_f", 6, parts, REFERENCE, [])


def test_an_unanswered_exercise_is_told_from_a_wrong_one():
    blank = [Part(part.name, error="NotImplementedError: f: replace this line") for part in REFERENCE]
    verdict = grade("test_f", 6, blank, REFERENCE, [])
    assert (verdict.score, verdict.verdict, verdict.message) == (0, "not answered", "Not answered.")


def test_the_message_is_that_of_the_known_mistake_with_the_same_values():
    signs = ("Take the absolute value.", [part("values", [1.0, 2.0]), part("one image", [3.0]), part("kept", [1.0])])
    batch = ("Keep the batch dimension.", [part("values", [1.0, -2.0]), part("one image", 3.0), part("kept", [1.0])])
    mine = [part("values", [1.0, 2.0]), part("one image", 3.0), part("kept", [1.0])]
    verdict = grade("test_f", 6, mine, REFERENCE, [signs, batch])
    assert verdict.message.splitlines() == ["1 of 3 parts are right.", signs[0], batch[0]]


def test_the_mutant_that_explains_most_speaks_first():
    half = ("half", [part("values", [9.0, 9.0]), *REFERENCE[1:]])
    full = ("full", [part("values", [9.0, 9.0]), part("one image", [9.0]), part("kept", [9.0])])
    assert grade("test_f", 6, full[1], REFERENCE, [half, full]).message == "full"


def test_of_two_that_explain_as_much_the_one_that_is_like_the_answer_elsewhere_speaks():
    other = ("other", [part("values", [9.0, 9.0]), part("one image", [7.0]), REFERENCE[2]])
    this = ("this", [part("values", [9.0, 9.0]), *REFERENCE[1:]])
    for order in ([this, other], [other, this]):
        assert grade("test_f", 6, this[1], REFERENCE, order).message.splitlines()[1:] == ["this"]


def test_a_mistake_is_named_only_where_all_that_it_spoils_is_there():
    both = ("both", [part("values", [9.0, 9.0]), part("one image", [7.0]), REFERENCE[2]])
    mine = [part("values", [9.0, 9.0]), part("one image", [5.0]), REFERENCE[2]]
    lines = grade("test_f", 6, mine, REFERENCE, [both]).message.splitlines()
    assert lines == [
        "1 of 3 parts are right.",
        "values: the values differ",
        "one image: the values are 1.67 times those wanted",
    ]
    # What was not reached contradicts nothing.
    assert "both" in grade("test_f", 6, mine[:1], REFERENCE, [both]).message


def test_of_two_that_fit_the_one_that_explains_all_speaks_be_it_that_nothing_was_done():
    one_less = ("It counts one too few.", [part("values", [1.0, 1.0]), *REFERENCE[1:]])
    nothing = ("Nothing was done.", [part("values", [1.0, 1.0]), part("one image", [1.0]), REFERENCE[2]])
    assert grade("test_f", 6, nothing[1], REFERENCE, [one_less, nothing]).message.splitlines()[1:] == [nothing[0]]
    assert grade("test_f", 6, one_less[1], REFERENCE, [one_less, nothing]).message.splitlines()[1:] == [one_less[0]]


def named(name, *arrays, **labelled):
    """A part of arrays without words, then arrays by theirs."""
    whole = part(name, *arrays, *labelled.values())
    return replace(whole, labels=("",) * len(arrays) + tuple(labelled))


def test_what_has_words_is_explained_word_by_word_and_the_rest_is_listed():
    want = [named("left", [1.0], mode=0.0, hooks=0.0, grad=0.0)]
    grads = ("It writes into .grad.", [named("left", [1.0], mode=0.0, hooks=0.0, grad=5.0)])
    piles = ("It piles up.", [named("left", [2.0], mode=0.0, hooks=0.0, grad=0.0)])
    mine = [named("left", [2.0], mode=1.0, hooks=3.0, grad=5.0)]
    found = grade("test_f", 6, mine, want, [grads, piles]).message.splitlines()
    assert set(found[:2]) == {grads[0], piles[0]}
    assert found[2:] == ["left: not as it must be: hooks, mode"]
    # Values without words are looked at together: half of them may fit by chance.
    want, boxes = [named("boxes", 3.0, 4.0)], ("It rounds.", [named("boxes", 3.0, 5.0)])
    assert "It rounds." not in grade("test_f", 6, [named("boxes", 1.0, 5.0)], want, [boxes]).message


def test_what_is_true_of_every_part_is_said_once():
    mine = [part(each.name, each.arrays[0] * 2) for each in REFERENCE]
    assert grade("test_f", 6, mine, REFERENCE, []).message == "every part: the values are 2 times those wanted"
    mine[1] = REFERENCE[1]
    lines = grade("test_f", 6, mine, REFERENCE, []).message.splitlines()
    assert lines[1:] == ["values; kept: the values are 2 times those wanted"]


def error_of(function):
    """What is told of a part that a function raises in."""
    sent = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("helpers.inside.emit.publish_display_data", sent.append)
        emit("part", function)
    (said_part,) = captures(said(sent[0][MIME]))
    return compare.public_error(said_part.error)


def hidden(code, **names):
    """A function of a hidden half."""
    exec(compile(f"def hidden():\n    return {code}", HIDDEN, "exec"), names)
    return names["hidden"]


@pytest.mark.parametrize(
    ("result", "words"),
    [
        (None, "type NoneType"),
        ((torch.ones(2),), "type tuple"),
        ([torch.ones(2)], "type list"),
        (np.ones(2), "type ndarray"),
        ((x for x in "ab"), "type generator"),
        (torch.nn.Sequential(), "type Sequential"),
        (SimpleNamespace(), "another type"),
    ],
)
def test_a_result_that_a_hidden_test_cannot_use_is_told_by_its_type(result, words):
    found = error_of(hidden("result.requires_grad", result=result))
    assert found == f"found a value of {words}; a tensor was wanted"


def test_the_pair_that_max_gives_is_told_by_its_name():
    found = error_of(hidden("result.requires_grad", result=torch.ones(2, 2).max(dim=1)))
    assert found == "found the pair (values, indices) that `max` gives; a tensor was wanted"


def test_an_error_in_an_answer_is_not_taken_for_a_wrong_result():
    def answer():
        return None.grad

    assert error_of(hidden("answer()", answer=answer)) == "AttributeError at a value of type NoneType"


def test_an_unknown_mistake_is_described_without_giving_values_away():
    mine = [part("values", [[1.0, -2.0]]), part("one image", [1.5]), part("kept", [np.nan])]
    lines = grade("test_f", 6, mine, REFERENCE, []).message.splitlines()
    assert lines == [
        "values: found shape (1, 2), wanted (2,)",
        "one image: the values are 0.5 times those wanted",
        "kept: some values are NaN or infinite",
    ]


def test_the_same_error_is_the_same_mistake_wherever_the_object_lay():
    mutant = ("says", [Part("values", error="TypeError: <f at 0x7f01>"), *REFERENCE[1:]])
    mine = [Part("values", error="TypeError: <f at 0x7f02>"), *REFERENCE[1:]]
    assert "says" in grade("test_f", 6, mine, REFERENCE, [mutant]).message


def test_a_judge_replaces_closeness_and_sees_all_that_was_given():
    def judge(part, got, want, given):
        return bool(np.array_equal(np.sort(got[0]), np.sort(want[0]))) and set(given) <= {"values", "one image", "kept"}

    mine = [part("values", [-2.0, 1.0]), *REFERENCE[1:]]
    assert grade("test_f", 6, mine, REFERENCE, [], judge=judge).verdict == "right"
    assert grade("test_f", 6, mine, REFERENCE, []).verdict == "partly right"


def test_what_a_judge_finds_is_read_whether_the_part_is_right_or_not():
    def judge(part, got, want, given):
        if part == "values":
            return Finding(got[0][0] > 0, f"the first is {got[0][0]:.0f}")
        return all(map(close, got, want))

    good = grade("test_f", 6, [part("values", [3.0, 4.0]), *REFERENCE[1:]], REFERENCE, [], judge=judge)
    assert (good.verdict, good.message) == ("right", "All 3 parts are right. Found: values: the first is 3.")
    other = grade("test_f", 6, [REFERENCE[0], part("one image", [1.5]), REFERENCE[2]], REFERENCE, [], judge=judge)
    assert other.message.splitlines() == [
        "2 of 3 parts are right. Found: values: the first is 1.",
        "one image: the values are 0.5 times those wanted",
    ]
    bad = grade("test_f", 6, [part("values", [-3.0, 4.0]), *REFERENCE[1:]], REFERENCE, [], judge=judge)
    assert bad.score == 4 and bad.message.splitlines() == ["2 of 3 parts are right.", "values: the first is -3"]


@pytest.mark.parametrize(
    "change",
    [
        lambda net: net.train(),
        lambda net: net[1].train(),
        lambda net: net[0].register_forward_hook(lambda *a: None),
        lambda net: net[1].register_full_backward_hook(lambda *a: None),
        lambda net: net[0].requires_grad_(False),
        lambda net: net(torch.ones(1, 2)).sum().backward(),
        lambda net: net[0].weight.data.add_(1),
        lambda net: setattr(net[1], "forward", lambda x: x),
        lambda net: net.__setitem__(1, torch.nn.Tanh()),
        lambda net: net[2].running_mean.add_(1),
        lambda net: net._modules.update({"1": torch.relu}),
        lambda net: net._modules.update({"1": None}),
    ],
)
def test_every_change_of_a_model_shows_in_its_state(change):
    net = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.ReLU(), torch.nn.BatchNorm1d(3)).eval()
    before = state_of(net)
    assert all(map(np.array_equal, before.values(), state_of(net).values()))
    change(net)
    after = state_of(net)
    assert any(not np.array_equal(a, b) for a, b in zip(before.values(), after.values(), strict=True))


def test_an_attribute_added_to_a_module_is_no_change():
    net = torch.nn.Sequential(torch.nn.Linear(2, 3))
    before = state_of(net)
    net[0].activation = torch.ones(3)
    assert all(map(np.array_equal, before.values(), state_of(net).values()))


def test_an_error_text_is_told_only_where_the_student_saw_it_before():
    secret = Part("values", error="ValueError: tensor([0.1234])")
    mine = [secret, *REFERENCE[1:]]
    assert "0.1234" not in grade("test_f", 6, mine, REFERENCE, []).message
    assert "ValueError in the hidden test" in grade("test_f", 6, mine, REFERENCE, []).message
    assert "0.1234" in grade("test_f", 6, mine, REFERENCE, [], public={secret.error}).message
    named = [Part("values", error="Tensor01234: x"), *REFERENCE[1:]]
    assert "01234" not in grade("test_f", 6, named, REFERENCE, []).message
