"""Every task: its generator's own rules, its baseline against a brute-force estimate, its judge, its preview."""

import math
import re

import numpy as np
import pytest

from tinygrad_lstm import tasks
from tinygrad_lstm.functions import softmax
from tinygrad_lstm.tasks import reber
from tinygrad_lstm.tasks.own_data import read_text
from tinygrad_lstm.tasks.task import Batch
from tinygrad_lstm.tasks.text import ngram_losses

TEXT = "the cat sat on the mat, and the dog sat on the log.\n" * 60


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "text.txt"
    path.write_text(TEXT, encoding="utf-8")
    return path


@pytest.fixture(scope="module", autouse=True)
def series(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "series.csv"
    wave = np.sin(np.arange(1500) / 5) + np.random.default_rng(0).normal(0, 0.05, 1500)
    path.write_text("temperature\n" + "\n".join(f"{v:.5f}" for v in 20 + 3 * wave) + "\n", encoding="utf-8")
    FILES["series"] = path


FILES = {}


def make(name, text, **options):
    data = {"text": text, **FILES}.get(name)
    return tasks.make(name, **options, **({"data": data} if data else {}))


def perfect(task, batch: Batch):
    """Outputs that are right at every target."""
    if task.loss == "classes":
        if batch.legal is not None:
            return np.where(batch.legal, 20.0, -20.0)
        return 20.0 * np.eye(task.outputs)[batch.y]
    return batch.y if task.loss == "squared" else 40.0 * batch.y - 20


def loss_of(task, outputs, batch):
    if task.loss == "squared":
        return ((outputs - batch.y) ** 2).mean()
    if task.loss == "classes":
        return -np.log(softmax(outputs.astype(float))[np.arange(len(batch.y)), batch.y]).mean()
    p = 1 / (1 + np.exp(-outputs))
    return -(batch.y * np.log(p) + (1 - batch.y) * np.log(1 - p)).mean()


@pytest.mark.parametrize("name", tasks.TASKS)
def test_shapes_dtypes_seeds_and_padding(name, text):
    task = make(name, text)
    batch = task.batch(np.random.default_rng(3), 5)
    again = make(name, text).batch(np.random.default_rng(3), 5)
    assert batch.x.dtype == np.float32
    assert batch.x.shape[1:] == (5, task.inputs)
    assert np.array_equal(batch.x, again.x)
    assert np.array_equal(batch.y, again.y)
    n = batch.x.shape[0] * 5 if batch.at is None else len(batch.at[0])
    assert batch.y.shape == ((n,) if task.loss == "classes" else (n, task.outputs))
    assert batch.y.dtype == (np.intp if task.loss == "classes" else np.float32)
    step, sequence = batch.positions
    assert step.shape == sequence.shape == (n,)
    assert sorted(set(sequence.tolist())) == list(range(5))
    if task.last_only:
        last = batch.at[0]
        assert all(not batch.x[t + 1 :, k].any() for k, t in enumerate(last))
    if task.loss == "classes":
        assert batch.y.min() >= 0
        assert batch.y.max() < task.outputs
    other = make(name, text).batch(np.random.default_rng(4), 5)
    assert other.x.shape != batch.x.shape or not np.array_equal(other.x, batch.x)


@pytest.mark.parametrize("name", [n for n, kind in tasks.TASKS.items() if not kind.takes_data])
def test_a_perfect_answer_is_right_and_a_memoryless_one_is_not(name, text):
    task = make(name, text)
    batch = task.batch(np.random.default_rng(0), 200)
    error, right = task.judge(perfect(task, batch), batch)
    assert error.shape == right.shape == (200,)
    assert right.all()
    assert error.max() < 1e-3
    error, right = task.judge(np.zeros_like(perfect(task, batch), dtype=float), batch)
    assert right.mean() < 0.5


@pytest.mark.parametrize("name", [n for n, kind in tasks.TASKS.items() if not kind.takes_data])
def test_the_baseline_is_what_the_best_memoryless_predictor_reaches(name):
    """Brute force: the best answer for each input vector of the step itself (and step, where the task says so)."""
    task = tasks.make(name)
    rng = np.random.default_rng(1)
    size, rounds = (2000, 12) if task.last_only else (200, 30)
    batches = [task.batch(rng, size) for _ in range(rounds)]
    if name == "sine":
        errors = [((b.x.reshape(-1, 1) - b.y) ** 2).mean() for b in batches]
        assert task.baseline.loss == pytest.approx(np.mean(errors), rel=0.03)
        return
    keys, ys = [], []
    for b in batches:
        at = b.positions
        seen = b.x[at].argmax(-1) if not task.last_only else np.zeros(len(b.y), int)
        if name == "copy":
            seen = (at[0] >= task.length + 10).astype(int)  # it may know the time
        keys.append(seen)
        ys.append(b.y)
    key, y = np.concatenate(keys), np.concatenate(ys)
    loss = 0.0
    for k in np.unique(key):
        here = y[key == k]
        if task.loss == "squared":
            loss += ((here - here.mean()) ** 2).sum()
        elif task.loss == "classes":
            p = np.bincount(here) / len(here)
            loss += len(here) * -(p[p > 0] * np.log(p[p > 0])).sum()
        else:
            p = here.mean(0)
            q = np.maximum(np.stack([p, 1 - p]).astype(float), 1e-300)
            loss += len(here) * -(q * np.log(q)).sum(0).mean()
    assert task.baseline.loss == pytest.approx(loss / len(y), rel=0.03)
    if task.loss == "classes" and task.last_only:
        assert np.bincount(y).max() / len(y) == pytest.approx(1 / task.outputs, rel=0.05)


@pytest.mark.parametrize("name", tasks.TASKS)
def test_the_preview_is_a_few_plain_lines(name, text):
    shown = make(name, text).preview(np.random.default_rng(0), 3)
    assert 3 <= len(shown.splitlines()) <= 6
    assert shown.isprintable() or shown.replace("\n", "").isprintable()
    assert max(map(len, shown.splitlines())) < 110
    assert shown == make(name, text).preview(np.random.default_rng(0), 3)


def test_a_preview_shows_what_the_answer_hangs_on():
    marked = r"\d\.\d+ .*\[(\d\.\d+)\].*\[(\d\.\d+)\].*  ->  (\d\.\d+)"
    a, b, total = map(float, re.fullmatch(marked, tasks.make("adding").preview(np.random.default_rng(1), 1)).groups())
    assert a + b == pytest.approx(total, abs=2e-3)
    x, y = tasks.make("copy", length=20).preview(np.random.default_rng(0), 1).splitlines()
    assert x[:10] == y.removesuffix("  <- answers")[-10:]
    assert re.fullmatch(r"y[abcd]{9}  ->  y", tasks.make("latch", length=10).preview(np.random.default_rng(1), 1))


@pytest.mark.parametrize("name", [n for n, kind in tasks.TASKS.items() if kind.takes_data])
def test_where_nothing_is_ever_solved_no_sequence_is_judged(name, text):
    task = make(name, text)
    assert (task.criterion.window, task.criterion.stop) == (0, False)
    batch = task.batch(np.random.default_rng(0), 2)
    with pytest.raises(NotImplementedError, match=f"{name} judges no sequences"):
        task.judge(batch.y, batch)


@pytest.mark.parametrize("name", tasks.TASKS)
def test_symbols_are_read_as_they_are_written(name, text):
    task = make(name, text)
    notation, batch = task.notation(task.about()), task.batch(np.random.default_rng(2), 1)
    tokens = notation.tokens(batch.x[:, 0])
    assert len(tokens) == len(batch.x)
    if notation.symbols is not None:
        assert np.array_equal(notation.inputs(tokens, task.inputs), batch.x[:, 0])
    assert notation.right(batch.y[-1], task.outputs) == notation.says(perfect(task, batch)[-1])
    assert all(0 <= t < len(tokens) for t in task.deciding(tokens))


@pytest.mark.parametrize("name", tasks.TASKS)
def test_words_of_every_task(name, text):
    task = make(name, text)
    assert task.name == name
    assert 20 < len(task.summary) < 85  # it stands in a list
    assert task.baseline.how
    assert task.criterion.text
    assert task.criterion.stop == bool(task.metric) == bool(task.right)
    assert "x: (" in type(task).__doc__ or "Sequences are those" in type(task).__doc__ or "As `" in type(task).__doc__


@pytest.mark.parametrize("name", tasks.TASKS)
def test_a_length_that_is_too_short_is_refused(name, text):
    with pytest.raises(ValueError, match="length of at least"):
        make(name, text, length=tasks.TASKS[name].least_length - 1)
    make(name, text, length=max(tasks.TASKS[name].least_length, 2)).batch(np.random.default_rng(0), 300)


def test_an_unknown_task_is_refused():
    with pytest.raises(ValueError, match="no task is called 'nothing': choose from reber"):
        tasks.make("nothing")


def test_adding_marks_one_step_of_each_half():
    batch = tasks.make("adding", length=50).batch(np.random.default_rng(0), 500)
    value, mark = batch.x[..., 0], batch.x[..., 1]
    assert (mark[:25].sum(0) == 1).all()
    assert (mark[25:].sum(0) == 1).all()
    assert np.allclose((value * mark).sum(0), batch.y[:, 0])


def test_adding_of_1997_marks_as_the_paper_does():
    task = tasks.make("adding1997", length=100)
    batch = task.batch(np.random.default_rng(0), 3000)
    value, mark = batch.x[..., 0], batch.x[..., 1]
    lengths = batch.at[0] + 1
    assert lengths.min() == 100
    assert lengths.max() == 110
    assert (mark[0] == -1).all()
    assert (mark[lengths - 1, np.arange(3000)] == -1).all()
    ones = mark == 1
    assert set(ones.sum(0).tolist()) == {1, 2}
    assert ones[49:].sum() == 0
    assert ones[1:10].any(0)[ones.sum(0) == 2].all()
    target = 0.5 + (value * ones).sum(0) / 4
    assert np.allclose(target, batch.y[:, 0], atol=1e-6)
    assert np.mean(ones.sum(0) == 1) == pytest.approx(0.1 + 0.9 / 48, abs=0.02)


def test_multiplication_counts_a_marked_first_step_as_one():
    batch = tasks.make("multiplication").batch(np.random.default_rng(0), 2000)
    value, mark = batch.x[..., 0], batch.x[..., 1]
    assert np.allclose(np.where(mark == 1, value, 1).prod(0), batch.y[:, 0], atol=1e-6)


@pytest.mark.parametrize(
    ("name", "windows"), [("order4", [(10, 20), (50, 60)]), ("order8", [(10, 20), (33, 43), (66, 76)])]
)
def test_temporal_order_is_the_paper_s(name, windows):
    task = tasks.make(name)
    batch = task.batch(np.random.default_rng(0), 3000)
    symbols = batch.x.argmax(-1)
    lengths = batch.at[0] + 1
    assert (lengths.min(), lengths.max()) == (100, 110)
    assert (symbols[0] == 6).all()
    assert (symbols[lengths - 1, np.arange(3000)] == 7).all()
    marks = np.isin(symbols, [4, 5])
    assert (marks.sum(0) == len(windows)).all()
    for low, high in windows:
        assert (marks[low : high + 1].sum(0) == 1).all()
        assert marks[low].any()
        assert marks[high].any()
    k = 17
    code = [symbols[t, k] - 4 for t in np.flatnonzero(marks[:, k])]
    assert batch.y[k] == int("".join(map(str, code)), 2)


def test_reber_strings_obey_the_grammar_and_the_sets_are_disjoint():
    task = tasks.make("reber")
    train, test = ({tuple(s.tolist()) for s, _ in strings} for strings in (task.training, task.test))
    assert len(task.training) == len(task.test) == 256
    assert not train & test
    inner = r"B(TS*X(?:X|P|T|V)*|P(?:T|V|P|X)*).*E"
    for string in train | test:
        word = "".join(reber.SYMBOLS[k] for k in string)
        assert re.fullmatch(rf"B([TP]){inner}\1E", word)
    symbols, legal = reber.walk(np.random.default_rng(0))
    assert len(legal) == len(symbols) - 1
    assert legal[np.arange(len(legal)), symbols[1:]].all()
    assert set(legal.sum(1).tolist()) == {1, 2}


def test_a_published_reber_string_is_in_the_grammar():
    state = "start"
    for symbol in "BTBTSSXXTVVETE":
        state = reber.EDGES[state][symbol]
    assert state == "start"


def test_streams_go_on_where_they_ended_and_can_be_restored():
    rng = np.random.default_rng(0)
    task = tasks.make("continual-reber", length=30)
    batches = [task.batch(rng, 4)]
    saved, seed = task.state(), rng.bit_generator.state
    batches += [task.batch(rng, 4) for _ in range(60)]
    restarts = 0
    for k in range(4):
        state = None
        for b in batches:
            symbols = [reber.SYMBOLS[s] for s in b.x[:, k].argmax(-1)]
            if state is None or b.fresh[k]:
                state, restarts = "outer", restarts + 1
                assert symbols[0] == "B"
            for symbol in [*symbols[1:], reber.SYMBOLS[b.y.reshape(30, 4)[-1, k]]]:
                before, state = state, reber.EDGES[state][symbol]
        assert before
    assert 4 < restarts < 30
    again = tasks.make("continual-reber", length=30)
    again.restore(saved)
    rng.bit_generator.state = seed
    assert np.array_equal(again.batch(rng, 4).x, batches[1].x)
    with pytest.raises(ValueError, match="4 streams are under way"):
        task.batch(rng, 5)


def test_examinations_pass_the_perfect_and_say_how_far_the_others_came(monkeypatch):
    def oracle(x):
        """Legal next symbols of embedded Reber strings, read from x by walking the grammar."""
        out = np.zeros(x.shape)
        for k in range(x.shape[1]):
            state = "start"
            for t in range(x.shape[0]):
                if not x[t, k].any():
                    break
                state = reber.EDGES[state][reber.SYMBOLS[x[t, k].argmax()]]
                for symbol in reber.EDGES[state]:
                    out[t, k, reber.SYMBOLS.index(symbol)] = 1
        return out

    exam = tasks.make("reber").examine(oracle)
    assert exam.passed
    assert exam.found == {"strings": 512, "right": 512}
    assert not tasks.make("reber").examine(lambda x: np.zeros(x.shape)).passed

    stream = tasks.make("continual-reber")
    stream.exam_symbols = 300
    assert stream.examine(oracle).passed
    exam = stream.examine(lambda x: np.zeros(x.shape))
    assert exam.found == {"streams": 10, "symbols in each": 6, "right": 0}


def test_a_task_without_an_examination_says_so():
    task = tasks.make("adding")
    assert not task.criterion.exam
    with pytest.raises(NotImplementedError, match="adding has no examination"):
        task.examine(lambda x: x)


def test_counting_is_examined_up_to_the_first_error():
    def counter(limit):
        def predict(x):
            a, b = x[..., 0].cumsum(0), x[..., 1].cumsum(0)
            last, start = x.argmax(-1), x[..., 2] == 1
            done = (b == a) | (b >= limit)
            wanted = np.stack(
                [start | (last == 0), (last == 0) & ~start | (last == 1) & ~done, 0 * b, (last == 1) & done]
            )
            return np.moveaxis(np.where(wanted, 1.0, -1.0), 0, -1)

        return predict

    task = tasks.make("anbn", length=5)
    assert task.examine(counter(1000)).score == 205
    exam = task.examine(counter(7))
    assert (exam.passed, exam.found) == (True, {"trained to n": 5, "every n right to": 7})
    assert not task.examine(counter(3)).passed


def test_text_is_split_and_measured_honestly(text):
    task = tasks.make("text", data=text)
    assert task.characters == sorted(set(TEXT))
    assert len(task.training) + len(task.held_out) == len(TEXT)
    assert len(task.held_out) == math.ceil(len(TEXT) / 10)
    assert task.bigram < task.beside["unigram"] < math.log(task.inputs)
    exam = task.examine(lambda x: np.zeros(x.shape))
    assert exam.score == pytest.approx(math.log(task.inputs))
    assert not exam.passed

    def reader(x):  # knows what comes next
        out = np.zeros(x.shape)
        out[:-1] = 30 * x[1:]
        return out

    assert task.examine(reader).score < task.bigram


def test_ngrams_by_hand():
    training, held_out = np.array([0, 1, 0, 1, 0, 2]), np.array([0, 1, 2, 0])
    p = np.array([4, 3, 2]) / 9
    pairs = [(2 + 2 * p[1]) / 5, (0 + 1 * p[2]) / 3, (0 + 1 * p[0]) / 1]
    unigram, bigram = ngram_losses(training, held_out, 3)
    assert unigram == pytest.approx(-np.log(p[[1, 2, 0]]).mean())
    # After 0 came 1, 1 and 2 (3 pairs, 2 kinds); after 1 came 0 twice (1 kind); after 2 nothing.
    assert bigram == pytest.approx(-np.log(pairs).mean())


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"short", "has 5 characters"),
        (b"\xff" * 9000, "not UTF-8"),
        (b"a\0" * 3000, "NUL"),
        (b"a" * 3000, "one character"),
    ],
)
def test_texts_that_cannot_be_used_are_refused(tmp_path, data, message):
    (tmp_path / "t").write_bytes(data)
    with pytest.raises(ValueError, match=message):
        tasks.make("text", data=tmp_path / "t")
    with pytest.raises(ValueError, match="the task text needs data: the path of a file"):
        tasks.make("text")
    with pytest.raises(FileNotFoundError):
        tasks.make("text", data=tmp_path / "nowhere")


def test_a_text_that_would_fill_the_memory_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("tinygrad_lstm.tasks.own_data.LIMIT", 2**20)
    (tmp_path / "t").write_bytes(b"ab" * 2**19)
    assert len(read_text(tmp_path / "t")) == 2**20
    (tmp_path / "t").write_bytes(b"ab" * 2**19 + b"a")
    with pytest.raises(ValueError, match="longer than 1 MB: take a part of it"):
        tasks.make("text", data=tmp_path / "t")


def test_the_entropy_of_the_endless_chain():
    assert reber.chain_entropy() == pytest.approx(1.28, abs=0.01)


def test_a_series_is_measured_against_persistence():
    task = tasks.make("series", data=FILES["series"])
    assert len(task.training) == 1200
    assert len(task.held_out) == 300
    assert abs(task.training.mean()) < 1e-5
    assert task.training.std() == pytest.approx(1, abs=1e-5)
    same_again = task.examine(lambda x: x)
    persistence = np.mean(np.diff(task.held_out[:, 0].astype(float)) ** 2)
    assert same_again.score == pytest.approx(persistence, rel=1e-5)
    assert task.baseline.loss == pytest.approx(persistence, rel=1e-5)

    def knows(x):
        return np.concatenate([x[1:], x[-1:]])

    assert task.examine(knows).passed
    assert not task.examine(lambda x: np.zeros(x.shape)).passed


@pytest.mark.parametrize(
    ("data", "message"),
    [("1\n2\n", "has 2 values"), ("1\nx\n", "'x' in line 2"), ("1\n" * 900, "does not change"), ("1\nnan\n", "finite")],
)
def test_series_that_cannot_be_used_are_refused(tmp_path, data, message):
    (tmp_path / "s").write_text(data)
    with pytest.raises(ValueError, match=message):
        tasks.make("series", data=tmp_path / "s")
    with pytest.raises(ValueError, match="the task series needs data: the path of a file"):
        tasks.make("series")


def made(tmp_path, values):
    (tmp_path / "s").write_text("\n".join(map(repr, values)))
    return tasks.make("series", length=np.int64(5), data=tmp_path / "s")


@pytest.mark.parametrize("unit", [1e-100, 1e100])
def test_a_series_in_other_units_is_the_same_task(unit, tmp_path):
    values = [math.sin(k / 5) for k in range(300)]
    plain, other = made(tmp_path, values), made(tmp_path, [v * unit for v in values])
    np.testing.assert_allclose(other.training, plain.training, rtol=0, atol=1e-6)
    assert other.baseline.loss == pytest.approx(plain.baseline.loss, rel=1e-5)


@pytest.mark.parametrize("unit", [1e-320, 1e-200, 1e200, 1e308])
def test_a_series_in_units_that_overflow_asks_for_others(unit, tmp_path):
    with pytest.raises(ValueError, match="float32 cannot hold their squares; give other units"):
        made(tmp_path, [math.sin(k / 5) * unit for k in range(300)])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {299: 1e300},
            r"holds 1e\+300, but the values learnt from are about 0\.03566 ± 0\.7017: so far apart float32 cannot",
        ),
        (dict.fromkeys(range(240), 0.1), "does not change in its first 240 values"),
    ],
)
def test_a_series_whose_numbers_cannot_be_learnt_says_which(change, message, tmp_path):
    values = [change.get(k, math.sin(k / 5)) for k in range(300)]
    with pytest.raises(ValueError, match=message):
        made(tmp_path, values)


def test_a_task_is_named_by_a_string_and_its_length_is_whole():
    with pytest.raises(TypeError, match="task must be a string, got 3"):
        tasks.make(3)
    with pytest.raises(TypeError, match=r"length must be a whole number, got 3\.5"):
        tasks.make("adding", length=3.5)


def test_a_criterion_is_met_by_the_last_sequences_alone():
    criterion = tasks.Criterion("", window=4, wrong=1, mean_error=0.5)
    rights = np.array([True, True, True, False])
    assert criterion.met(np.full(4, 0.1), rights)
    assert not criterion.met(np.full(3, 0.1), rights[:3])  # too few
    assert not criterion.met(np.array([0.1, 0.1, 9.0, 0.1]), rights)  # the mean
    assert not criterion.met(np.full(4, 0.1), np.array([True, False, True, False]))  # two wrong
    assert tasks.Criterion("", window=1, wrong=None).met(np.array([9.0]), np.array([False]))
