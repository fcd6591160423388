"""What a run tells while it runs: a line of JSON a log interval, TensorBoard, a progress line."""

import json
import os
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from trainer.config import TrainConfig
from trainer.loop.step import StepResult

LOG, BAD_LOG = "metrics.jsonl", "bad_samples.jsonl"
PEAK_FLOPS = {"H100": 989e12, "H200": 989e12, "A100": 312e12, "B200": 2250e12}
"""Dense bf16 operations a second, by what the device's name contains (NVIDIA's data sheets)."""


def peak_flops(device_name: str) -> float | None:
    """Of a GPU by its name; None where it is not known."""
    for part, peak in PEAK_FLOPS.items():
        if part in device_name:
            return peak
    return None


@dataclass
class Window:
    """Steps since the last line."""

    results: list[StepResult] = field(default_factory=list)

    def summary(
        self, config: TrainConfig, names: list[str], ranks: int, peak: float | None
    ) -> dict[str, Any]:
        """One line of the log.

        Mean losses are over tokens. `fill` is the share of places that are no padding, `labels`
        that of places that carry loss. `image_balance` is the mean over the greatest number of
        images a rank, 1 where all have as many.
        """
        last = self.results[-1]
        seconds = sum(each.seconds for each in self.results)
        packs = len(self.results) * config.data.global_batch
        places = packs * config.data.sequence_length
        sources: dict[str, dict[str, float | int | None]] = {}
        totals: Counter[str] = Counter()
        for number, name in enumerate(names):
            rows = [each.sources[number] for each in self.results]
            labels = sum(row.labels for row in rows)
            here = {
                "packs": sum(row.packs for row in rows),
                "tokens": sum(row.tokens for row in rows),
                "images": sum(row.images for row in rows),
            }
            totals.update(here)
            totals["labels"] += labels
            loss = sum(row.loss for row in rows) / labels if labels else None
            sources[name] = {"loss": loss, **here}
        loss_sum = sum(row.loss for each in self.results for row in each.sources)
        most = sum(each.most_images for each in self.results)
        line: dict[str, Any] = {
            "step": last.step + 1,
            "loss": loss_sum / totals["labels"],
            "gradient_norm": last.gradient_norm,
            "pace": last.pace,
            "seconds_a_step": seconds / len(self.results),
            "tokens_a_second": totals["tokens"] / seconds,
            "images_a_second": totals["images"] / seconds,
            "data_wait": sum(each.data_seconds for each in self.results) / seconds,
            "fill": totals["tokens"] / places,
            "labels": totals["labels"] / places,
            "image_balance": totals["images"] / (ranks * most) if most else None,
            "flops_a_second": sum(each.flops for each in self.results) / seconds,
            "sources": sources,
        }
        if peak is not None:
            line["mfu"] = line["flops_a_second"] / (peak * ranks)
        return line


def keep_lines(path: Path, is_kept: Callable[[dict[str, Any]], bool]) -> None:
    """Rewrite a log with some of its lines; one that a killed run was writing is dropped."""
    if not path.is_file():
        return
    kept = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            if is_kept(json.loads(line)):
                kept.append(line)
        except (ValueError, KeyError):
            continue
    temporary = path.with_suffix(".new")
    temporary.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")
    os.replace(temporary, path)


class Reporter:
    """Writes the lines of the first rank."""

    def __init__(self, folder: Path, config: TrainConfig, names: list[str], quiet: bool) -> None:
        from tensorboardX import SummaryWriter

        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / LOG
        self._bad_path = folder / BAD_LOG
        self._names = names
        self._steps = config.optimizer.steps
        self._quiet = quiet
        self._board: Any = SummaryWriter(logdir=str(folder / "tensorboard"))

    def rewind(self, step: int) -> None:
        """Drop lines of steps that will be done again."""
        keep_lines(self._path, lambda line: line["step"] <= step)
        # A bad sample is noted with its step's number from 0, a line with the steps done.
        keep_lines(self._bad_path, lambda line: line["step"] < step)

    def write(self, line: dict[str, Any], bad: list[dict[str, Any]]) -> None:
        """One line of the log, to the file, to TensorBoard, to the terminal; and bad samples."""
        for path, lines in ((self._path, [line]), (self._bad_path, bad)):
            if lines:
                with path.open("a", encoding="utf-8") as file:
                    file.writelines(json.dumps(each) + "\n" for each in lines)
        step = line["step"]
        for name, value in line.items():
            if isinstance(value, int | float) and name != "step":
                self._board.add_scalar(name, value, step)
        for name, found in line["sources"].items():
            if found["loss"] is not None:
                self._board.add_scalar(f"loss_of/{name}", found["loss"], step)
        if not self._quiet:
            self._show(line)

    def _show(self, line: dict[str, Any]) -> None:
        left = (self._steps - line["step"]) * line["seconds_a_step"]
        parts = [
            f"step {line['step']}/{self._steps}",
            f"loss {line['loss']:.3f}",
            *(
                f"{name} {found['loss']:.3f}"
                for name, found in line["sources"].items()
                if found["loss"] is not None
            ),
            f"{line['tokens_a_second']:,.0f} tokens/s",
            f"{line['images_a_second']:,.0f} images/s",
            f"wait {line['data_wait']:.1%}",
        ]
        if "mfu" in line:
            parts.append(f"MFU {line['mfu']:.1%}")
        parts.append(f"{left / 60:.0f} min left" if left > 90 else f"{left:.0f} s left")
        live = sys.stderr.isatty()
        print("\r" + " | ".join(parts) if live else " | ".join(parts),
              end="\033[K" if live else "\n", file=sys.stderr, flush=True)  # fmt: skip

    def close(self) -> None:
        """End the line and the files."""
        self._board.close()
        if not self._quiet and sys.stderr.isatty():
            print(file=sys.stderr)
