"""Writes NAME.bin for every format: two rows of 1024 values from a `dequant.npz` of gguf-py.

Usage: python3 make.py path/to/dequant.npz
NAME.bin = the quantised bytes, then their 2048 values as little-endian float32.
"""
import pathlib
import sys

import numpy

golden = numpy.load(sys.argv[1])
folder = pathlib.Path(__file__).parent
formats = (folder / "../../src/format").glob("*/mod.rs")
names = sorted(path.parent.name.upper() for path in formats if path.parent.name != "f32")
source = golden["source_f32"][:2].astype("<f4").tobytes()
(folder / "f32.bin").write_bytes(source + source)
for name in names:
    values = golden[f"{name}.f32"][:2].astype("<f4")
    (folder / f"{name.lower()}.bin").write_bytes(golden[f"{name}.bytes"][:2].tobytes() + values.tobytes())
