"""A graph of facts, written by people as lines, that answers plain questions.

::

    # what is what
    X200 | is a | headphones
    X200 | also called | 小蓝耳机
    headphones | warranty | 1 year

    # how relations are asked for, and how they are told
    warranty | also called | 保修
    warranty | said as | The warranty of {subject} is {object}.

`read_graph` reads and checks them, `Graph.ask` answers from them and names the facts it used.
"""

from tailorbird.knowledge.graph.asking import FactAnswer
from tailorbird.knowledge.graph.facts import Triple
from tailorbird.knowledge.graph.graph import Graph, read_graph

__all__ = ["FactAnswer", "Graph", "Triple", "read_graph"]
