from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from lrwidget import LRCurve

_DOCUMENT = (Path(__file__).parents[3] / "docs" / "many-processes.md").read_text()


def test_the_script_of_the_documents(tmp_path: Path) -> None:
    (script,) = re.findall(r"^```py\n(.*?)^```", _DOCUMENT, re.MULTILINE | re.DOTALL)
    assert len([line for line in script.splitlines() if line]) == 12
    (tmp_path / "find_lr.py").write_text(script)
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    # Torch 2.13 may abort at the very end of a process that has used gloo, whoever
    # did, so that its exit status tells nothing.
    found = subprocess.run(
        [sys.executable, *launch, "find_lr.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    curve = LRCurve.load(tmp_path / "run.jsonl")
    assert curve.stop_reason in {"completed", "diverged"}
    suggestion = f"{curve.suggest():.3g}"
    for rank in range(2):
        assert f"rank {rank} suggests {suggestion}" in found.stdout, found.stderr
