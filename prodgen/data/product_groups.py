"""Which images show one product, and which products are joined because they look the same.

A product is a group of the source, such as a sku. An image without a group is its own product, and
so are its exact copies. Two products are joined where they share a picture or have near duplicates.
At most MAX_JOINED_PRODUCTS are joined: a chain of pairs would merge things that look different. A
picture that more products share, such as a size chart, joins none.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterator, Sequence

import numpy as np

from prodgen.data.duplicates import NearDuplicates

MAX_JOINED_PRODUCTS = 20


@dataclasses.dataclass(frozen=True)
class Products:
    """The products of N images.

    number: int64 [N], the product of each image; key: uint8 [P, 32], a hash of each product;
    cluster: int64 [N], the joined group of each image's product; num_skipped_joins: pairs of
    products that are alike and not joined.
    """

    number: np.ndarray
    key: np.ndarray
    cluster: np.ndarray
    num_skipped_joins: int = 0

    def restrict(self, is_selected: np.ndarray) -> Products:
        """The products of the selected images, bool [N]."""
        number, cluster = self.number[is_selected], self.cluster[is_selected]
        return dataclasses.replace(self, number=number, cluster=cluster)


def find_products(hashes: np.ndarray, groups: Sequence[str | None]) -> Products:
    """The products of images with content hashes uint8 [N, 32] and groups [N]; none are joined."""
    keys = hashes.copy()
    for row, group in enumerate(groups):
        if group:
            name = b"product\0" + group.encode("utf-8", "surrogatepass")
            keys[row] = np.frombuffer(hashlib.sha256(name).digest(), np.uint8)
    key, number = np.unique(keys, axis=0, return_inverse=True)
    number = number.reshape(-1)
    return Products(number, key, number)


def join_products(
    products: Products, hashes: np.ndarray, near: NearDuplicates, is_own: np.ndarray
) -> Products:
    """The products joined by the pictures of `is_own` rows, bool [N].

    Exact copies join first, then near duplicates, the most alike first.
    """
    _, content = np.unique(hashes, axis=0, return_inverse=True)
    content = content.reshape(-1)
    exact_edges, num_skipped = _find_exact_edges(products.number[is_own], content[is_own])
    near_edges = _find_near_edges(products.number, content, near, is_own)
    parents = list(range(len(products.key)))
    sizes = [1] * len(parents)

    def find_root(node: int) -> int:
        while parents[node] != node:
            parents[node] = parents[parents[node]]
            node = parents[node]
        return node

    for left, right in [*exact_edges, *near_edges]:
        left, right = find_root(left), find_root(right)
        if left == right:
            continue
        if sizes[left] + sizes[right] > MAX_JOINED_PRODUCTS:
            num_skipped += 1
            continue
        parents[right] = left
        sizes[left] += sizes[right]
    roots = np.array([find_root(node) for node in range(len(parents))], np.int64)
    return dataclasses.replace(
        products, cluster=roots[products.number], num_skipped_joins=num_skipped
    )


def _find_exact_edges(number: np.ndarray, content: np.ndarray) -> tuple[list[tuple[int, int]], int]:
    """Pairs of products that share a picture, and how many pairs more a common picture makes."""
    content, number = np.unique(np.stack([content, number], axis=1), axis=0).T
    # How many products show each picture.
    counts = np.bincount(content)
    is_next = content[1:] == content[:-1]
    is_common = counts[content[1:]] > MAX_JOINED_PRODUCTS
    edges = np.stack([number[:-1], number[1:]], axis=1)[is_next & ~is_common]
    return list(map(tuple, edges.tolist())), int((is_next & is_common).sum())


def _find_near_edges(
    number: np.ndarray, content: np.ndarray, near: NearDuplicates, is_own: np.ndarray
) -> Iterator[tuple[int, int]]:
    """Pairs of different products with near duplicates, each once, the most alike first."""
    is_edge = is_own[near.pairs].all(axis=1)
    is_edge &= number[near.pairs[:, 0]] != number[near.pairs[:, 1]]
    pairs, difference = near.pairs[is_edge], near.difference[is_edge]
    # Ties are broken by content, so that the order of the files does not matter.
    low, high = np.sort(content[pairs], axis=1).T
    edges = np.sort(number[pairs], axis=1)[np.lexsort((high, low, difference))]
    _, first = np.unique(edges, axis=0, return_index=True)
    return map(tuple, edges[np.sort(first)].tolist())
