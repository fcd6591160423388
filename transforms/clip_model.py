"""CLIP models of open_clip: images and texts into one space, by batches that fit the device.

`ClipModelHandler` is Beam's interface to them, for whoever wants to put one into `RunInference`.
Inside a part of stage `score` the same model is fed by hand (`score_images.py`, `score_texts.py`).
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from apache_beam.ml.inference.base import ModelHandler, PredictionResult
from PIL import Image

from schemas.errors import EmptyTextError, RecipeError, ScoreError, TextError, TextTooLongError
from transforms.clip_text import (
    MAX_CHARACTERS,
    ClipTokenizer,
    is_causal,
    plain_text,
    pool_windows,
    text_encoder,
    width_needed,
)
from transforms.resize import Pixels, resize, resize_shorter, without_ends
from transforms.scorers.base import EmbeddedTexts, Floats, Scored
from transforms.scorers.clip import RANDOM, ClipConfig, open_clip_names

DRAFT_MARGIN = 2
"""A JPEG may be decoded to this many times the side that the model wants, where drafts are on."""
_FILTERS = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}
_BATCHES = {"cpu": 32, "cuda": 256}


def pick_device() -> str:
    """`cuda` where there is a GPU, else `cpu`."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def load_clip(config: ClipConfig) -> "ClipModel":
    """A model, ready to embed.

    Raises:
        RecipeError: No such model or weights, or files that are something else.
    """
    import open_clip
    import torch

    device = pick_device()
    if device == "cpu":
        # Workers are processes, one a core; and a sum must not depend on the number of threads.
        torch.set_num_threads(1)
    name, weights = open_clip_names(config)
    is_random = weights == RANDOM
    if is_random:
        torch.manual_seed(0)
    try:
        model = open_clip.create_model(
            name,
            pretrained=None if is_random else weights,
            precision=config.precision,
            device=device,
            require_pretrained=not is_random,
            # A checkpoint comes from strangers: tensors only, no pickled code.
            weights_only=True,
        )
        tokenizer = open_clip.get_tokenizer(name)
    except Exception as error:  # anything, of files that are no model
        raise RecipeError(
            f"model {config.model!r}, pretrained {weights!r}: cannot be loaded by open_clip: "
            f"{type(error).__name__}: {str(error)[:300]}"
        ) from error
    model.eval()
    for weight in model.parameters():
        weight.requires_grad_(False)
    return ClipModel(config, model, tokenizer, device)


class ClipModel:
    """A loaded model: an `ImageModel` and a `TextModel` of `scorers/base.py`."""

    def __init__(self, settings: ClipConfig, model: Any, tokenizer: Any, device: str) -> None:
        import open_clip
        import torch
        from open_clip.transform import PreprocessCfg, image_transform_v2

        self._model = model
        self._device = device
        self._pools = settings.long_texts == "pool"
        self.batch = settings.batch or _BATCHES[device]
        config = PreprocessCfg(**open_clip.get_model_preprocess_cfg(model))
        self._resize = image_transform_v2(config, is_train=False).transforms[:-2]
        sides = config.size if isinstance(config.size, tuple | list) else (config.size, config.size)
        by_shorter_side = config.resize_mode in ("shortest", "squash")
        self._crops = config.resize_mode == "shortest"
        self._fit = _fitter(config.resize_mode, sides, config.interpolation)
        self.side = DRAFT_MARGIN * max(sides) if settings.draft and by_shorter_side else 0
        self._dtype = next(model.visual.parameters()).dtype
        shape = (1, 3, 1, 1)
        self._mean = torch.tensor(config.mean, device=device).view(shape)
        self._std = torch.tensor(config.std, device=device).view(shape)
        context = getattr(model, "context_length", None) or tokenizer.context_length
        self._tokenizer = ClipTokenizer(tokenizer, context)
        self._is_causal = is_causal(model)
        self._encode_text = text_encoder(model)
        self._encode_image: Callable[[Any], Any] = lambda x: model.encode_image(x, normalize=True)
        if settings.compile:
            self._encode_image = torch.compile(self._encode_image)
            self._encode_text = torch.compile(self._encode_text, dynamic=True)

    # --- images

    def prepare(self, picture: Image.Image) -> Pixels:
        """Resize and crop as open_clip does; shape (height, width, 3). The rest is the device's.

        Raises:
            ScoreError: A strip so long that nothing of its shorter side is left.
        """
        if self._fit is not None and picture.mode == "RGB":
            return self._fit(picture)
        if self._crops:
            picture = without_ends(picture)
        try:
            for step in self._resize:
                picture = step(picture)
        except ValueError as error:
            raise ScoreError(f"a picture of {picture.size}: {error}") from error
        return np.asarray(picture)

    def begin(self, prepared: Sequence[npt.NDArray[np.uint8]]) -> Any:
        """Send a batch to the device, and come back before it is done where the device allows."""
        import torch

        pixels = torch.from_numpy(np.stack(prepared))
        if self._device == "cuda":
            pixels = pixels.pin_memory()
        return self._in_batches(pixels, self._embed_pixels)

    def finish(self, begun: Any) -> Scored:
        """The embeddings of a batch that was begun."""
        return Scored(vectors=begun.float().cpu().numpy())

    def _embed_pixels(self, pixels: Any) -> Any:
        pixels = pixels.to(self._device, non_blocking=True).permute(0, 3, 1, 2)
        # As ToTensor and Normalize of torchvision, once a batch instead of once an image.
        pixels = (pixels.float() / 255 - self._mean) / self._std
        return self._encode_image(pixels.to(self._dtype))

    def _in_batches(self, items: Any, embed: Callable[[Any], Any]) -> Any:
        """Embed items; where memory runs out go on with batches of half the size."""
        import torch

        done = []
        start = 0
        with torch.inference_mode():
            while start < len(items):
                stop = min(start + self.batch, len(items))
                try:
                    done.append(embed(items[start:stop]))
                except torch.OutOfMemoryError:
                    if self.batch == 1:
                        raise
                    self.batch = max(1, min(self.batch, stop - start) // 2)
                    if self._device == "cuda":
                        torch.cuda.empty_cache()
                    continue
                start = stop
            return torch.cat(done)

    # --- texts

    def embed_texts(self, texts: Sequence[str]) -> EmbeddedTexts:
        """Embed texts of any length. Those without a token of their own get no embedding."""
        # Nobody tokenizes what is too long to be a caption: it counts as its first characters.
        plain = [plain_text(text[:MAX_CHARACTERS]) for text in texts]
        tokens = self._tokenizer.count(plain)
        pieces: list[str] = []
        owners: list[int] = []
        weights: list[int] = []
        problems: list[TextError | None] = []
        for row, (text, count) in enumerate(zip(plain, tokens, strict=True)):
            found = [text] if count <= self._tokenizer.context_length else []
            if not found and len(texts[row]) <= MAX_CHARACTERS and self._pools:
                found = self._tokenizer.windows(text)
            problem: TextError | None = None
            if count <= self._tokenizer.empty:
                found, problem = [], EmptyTextError("nothing in it that the model sees")
            elif not found:
                problem = TextTooLongError(
                    f"{count} tokens, where the model takes {self._tokenizer.context_length}"
                )
            pieces += found
            owners += [row] * len(found)
            weights += [count] if len(found) == 1 else self._tokenizer.count(found)
            problems.append(problem)
        vectors = self._embed_pieces(pieces)
        rows = np.asarray(owners, np.intp)
        pooled = pool_windows(vectors, rows, weights, len(texts))
        windows = np.bincount(rows, minlength=len(texts)).tolist()
        return EmbeddedTexts(pooled, tokens, windows, problems)

    def _embed_pieces(self, pieces: Sequence[str]) -> Floats:
        import torch

        if not pieces:
            return np.zeros((0, 1), np.float32)
        ids = self._tokenizer.ids(pieces)
        widths = (
            width_needed(ids, self._model) if self._is_causal else np.full(len(ids), ids.shape[1])
        )
        order = np.argsort(widths, kind="stable")
        done: list[Any] = []
        # The batch may be halved on the way; what is cut to one width stays together all the same.
        step = self.batch
        for start in range(0, len(order), step):
            rows = order[start : start + step]
            cut = torch.from_numpy(ids[rows][:, : int(widths[rows].max())]).to(self._device)
            done.append(self._in_batches(cut, self._encode_text).float().cpu().numpy())
        vectors = np.concatenate(done)
        sorted_back: Floats = np.empty_like(vectors)
        sorted_back[order] = vectors
        return sorted_back


def _fitter(
    mode: str, size: Sequence[int], interpolation: str
) -> Callable[[Image.Image], Pixels] | None:
    """What does the same as the steps of open_clip, faster; None for steps that are rare."""
    resample = _FILTERS.get(interpolation)
    height, width = size
    if resample is None:
        return None
    if mode == "squash":
        return lambda picture: resize(picture, (width, height), resample)
    if mode == "shortest" and height == width:
        return lambda picture: resize_shorter(picture, width, resample)
    return None


class ClipModelHandler(ModelHandler[Any, PredictionResult, ClipModel]):
    """Beam's handler of a model: upright RGB pictures or texts in, normalised embeddings out.

    A batch may hold both; `inference` is a float32 vector, or NaN for a text that has no token.
    """

    def __init__(self, config: ClipConfig) -> None:
        super().__init__()
        self._config = config

    def load_model(self) -> ClipModel:
        """Beam's hook: once a process."""
        return load_clip(self._config)

    def run_inference(
        self, batch: Sequence[Any], model: ClipModel, inference_args: Any = None
    ) -> Iterator[PredictionResult]:
        """Beam's hook."""
        del inference_args
        is_text = [isinstance(item, str) for item in batch]
        texts = [item for item, text in zip(batch, is_text, strict=True) if text]
        images = [
            model.prepare(item) for item, text in zip(batch, is_text, strict=True) if not text
        ]
        of_texts = iter(model.embed_texts(texts).vectors if texts else ())
        vectors = model.finish(model.begin(images)).vectors if images else None
        of_images = iter(vectors if vectors is not None else ())
        for item, text in zip(batch, is_text, strict=True):
            yield PredictionResult(item, next(of_texts) if text else next(of_images))

    def get_metrics_namespace(self) -> str:
        """Beam's hook."""
        return "score"
