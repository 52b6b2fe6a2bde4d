"""Make co2.h5: monthly means of the weekly Mauna Loa record that statsmodels ships.

Run `python data/make_co2.py` with the `data` extra installed. The same input always gives the same bytes.
"""

import hashlib
from pathlib import Path

import h5py
import numpy as np
import statsmodels.api as sm
from numpy.typing import NDArray

__all__ = ["monthly_means", "write"]

OUT = Path(__file__).with_name("co2.h5")

UNITS = {
    "decimal_year": ("years", "Middle of the month: year + (month - 0.5) / 12"),
    "year": ("years", "Calendar year"),
    "month": ("1", "Calendar month, 1 to 12"),
    "weeks": ("1", "Number of weekly values in the mean; 0 where the month was interpolated"),
    "co2_ppm": ("ppm (micromol CO2 per mol of dry air)", "Mean of the weekly values dated in this month"),
    "interpolated": ("bool", "True where no week was measured and the value lies on a straight line in time"),
}


def monthly_means() -> dict[str, NDArray[np.generic]]:
    """Average the weekly values by calendar month and fill empty months linearly in time.

    Returns:
        One array of shape (526,) per dataset, March 1958 to December 2001. Means are rounded to 1e-4 ppm,
        far below the 0.1 ppm of the weekly values, so that the order of summation cannot show.
    """
    weekly = sm.datasets.co2.load_pandas().data["co2"].dropna()
    groups = weekly.groupby(weekly.index.year * 12 + weekly.index.month - 1)
    months = np.arange(1958 * 12 + 2, 2001 * 12 + 12)  # March 1958 to December 2001, months since year 0
    mean = groups.mean().reindex(months).to_numpy(dtype=np.float64, copy=True)
    missing = np.isnan(mean)
    mean[missing] = np.interp(months[missing], months[~missing], mean[~missing])
    return {
        "decimal_year": (months + 0.5) / 12,
        "year": (months // 12).astype(np.int32),
        "month": (months % 12 + 1).astype(np.int32),
        "weeks": groups.size().reindex(months, fill_value=0).to_numpy(dtype=np.int32),
        "co2_ppm": np.round(mean, 4),
        "interpolated": missing,
    }


def write(path: Path = OUT) -> str:
    """Write the file in one move and return its sha256."""
    part = path.with_suffix(".part")
    with h5py.File(part, "w", libver="earliest") as file:
        file.attrs["title"] = "Monthly mean CO2 at Mauna Loa, March 1958 to December 2001"
        file.attrs["source"] = "Keeling and Whorf (2004), CDIAC; weekly values as shipped by statsmodels"
        file.attrs["license"] = "public domain"
        for name, values in monthly_means().items():
            dataset = file.create_dataset(name, data=values, track_times=False)
            dataset.attrs["units"], dataset.attrs["description"] = UNITS[name]
    part.replace(path)
    return hashlib.sha256(path.read_bytes()).hexdigest()


if __name__ == "__main__":
    print(write(), OUT.name)
