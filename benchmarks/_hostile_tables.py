"""Damaged tables for hostile.py: seeds of many kinds, their damage, and the three readers."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from prodgen.core.errors import ProdgenError
from prodgen.data import history, table
from prodgen.editing import batch_requests

NUM_IMAGES = 30
PRODUCTS = {"mug-1": 0, "hat-2": 1}
EVENTS = {"viewed": 0.3, "bought": 1.0}
ROWS = "".join(
    f'{n}.png,{"hat" if n % 2 else "bag"},"{n},5","€ {n},90","{n * 1000:,}",{n % 20} %,s{n // 2}\n'
    for n in range(NUM_IMAGES)
)
SHOPIFY = "".join(
    f"cap{n // 3},{'' if n % 3 else 'Cap'},{'' if n % 3 else 'Apparel > Hats'},Colour,c{n},"
    f"https://x.com/{n}.png?v=1\n"
    for n in range(NUM_IMAGES)
)
WOOCOMMERCE = "".join(
    f'{n},simple,"Clothing > Hats, Sale","https://x.com/{n}.png, https://x.com/{n + 1}.png",Size,'
    f"{n}\n"
    for n in range(0, NUM_IMAGES, 2)
)
SEEDS = {  # by file name: the content, and how many of its images are found
    "products.csv": (f"image,category,weight (kg),price,stock,discount,sku\n{ROWS}".encode(), 30),
    "spreadsheet.csv": (f"sep=,\nimage,category,a,b,c,d,e\n{ROWS}".encode("utf-16"), 30),
    "latin.csv": ("image;título\n1.png;\"Größe &reg; 5\"\n2.png;Häkel\n".encode("cp1252"), 2),
    "shopify.csv": (
        f"Handle,Title,Product Category,Option1 Name,Option1 Value,Image Src\n"
        f"{SHOPIFY}".encode(), 30
    ),
    "woocommerce.csv": (
        "ID,Type,Categories,Images,Attribute 1 name,Attribute 1 value(s)\n"
        f"{WOOCOMMERCE}".encode(), 30
    ),
    "feed.txt": (
        b"id\timage_link\tadditional_image_link\tprice\titem_group_id\n"
        b"a\thttps://x.com/1.png\thttps://x.com/2.png,https://x.com/3.png\t15.00 USD\tG1\n", 3
    ),
    "lines.jsonl": (
        b"".join(b'{"image": "%d.png", "price": %d.5, "tags": ["a"], "n": null}\n' % (n, n)
                 for n in range(20)), 20
    ),
    "array.json": (b'[{"image": "1.png", "x": 1}, {"image": "2.png", "x": 2}]', 2),
    "history.csv": (b"product,event,weight,person\nmug-1,bought,,ann\n1,viewed,\"0,5\",ann\n", 1),
    "requests.csv": (b"Name;Category;Count;Seed\nhats;Hat;2,0;1.0\n;Shoes;;\n", 0),
}  # fmt: skip
INSERTIONS = (
    b'"', b",", b";", b"\n", b"\t", b"\0", b"\xff\xfe", b"\xef\xbb\xbf", b'"\n"', b"\r", b"1e999",
    b"-" * 50, b"NaN", b"[", b"{", b"\\u0000", b"&#x110000;", b"&#55555;", "１２".encode(),
    b"\xed\xa0\x80", b"https://[", b"../" * 30, b"C:\\", b"=cmd()", b"(" * 70,
)  # fmt: skip
FLOODS = (
    b"x" * 200_000,
    b"," * 5000,
    b"[" * 3000,
    b"9" * 500,
    b"\n" * 5000,
    b'"' * 999,
    b" (" * 4000,
)


def mutate(content: bytes, other: bytes, rng: np.random.Generator) -> bytes:
    """The content with one to twenty kinds of damage; `other` is spliced into it."""
    data = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 5, 20))):
        data = data or bytearray(other)
        at = int(rng.integers(len(data)))
        match rng.integers(9):
            case 0:
                data[at] ^= 1 << int(rng.integers(8))
            case 1:
                del data[at:]
            case 2:
                data[at:at] = rng.bytes(int(rng.integers(1, 20)))
            case 3:
                data[at:] = other[int(rng.integers(len(other))) :]
            case 4:
                data[at:at] = INSERTIONS[rng.integers(len(INSERTIONS))]
            case 5:
                data += data[at:] * int(rng.integers(1, 4))
            case 6:
                lines = data.split(b"\n")
                rng.shuffle(lines)
                data = bytearray(b"\n".join(lines))
            case 7:
                data[at:at] = FLOODS[rng.integers(len(FLOODS))]
            case 8:
                old = (b",", b";", b'"', b".png")[rng.integers(4)]
                data = data.replace(old, (b"", b";", b"|", b"\t", b"/", b"..")[rng.integers(6)])
    return bytes(data[:5_000_000])


def write_batch(folder: Path, count: int, rng: np.random.Generator) -> None:
    """The images, every seed undamaged as seed_NAME, and `count` damaged tables."""
    folder.mkdir()
    for n in range(NUM_IMAGES):
        Image.fromarray(np.full((8, 8, 3), n, np.uint8)).save(folder / f"{n}.png")
    names = list(SEEDS)
    for name in names:
        (folder / f"seed_{name}").write_bytes(SEEDS[name][0])
    for number in range(count):
        name, other = (names[rng.integers(len(names))] for _ in range(2))
        content = mutate(SEEDS[name][0], SEEDS[other][0], rng)
        (folder / f"{number:05d}_{name}").write_bytes(content)


def read_batch(path: str) -> None:
    """Read every table of a folder in three ways, and print {"counts", "problems"} as JSON.

    A table is read, or refused by an error that names it; any other exception is a problem.
    """
    counts: dict[str, int] = {}
    problems = []
    readers = {
        "products": lambda file: table.Table(file, 10**6),
        "history": lambda file: history.read(file, EVENTS, PRODUCTS, ""),
        "requests": batch_requests.read_requests,
    }
    for file in sorted(Path(path).iterdir()):
        if file.suffix == ".png":
            continue
        for kind, read in readers.items():
            outcome = "read"
            try:
                result = read(file)
                if kind == "products":
                    result.content(), result.describe(), list(result.stream(0, 2))
                    num_found = sum(not image.refusal for image in result.images)
                    seed = SEEDS.get(file.name.removeprefix("seed_"))
                    if seed and num_found != seed[1]:
                        problems.append(f"{file.name}: {num_found} images of {seed[1]}")
            except ProdgenError as error:
                outcome = "refused"
                if not str(error).isprintable() and "\n" in str(error):
                    problems.append(f"{file.name}: an error of several lines")
            except Exception as error:
                outcome = type(error).__name__
                problems.append(f"{file.name} as {kind}: {outcome}: {str(error)[:100]}")
            counts[f"{kind} {outcome}"] = counts.get(f"{kind} {outcome}", 0) + 1
    json.dump({"counts": counts, "problems": problems}, sys.stdout)
