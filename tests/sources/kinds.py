"""One file of each kind, with what it holds: the material of the laws that all sources obey."""

import h5py
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from mcdrop.sources import ImageOptions

ROWS = 23


def matrix(rows=ROWS, width=3, dtype="float64"):
    return np.random.default_rng(0).normal(size=(rows, width)).astype(dtype)


def keywords(rows=ROWS):
    return {"a": matrix(rows, 2, "float32"), "b": np.arange(rows), "c": np.arange(rows) % 2 == 0}


def hdf5(folder, rows):
    x = matrix(rows, 4, "float32").reshape(rows, 1, 2, 2)
    with h5py.File(folder / "x.h5", "w") as file:
        file.create_dataset("group/x", data=x, chunks=(5, 1, 1, 2), compression="gzip")
        file["y"] = np.arange(rows)
    return f"{folder / 'x.h5'}::group/x", {}, x


def hdf5_big_endian(folder, rows):
    x = matrix(rows)
    with h5py.File(folder / "x.nc", "w") as file:
        file["x"] = x.astype(">f8")
        file["notes"] = ["text"] * rows
    return folder / "x.nc", {}, x


def hdf5_keywords(folder, rows):
    with h5py.File(folder / "x.hdf5", "w") as file:
        for name, array in keywords(rows).items():
            file[name] = array
    return folder / "x.hdf5", {}, keywords(rows)


def npy(folder, rows):
    np.save(folder / "x.npy", matrix(rows).astype(">f4"))
    return folder / "x.npy", {}, matrix(rows, dtype="float32")


def npy_fortran(folder, rows):
    np.save(folder / "x.npy", np.asfortranarray(matrix(rows)))
    return folder / "x.npy", {}, matrix(rows)


def npy_one_axis(folder, rows):
    np.save(folder / "x.npy", np.arange(rows))
    return folder / "x.npy", {}, np.arange(rows)


def npz(folder, rows):
    np.savez(folder / "x.npz", matrix(rows))
    return folder / "x.npz", {}, matrix(rows)


def npz_part(folder, rows):
    np.savez_compressed(folder / "x.npz", **keywords(rows))
    return f"{folder / 'x.npz'}::a", {}, keywords(rows)["a"]


def npz_keywords(folder, rows):
    np.savez_compressed(folder / "x.npz", **keywords(rows))
    return folder / "x.npz", {}, keywords(rows)


def frame(rows):
    table = pd.DataFrame(matrix(rows), columns=["a", "b", "c"])
    return table.assign(name=[f"row, {i}\nof many" for i in range(rows)])


def csv(folder, rows):
    frame(rows).to_csv(folder / "x.csv", index=False)
    return folder / "x.csv", {"columns": ["c", "a"]}, matrix(rows)[:, [2, 0]]


def csv_gzipped(folder, rows):
    frame(rows).drop(columns="name").to_csv(folder / "x.CSV.gz", index=False)
    return folder / "x.CSV.gz", {}, matrix(rows)


def tsv(folder, rows):
    frame(rows).to_csv(folder / "x.tsv", index=False, sep="\t")
    return folder / "x.tsv", {"columns": ["b"]}, matrix(rows)[:, [1]]


def parquet(folder, rows):
    pq.write_table(pa.Table.from_pandas(frame(rows)), folder / "x.parquet", row_group_size=5)
    return folder / "x.parquet", {"columns": ("c", "a")}, matrix(rows)[:, [2, 0]]


def parquet_list(folder, rows):
    x = matrix(rows, 4, "float32")
    pq.write_table(pa.table({"x": list(x)}), folder / "x.pq", row_group_size=7)
    return folder / "x.pq", {}, x


def parquet_keywords(folder, rows):
    arrays = keywords(rows)
    lists = pa.FixedSizeListArray.from_arrays(pa.array(arrays["a"].ravel()), 2)
    table = pa.table({"a": lists, "b": arrays["b"], "c": arrays["c"]})
    pq.write_table(table, folder / "x.parquet", row_group_size=4)
    return folder / "x.parquet", {}, arrays


def images(folder, rows):
    (folder / "x").mkdir()
    pixels = np.random.default_rng(1).integers(0, 256, (rows, 4, 5, 3), np.uint8)
    for row in range(rows):
        Image.fromarray(pixels[row]).save(folder / "x" / f"img{row}.png")
    whole = pixels.transpose(0, 3, 1, 2) / np.float32(255)
    return folder / "x", {"image": ImageOptions(mean=(0.5,) * 3)}, (whole - np.float32(0.5)).astype(np.float32)


KINDS = [
    hdf5,
    hdf5_big_endian,
    hdf5_keywords,
    npy,
    npy_fortran,
    npy_one_axis,
    npz,
    npz_part,
    npz_keywords,
    csv,
    csv_gzipped,
    tsv,
    parquet,
    parquet_list,
    parquet_keywords,
    images,
]
