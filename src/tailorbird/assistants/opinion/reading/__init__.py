"""What a post says: its topics, its sentiment, and how it speaks of each whom it names.

`open_reader` loads the model in use, `write_reader` makes one of a tuned model of the task `joint`,
`Judge` fills posts in, `correct` lets a person's word win, `training_rows` makes rows of all such
words, and `Proposer` finds topics that nobody has named yet.
"""

from tailorbird.assistants.opinion.reading.correcting import correct, training_rows
from tailorbird.assistants.opinion.reading.judging import Judge
from tailorbird.assistants.opinion.reading.keeping import open_reader, write_reader
from tailorbird.assistants.opinion.reading.proposing import Proposer
from tailorbird.assistants.opinion.reading.reader import Reading, Reads

__all__ = [
    "Judge",
    "Proposer",
    "Reading",
    "Reads",
    "correct",
    "open_reader",
    "training_rows",
    "write_reader",
]
