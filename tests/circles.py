#!/usr/bin/env python3
"""Finds circles of imports between the modules of each crate, and fails if there are any.

A module is a file below src; `mod.rs` and `name.rs` beside `name/` count as the folder's head. A head declares its
parts and hands their items on: an edge between a head and its own parts is no circle by itself.
"""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
USE = re.compile(r"\b(?:use\s+)?((?:crate|super)(?:::\w+)+)(?:::\{([^{}]*)\})?", re.S)


def modules(src):
    """Path of the module -> file."""
    found = {}
    for file in sorted(src.rglob("*.rs")):
        parts = list(file.relative_to(src).with_suffix("").parts)
        if parts[-1] in ("mod", "lib", "main"):
            parts.pop()
        found[tuple(parts)] = file
    return found


def code(text):
    """Without comments and unit tests, which may import what they like."""
    text = re.sub(r"//[^\n]*", "", text)
    return text.split("#[cfg(test)]\nmod tests")[0]


def longest(path, known):
    """The module that a path of names leads to."""
    for length in range(len(path), 0, -1):
        if tuple(path[:length]) in known:
            return tuple(path[:length])
    return None


def edges(known):
    graph = {}
    for own, file in known.items():
        graph[own] = set()
        for path, group in USE.findall(code(file.read_text())):
            names = path.split("::")
            base = [] if names[0] == "crate" else list(own[:-1])
            names = names[1:]
            while names and names[0] == "super":
                base, names = base[:-1], names[1:]
            for last in [part.split("::") for part in re.split(r"[,\s]+", group) if part] or [[]]:
                target = longest(base + names + last, known)
                if target and target != own and target != own[: len(target)] and own != target[: len(own)]:
                    graph[own].add(target)
    return graph


def circles(graph):
    """Strongly connected modules (Tarjan)."""
    index, low, stack, found = {}, {}, [], []

    def visit(node):
        index[node] = low[node] = len(index)
        stack.append(node)
        for target in sorted(graph[node]):
            if target not in index:
                visit(target)
                low[node] = min(low[node], low[target])
            elif target in stack:
                low[node] = min(low[node], index[target])
        if low[node] == index[node]:
            group = []
            while True:
                group.append(stack.pop())
                if group[-1] == node:
                    break
            if len(group) > 1:
                found.append(sorted(group))

    for node in sorted(graph):
        if node not in index:
            visit(node)
    return found


def main():
    bad = 0
    for src in [ROOT / "src", *sorted(ROOT.glob("crates/*/src"))]:
        graph = edges(modules(src))
        for group in circles(graph):
            bad += 1
            print(f"{src.relative_to(ROOT)}: these import each other in a circle:")
            for node in group:
                inside = sorted("::".join(t) for t in graph[node] if t in group)
                print(f"  {'::'.join(node)} -> {', '.join(inside)}")
    sys.exit(1 if bad else 0)


main()
