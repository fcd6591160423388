"""The files that gate `shard` judges, and gate `recaption` before it."""

from dataclasses import replace

from pipeline.paragraph_steps import kept_files, paragraph_files
from pipeline.score_steps import score_files
from pipeline.state import RunState
from pipeline.text_model_steps import model_scores, paragraph_score_file
from transforms import assign


def caption_files(state: RunState, name: str) -> assign.AssignFiles:
    """What gates see of the captions of an extract part: all but the scores of paragraphs."""
    documents, nodes, captions, texts = (
        state.file("candidates", f"candidates-{name}", f"candidates_{table}")
        for table in ("documents", "nodes", "captions", "texts")
    )
    return assign.AssignFiles(
        part=name,
        documents=documents,
        nodes=nodes,
        captions=captions,
        texts=texts,
        clusters=kept_files(state, name).clusters,
        paragraphs=paragraph_files(state, name),
        models=model_scores(state, name),
        scores=score_files(state, name),
    )


def assign_files(state: RunState, name: str) -> assign.AssignFiles:
    """What gate `shard` judges of an extract part."""
    return replace(caption_files(state, name), paragraph_scores=paragraph_score_file(state, name))
