from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from tests.curves import picked

_ROOT = Path(__file__).parents[1]
_FOLDER = _ROOT / "notebooks"
_NOTEBOOKS = sorted(_FOLDER.glob("*.ipynb"))
_QUESTION = """
import json
print(json.dumps({
    "checked": [getattr(widget.verification, x) for x in ("low", "lr", "high")],
    "value": widget.value,
    "applied": optimizer.param_groups[0]["lr"],
    "losses": {
        optimizer_name: {name: sum(x[-29:]) / 29 for name, x in trainings.items()}
        for optimizer_name, trainings in histories.items()
    },
    "minima": [minimum(curve), minimum(second)],
    "suggestions": [curve.suggest(), second.suggest()],
}))
"""
_NOTE_WHAT_IS_TRAINED = f"""
import sys
sys.path.insert(0, {str(_ROOT)!r})
from lrwidget import LRWidget
from tests.engine.training_parts import state

before, untouched = dict(), dict()
wait = LRWidget.wait

def trained(widget):
    arguments = widget._controller._backend.arguments
    return state(arguments["model"], arguments["optimizer"])

def noting(start):
    def noted(widget, *args, **settings):
        before[widget] = trained(widget)
        start(widget, *args, **settings)
    return noted

def noting_wait(widget):
    curve = wait(widget)
    same = before[widget] == trained(widget)
    untouched[widget] = untouched.get(widget, True) and same
    return curve

for name in ("run", "compare", "verify"):
    setattr(LRWidget, name, noting(getattr(LRWidget, name)))
LRWidget.wait = noting_wait
"""
# The frameworks import torchvision, which may not load with the torch of a development
# machine. A user has no torchvision, or one that loads, so the notebook itself does not
# declare these operators.
_BEFORE_ALL_RECIPES = f"""
import os, sys, warnings
os.environ["HF_HUB_OFFLINE"] = "1"  # what wants to download fails
sys.path.insert(0, {str(_ROOT)!r})
import tests.torchvision_operators

# peft 0.21 asks transformers 5.23 for it
warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)
# trl 1.16 sets it, and transformers 5.23 has another name for it
warnings.filterwarnings("ignore", "`gradient_checkpointing`", FutureWarning)
# pytorch-forecasting 1.8 stores modules as hyper-parameters
warnings.filterwarnings("ignore", "Attribute '.*' is an instance of `nn.Module`")
{_NOTE_WHAT_IS_TRAINED}"""
_QUESTION_OF_EACH_RECIPE = """
import json

def rates(optimizer):
    return [group["lr"] for group in optimizer.param_groups]

applied = {
    plain_widget: rates(optimizer),
    muon_widget: [*rates(muon), *rates(adamw)],
    dict_widget: rates(dict_optimizer),
    loss_widget: rates(loss_optimizer),
    step_widget: rates(step_optimizer),
    amp_widget: rates(amp_optimizer),
    lora_widget: rates(lora_optimizer),
    lightning_widget: [module.lr, module.hparams.lr, *rates(module.configure_optimizers())],
    trainer_widget: [trainer.args.learning_rate, *rates(trainer.create_optimizer())],
    fastai_widget: [learner.lr],
    accelerate_widget: rates(prepared_optimizer.optimizer),
    sft_widget: [sft_trainer.args.learning_rate, *rates(sft_trainer.create_optimizer())],
    tft_widget: [tft.hparams.learning_rate],
}
assert set(applied) == set(untouched)
print(json.dumps([
    {
        "stop_reason": widget.curve.stop_reason,
        "first": widget.curve.lrs[0],
        "value": widget.value,
        "last": widget.curve.lrs[-1],
        "values": widget.values,
        "applied": applied[widget],
        "untouched": untouched[widget],
    }
    for widget in applied
]))
"""  # noqa: E501 (a row for each)
_QUESTION_OF_EACH_CASE = """
import json

cases = {
    name: {**widget.curve.suggestion()._asdict(), "values": widget.values}
    for name, widget in globals().copy().items()
    if isinstance(widget, LRWidget) and not name.startswith("_")
}
by_rule = good.suggestions
good._display.view_bar.smoothing.value = 0.2
after_the_slider = good.suggestions
good.rule = "valley"
after_the_menu = good.value

held_out_labels = batches_of(64, pixels[1400:], shuffled_labels[1400:])
shuffled = batches_of(64, pixels[:1400], shuffled_labels[:1400])
from lrwidget import verify

fresh, data = new_net(64, 10), {"val_loader": held_out_labels}
optimizer = torch.optim.AdamW(fresh.parameters())
learned = verify(fresh, optimizer, shuffled, nn.CrossEntropyLoss(), **data)
print(json.dumps({
    "cases": cases,
    "by_rule": by_rule,
    "after_the_slider": after_the_slider,
    "after_the_menu": after_the_menu,
    "jumps": [x.curve.losses[:50].std() for x in (noisy, validated)],
    "late": [curve.suggest() for curve in late.curves.values()],
    "half_way": [
        fit.lrs[(fit.losses < (fit.losses[0] + fit.losses.min()) / 2).argmax()]
        for fit in (curve.fit() for curve in late.curves.values())
    ],
    "checked": [checked.low, checked.lr, checked.high, best.lr],
    "verdict": checked.verdict,
    "after_training": after_training,
    "nothing": learned.verdict,
    "steps": len(too_high.curve),
    "untouched": list(untouched.values()),
}))
"""
_QUESTION_OF_MANY_MACHINES = """
import json
from lrwidget import LRCurve

print(json.dumps({
    "free": {"started": ray.is_initialized()},
    "names": list(widget.curves),
    "curves": [curve.to_dict() for curve in widget.curves.values()],
    "race": [curve.lr for curve in widget.race_curves],
    "values": [widget.value, followed.value],
    "suggestion": followed.curve.suggest(),
    "followed": followed.curve.to_dict(),
    "recorded": LRCurve.load(record).to_dict(),
}))
job.wait(60)
"""
_PICTURE = re.compile(r"!\[[^]]+\]\((.*?)\)")


def test_there_are_notebooks() -> None:
    assert _NOTEBOOKS


@pytest.mark.parametrize("path", _NOTEBOOKS, ids=lambda path: path.name)
def test_is_committed_without_outputs(path: Path) -> None:
    for cell in nbformat.read(path, 4).cells:
        if cell.cell_type == "code":
            assert cell.outputs == []
            assert cell.execution_count is None


@pytest.mark.parametrize("path", _NOTEBOOKS, ids=lambda path: path.name)
def test_its_pictures_are_there(path: Path) -> None:
    for cell in nbformat.read(path, 4).cells:
        if cell.cell_type == "markdown":
            for picture in _PICTURE.findall(cell.source):
                assert (_FOLDER / picture).is_file()


@pytest.mark.slow
def test_the_quickstart_from_top_to_bottom(tmp_path: Path) -> None:
    book = nbformat.read(_FOLDER / "01-quickstart.ipynb", 4)
    answer = _answer(book, _QUESTION, tmp_path)
    low, checked, high = answer["checked"]
    assert answer["value"] == picked(checked) == answer["applied"]
    assert checked == min(max(answer["suggestions"][0], low), high)
    for lowest, rate in zip(answer["minima"], answer["suggestions"], strict=True):
        assert lowest > 2 * rate
    adam, momentum = answer["losses"].values()
    assert adam["chosen"] < 0.1
    assert adam["a tenth"] < 0.5  # random guesses have log(10) = 2.3
    assert min(adam, key=adam.get) == "chosen"
    assert adam["minimum"] < adam["ten times"]
    assert momentum["minimum"] > 3 * momentum["suggestion"]
    pictures = [
        output
        for cell in book.cells
        for output in cell.get("outputs", [])
        if "image/png" in output.get("data", {})
    ]
    assert len(pictures) == 2


@pytest.mark.slow
def test_every_recipe_for_any_model(tmp_path: Path) -> None:
    book = nbformat.read(_FOLDER / "02-any-model.ipynb", 4)
    book.cells.insert(0, nbformat.v4.new_code_cell(_BEFORE_ALL_RECIPES))
    plain, muon, *others = _answer(book, _QUESTION_OF_EACH_RECIPE, tmp_path)
    for recipe, ratio in ((plain, 0.1), (muon, 20)):
        assert recipe["applied"] == recipe["values"]
        rate = recipe["value"]
        assert recipe["values"] == pytest.approx([ratio * rate, rate])
    assert len(others) == 11
    for recipe in others:
        assert set(recipe["applied"]) == {recipe["value"]}
    for recipe in (plain, muon, *others):
        assert recipe["stop_reason"] in {"completed", "diverged"}
        assert recipe["first"] < recipe["value"] < recipe["last"]
        assert recipe["untouched"] is True
    streams = [
        (output["name"], output["text"])
        for cell in book.cells[:-1]
        for output in cell.get("outputs", [])
        if output["output_type"] == "stream"
    ]
    assert len(streams) == 1, streams  # the output of the first recipe only
    assert " as expected. " in streams[0][1].splitlines()[0]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_every_case_of_a_curve(tmp_path: Path) -> None:
    book = nbformat.read(_FOLDER / "03-reading-the-curve.ipynb", 4)
    assert sum(len(_PICTURE.findall(cell.source)) for cell in book.cells) == 10
    book.cells.insert(0, nbformat.v4.new_code_cell(_NOTE_WHAT_IS_TRAINED))
    answer = _answer(book, _QUESTION_OF_EACH_CASE, tmp_path)
    assert answer["untouched"] == [True] * 9
    cases = answer["cases"]
    said = {name: case["reason"] for name, case in cases.items()}

    assert said["good"].endswith("the slope")
    for end, factor in (("low", 0.5), ("high", 2)):
        assert cases["good"][end] == pytest.approx(factor * cases["good"]["lr"])
    assert answer["after_the_slider"] == answer["by_rule"]
    assert answer["after_the_menu"] == picked(answer["by_rule"]["valley"])

    assert said["noisy"].startswith("Too noisy to see a slope.")
    assert "of the way down a noisy slope" in said["more_steps"]
    assert said["validated"].endswith("of the way down the slope")
    assert cases["validated"]["lr"] < cases["noisy"]["lr"] / 1.5
    of_batches, of_held_out = answer["jumps"]
    assert of_held_out < of_batches / 10

    assert cases["too_high"]["lr"] is None
    assert "begin at a lower rate" in said["too_high"]
    assert answer["steps"] < 25
    assert cases["lower"]["low"] < cases["lower"]["lr"] < 1e-3

    assert answer["half_way"] == sorted(answer["half_way"], reverse=True)
    assert answer["half_way"][0] > 20 * answer["half_way"][-1]
    assert max(answer["late"]) < 2.5 * min(answer["late"])

    assert "a noisy slope" in said["tuned"]
    body, head = cases["tuned"]["values"]
    assert head == picked(cases["tuned"]["lr"]) == pytest.approx(10 * body)

    assert cases["nothing"]["lr"] is None
    assert said["nothing"].endswith("beyond its noise")
    assert answer["nothing"].startswith("The trainings suggest no rate;")

    low, checked, high, best = answer["checked"]
    assert low < checked == high < best
    assert "cannot be told apart after 150 steps" in answer["verdict"]
    of_test, of_best, of_check, of_low = answer["after_training"].values()
    assert of_low < of_check < of_best < of_test + 0.01


@pytest.mark.slow
def test_many_machines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    book = nbformat.read(_FOLDER / "04-many-machines.ipynb", 4)
    answer = _answer(book, _QUESTION_OF_MANY_MACHINES, tmp_path)
    assert answer["free"] == {"started": False}
    assert answer["names"] == ["run", "width 16", "width 256"]
    for curve in (*answer["curves"], answer["followed"]):
        assert curve["stop_reason"] in {"completed", "diverged"}
        assert len(curve["losses"]) > 50
        # Random guesses have log(10) = 2.3; a linear model of pixels soon has far less.
        assert min(curve["losses"]) < 1
    assert answer["race"] == sorted(answer["race"])
    assert len(answer["race"]) >= 3
    assert 1e-4 < answer["values"][0] < 1
    assert answer["values"][1] == picked(answer["suggestion"])
    assert answer["followed"] == answer["recorded"]
    streams = [
        output["text"]
        for cell in book.cells[:-1]
        for output in cell.get("outputs", [])
        if output["output_type"] == "stream"
    ]
    assert [text.partition(" ")[0] for text in streams] == ["Writing"]


def _answer(book: Any, question: str, folder: Path) -> Any:
    """Run a notebook and then a question in a folder, and return the answer."""
    book.cells.append(nbformat.v4.new_code_cell(question))
    client = NotebookClient(book, resources={"metadata": {"path": str(folder)}})
    client.execute()
    return json.loads(book.cells[-1].outputs[0]["text"])
