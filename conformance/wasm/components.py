"""
Strongly connected components of a graph, without recursion.

Source: R. Tarjan, "Depth-first search and linear graph algorithms", 1972.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence


def components(successors: Sequence[Sequence[int]]) -> Iterator[list[int]]:
    """
    Components of the nodes 0 to n-1, each after all that it leads to.
    """
    count = len(successors)
    index = [0] * count
    """When a node was first seen, from 1; 0 for not yet."""
    low = [0] * count
    waiting = [False] * count
    stack: list[int] = []
    seen = 0
    for root in range(count):
        if index[root]:
            continue
        walk = [(root, iter(successors[root]))]
        seen += 1
        index[root] = low[root] = seen
        waiting[root] = True
        stack.append(root)
        while walk:
            node, rest = walk[-1]
            for target in rest:
                if not index[target]:
                    seen += 1
                    index[target] = low[target] = seen
                    waiting[target] = True
                    stack.append(target)
                    walk.append((target, iter(successors[target])))
                    break
                if waiting[target]:
                    low[node] = min(low[node], index[target])
            else:
                walk.pop()
                if walk:
                    low[walk[-1][0]] = min(low[walk[-1][0]], low[node])
                if low[node] == index[node]:
                    yield _popped(stack, waiting, node)


def _popped(stack: list[int], waiting: list[bool], node: int) -> list[int]:
    """
    Take everything above *node* off the stack, and *node* itself.
    """
    found = []
    while True:
        top = stack.pop()
        waiting[top] = False
        found.append(top)
        if top == node:
            return found
