"""Say "right" to each part of an engine that is, and what is wrong with the first that is not; then let it learn.

python examples/exercises/check.py [FILE]
"""

import linecache
import runpy
import sys
import traceback
from pathlib import Path
from types import SimpleNamespace

import numpy as np

import tinygrad_lstm as tl

GAPS = "backward", "gate", "cell"  # the functions that are filled in
UNITS, INPUTS = 3, 4


def expect(found, truth, what):
    """Raise AssertionError with a sentence where something else was found than the truth."""
    assert found is not ..., f"{what} is missing: write something for `...`"
    found, truth = np.asarray(found, float), np.asarray(truth, float)
    assert found.shape == truth.shape, f"{what} has the shape {truth.shape}, yours has {found.shape}"
    says = f"{what} is {np.round(truth, 4)}, yours is {np.round(found, 4)}"
    assert np.allclose(found, truth, atol=1e-7), " ".join(says.split())


def slope(engine, formula, *numbers):
    """The gradient of the sum of a formula by its first input, as the engine's walk finds it."""
    first, *others = (engine.Tensor(np.asarray(number, float)) for number in numbers)
    engine.total(formula(first, *others)).backward()
    return first.grad


def nudged(engine, formula, first, *others):
    """The same by nudging each number of the first input up and down."""
    found = np.zeros_like(first)
    for place in np.ndindex(first.shape):
        for sign in (1, -1):
            moved = first.copy()
            moved[place] += sign * 1e-5
            found[place] += sign * engine.total(formula(*map(engine.Tensor, (moved, *others)))).value / 2e-5
    return found


# ── the four parts ─────────────────────────────────────────────────────────────────────────────


def mul(engine):
    """Part 1. The rules are called as the walk will call them."""
    to_a, to_b = (rule(3.0, 10.0, 2.0, 5.0) for rule in engine.mul(2.0, 5.0).rules)
    expect(to_a, 15.0, "a = 2, b = 5, and g = 3 came back to a * b: what goes on to a")
    expect(to_b, 6.0, "a = 2, b = 5, and g = 3 came back to a * b: what goes on to b")


def walk(engine):
    """Part 2. One use, two uses, a diamond, a long chain, two walks; and each operation against nudging."""
    expect(slope(engine, lambda a: a * 5.0, 2.0), 5.0, "the slope of 5a")
    expect(slope(engine, lambda x: x * x + x, 3.0), 7.0, "the slope of x * x + x at x = 3")

    def diamond(a):
        b = a * 2.0
        return b + b * 3.0

    expect(slope(engine, diamond, 1.0), 8.0, "b = 2a, y = b + 3b: the slope of y by a")

    def doubled(x):
        for _ in range(16):
            x = x + x
        return x

    expect(slope(engine, doubled, 1.0), 2.0**16, "x doubled 16 times: the slope")

    def long(x):
        for _ in range(3000):
            x = x + 1.0
        return x

    expect(slope(engine, long, 1.0), 1.0, "after 3000 additions the slope")
    x = engine.Tensor(np.array(1.0))
    y = diamond(x)
    y.backward()
    y.backward()
    expect(x.grad, 16.0, "after two walks from the same y a leaf has twice 8: its .grad")

    rng = np.random.default_rng(0)
    z, W = rng.standard_normal(4), rng.standard_normal((4, 3))

    def product(z, W):
        return engine.tanh(z @ W) * (z @ W)

    def joined(z, W):
        return engine.sigmoid(engine.concat(z, z * z))

    for formula in (product, joined):
        expect(slope(engine, formula, z, W), nudged(engine, formula, z, W), "of four numbers used twice the gradient")


def gate(engine):
    """Part 3. The gate of lesson 4 and one of random numbers."""
    rng = np.random.default_rng(1)
    h, x, W, b = (rng.standard_normal(shape) for shape in (UNITS, INPUTS, (UNITS + INPUTS, UNITS), UNITS))
    found = engine.gate(*map(engine.Tensor, (0 * h, 0 * x, W, 0 * b)))
    expect(getattr(found, "value", found), np.full(UNITS, 0.5), "h, x and b are 0: the gate")

    def by_weights(W, b, h, x):
        return engine.gate(h, x, W, b)

    value = 1 / (1 + np.exp(-(h @ W[:UNITS] + x @ W[UNITS:] + b)))
    expect(
        engine.gate(*map(engine.Tensor, (h, x, W, b))).value,
        value,
        "with h joined first, then x, the gate of random numbers",
    )
    expect(slope(engine, by_weights, W, b, h, x), nudged(engine, by_weights, W, b, h, x), "the gradient of its W")


def cell(engine):
    """Part 4. Three steps against the library's cell: what it shows and keeps, and the gradient of every weight."""
    theirs, xs = tl.nn.LSTMCell(INPUTS, UNITS, rng=0), np.random.default_rng(2).standard_normal((3, INPUTS))
    ours = {name: engine.Tensor(array) for name, array in theirs.state_dict().items()}
    h = c = engine.Tensor(np.full(UNITS, 0.5))
    state = tl.tensor(np.full(UNITS, 0.5)), tl.tensor(np.full(UNITS, 0.5))
    for step, x in enumerate(xs, start=1):
        found = engine.cell(engine.Tensor(x), h, c, ours)
        assert isinstance(found, tuple), "it gives two things: return h, c"
        (h, c), state = found, theirs(x, state)
        for name, mine, right in (("c", c, state[1]), ("h", h, state[0])):
            expect(mine.value, right.numpy(), f"after step {step} {name}")
    engine.total(h * h).backward()
    named = dict(theirs.named_parameters())
    for name, right in zip(named, tl.grad((state[0] * state[0]).sum(), list(named.values())), strict=True):
        expect(ours[name].grad, right.numpy(), f"over three steps the gradient of {name}")


PARTS = {"the rules of mul": mul, "the walk": walk, "a gate": gate, "the cell": cell}


def refusal(part, engine, file):
    """What a part's check says to an engine; None where the part is right."""
    try:
        part(engine)
    except AssertionError as error:
        return str(error)
    except Exception as error:
        return in_one_line(error, file)
    return None


def in_one_line(error, file):
    """An error of the file: which, the line of the student from which it came, and the shapes that do not fit."""
    steps = traceback.walk_tb(error.__traceback__)
    frames = [(frame, line) for frame, line in steps if frame.f_code.co_filename == str(file)]
    lines = [line for frame, line in frames if frame.f_code.co_name in GAPS] or [line for _, line in frames]
    place = f" in line {lines[0]}, `{linecache.getline(str(file), lines[0]).strip()}`" if lines else ""
    inputs = frames[-1][0].f_locals.get("tensors", ()) if frames else ()  # of the operation that did not take them
    shapes = [np.shape(x.value) for x in inputs]
    if isinstance(error, ValueError) and len(shapes) == 2:
        return f"the shapes {shapes[0]} and {shapes[1]}, left and right, do not fit{place}"
    return f"{type(error).__name__}{place}: {error}"


# ── what it can do then ────────────────────────────────────────────────────────────────────────


def learn(engine, steps=200):
    """Teach the engine's cell what follows each letter of "hell", by gradient descent, and print how it goes."""
    letters, rng = "ehlo", np.random.default_rng(0)
    read, right = np.eye(4)[[letters.index(k) for k in "hell"]], np.eye(4)[[letters.index(k) for k in "ello"]]
    weights = {f"W_{k}": rng.uniform(-0.5, 0.5, (UNITS + INPUTS, UNITS)) for k in "figo"}
    weights |= {f"b_{k}": np.zeros(UNITS) for k in "figo"} | {"W_y": rng.uniform(-0.5, 0.5, (UNITS, 4))}
    for step in range(steps + 1):
        p = {name: engine.Tensor(weight) for name, weight in weights.items()}
        h = c = engine.Tensor(np.zeros(UNITS))
        loss, end, said = 0.0, engine.Tensor(0.0), ""
        for x, answer in zip(read, right, strict=True):
            h, c = engine.cell(engine.Tensor(x), h, c, p)
            logits = h @ p["W_y"]
            guess = np.exp(logits.value) / np.exp(logits.value).sum()
            loss -= np.log(guess[answer.argmax()])
            end = end + engine.total(logits * engine.Tensor(guess - answer))  # lesson 3: the gradient by the logits
            said += letters[guess.argmax()]
        if step % (steps // 4) == 0:
            print(f"step {step:3}: loss {loss / 4:.2f}, after h, e, l, l it says {', '.join(said)}")
        end.backward()
        for name in weights:
            weights[name] = weights[name] - 0.5 * p[name].grad
    return said


def main(file):
    """Check a file part by part. Only the first that is not right says why: those after it may build on it."""
    try:
        engine = SimpleNamespace(**runpy.run_path(str(file)))
    except OSError as error:
        sys.exit(f"cannot read {file}: {error.strerror}")
    except SyntaxError as error:
        sys.exit(f"{file}, line {error.lineno}: {error.msg}")
    except Exception as error:
        sys.exit(f"{file}: {in_one_line(error, file)}")
    refusals = [refusal(part, engine, file) for part in PARTS.values()]
    first = next(filter(None, refusals), None)
    for k, (name, wrong) in enumerate(zip(PARTS, refusals, strict=True), start=1):
        print(f"part {k}, {name}: {'right' if not wrong else wrong if wrong is first else 'not yet'}")
    if first:
        return
    print("\nAll of it is yours now, and its gradients are those of the library. Let it learn:\n")
    learn(engine)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name("engine.py"))
