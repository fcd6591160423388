"""The demo crawl: a small seeded web, generated, with its ground truth."""

from pipeline.demo.generate import generate_demo_crawl
from pipeline.demo.truth import DemoTruth, read_truth

__all__ = ["DemoTruth", "generate_demo_crawl", "read_truth"]
