"""Cleaning and counting words; imported by `local_module.ipynb`."""

import re

WORD = re.compile(r"[a-z']+")
STOP = {"a", "an", "and", "as", "by", "in", "is", "it", "of", "on", "or", "that", "the", "to", "with"}


def words(text):
    """The words of a text in lower case, without the commonest ones."""
    return [w for w in WORD.findall(text.lower()) if w not in STOP]


def frequencies(texts):
    """How often each word occurs in all the texts together."""
    counts = {}
    for text in texts:
        for word in words(text):
            counts[word] = counts.get(word, 0) + 1
    return counts
